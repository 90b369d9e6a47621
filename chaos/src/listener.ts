import { setTimeout as sleep } from 'node:timers/promises'
import { durableFetch } from '@mcp-durable/core/client'
import type { FetchLike } from '@mcp-durable/core/client'
import { createParser } from 'eventsource-parser'
import { envelope, headersFor, resumeHeaders } from './alone-client.js'
import type { Changes } from './changes.js'
import { entryOf, journalEventId } from './event-ids.js'
import { listenAlone } from './official-clients.js'
import { hasEvents, tapped } from './tapped.js'
import type { SeenEvent } from './tapped.js'

/** The last change of a run, which everybody hears. */
export const LAST = 'chaos://last'

/** `gone`: the event from which it was to go on, and was refused to. */
type Subscribed = { after: string | undefined; events: SeenEvent[]; gone?: string }
type Heard = { method: string; params: { uri?: string } }

const REST_MS = 50
/** So many changes are kept at least. */
const KEPT = 256

/** One that listens, without a session, through a whole run. */
export class Listener {
  /** What its application heard, if it has one. */
  readonly heard: string[] = []
  failure: string | undefined
  #hasLast = false
  readonly #connections: Subscribed[] = []
  #gone: string | undefined

  constructor(
    readonly principal: string,
    readonly uris: readonly string[],
  ) {}

  /** How many it has had. */
  get events(): number {
    return this.#connections.reduce((sum, { events }) => sum + events.length, 0)
  }

  /** Of an official client; resolves once it has heard the last change. */
  async listenOfficially(url: URL, send: FetchLike): Promise<void> {
    let onLast: () => void = () => undefined
    const last = new Promise<void>((resolve) => (onLast = resolve))
    const { ended, close } = await listenAlone(url, this.#observed(send), [...this.uris], (uri) => {
      this.heard.push(uri)
      if (uri === LAST) onLast()
    })
    const cause = await Promise.race([last, ended])
    this.#hasLast = cause === undefined
    if (cause !== undefined) this.failure = `its subscription has ended: ${JSON.stringify(cause)}`
    await close()
  }

  /** Spoken by hand; `drops`: from which of the events so far it goes on, after each of them. */
  async listenByHand(
    url: URL,
    send: FetchLike,
    drops: (eventIds: readonly string[]) => string | undefined,
  ): Promise<void> {
    const fetch = this.#observed(send)
    const eventIds: string[] = []
    let cursor: string | undefined
    while (!this.#hasLast) {
      const dropped = new AbortController()
      const { signal } = dropped
      const response = await (cursor === undefined
        ? fetch(url, { method: 'POST', headers: headersFor(METHOD), body: this.#request(), signal })
        : fetch(url, { headers: resumeHeaders(cursor), signal }))
      if (response.status === 410 && cursor !== undefined) {
        this.#gone = cursor
        cursor = undefined
        continue
      }
      if (!response.ok) throw new Error(`answered ${response.status}`)
      let next: string | undefined
      const parser = createParser({
        onEvent: ({ id, data }) => {
          if (id === undefined || next !== undefined) return
          eventIds.push(id)
          this.#hasLast ||= data !== '' && (JSON.parse(data) as Heard).params.uri === LAST
          next = drops(eventIds)
        },
      })
      const decoder = new TextDecoder()
      const following = async () => {
        for await (const chunk of response.body ?? []) {
          parser.feed(decoder.decode(chunk, { stream: true }))
          if (this.#hasLast || next !== undefined) return
        }
      }
      await following().catch(() => undefined)
      dropped.abort()
      cursor = next ?? eventIds.at(-1)
      if (next === undefined) await sleep(REST_MS)
    }
  }

  /** What does not hold of what it heard. */
  check(changes: Changes): string[] {
    const found = this.#connections.flatMap((connection, index) =>
      this.#check(connection, changes).map((what) => `connection ${index}: ${what}`),
    )
    if (this.failure !== undefined) found.push(this.failure)
    else if (!this.#hasLast) {
      const { after, gone, events } = this.#connections.at(-1) ?? {}
      const where = `after ${after ?? 'nothing'}, refused ${gone ?? 'nothing'}, ${events?.length ?? 0} events`
      found.push(`it did not hear the last change; its last connection: ${where}`)
    }
    if (this.heard.length > 0) {
      const first = this.#connections.find(({ events }) => events.length > 0)?.events[0]?.id ?? ''
      const told = changes.heardBy(this, entryOf(first)).map(({ uri }) => uri)
      const until = told.indexOf(LAST) + 1
      if (this.heard.slice(0, until).join() !== told.slice(0, until).join())
        found.push(`its application heard ${this.heard.join(' ')}, not ${told.join(' ')}`)
    }
    return found
  }

  #check({ after, events, gone }: Subscribed, changes: Changes): string[] {
    const cursor = after ?? events[0]?.id
    if (cursor === undefined) return []
    if (gone !== undefined && changes.between(entryOf(gone), entryOf(cursor)) < KEPT)
      return [`it was refused to go on from ${gone}, which is kept`]
    const told = changes.heardBy(this, entryOf(cursor))
    const seen = events.map(({ id, data }) => [id, data] as const).filter(([, data]) => data !== '')
    if (after === undefined) {
      const [acknowledged] = seen.splice(0, 1)
      if (!acknowledged?.[1].includes('subscriptions/acknowledged')) return ['it was not acknowledged first']
    }
    return seen.flatMap(([id, data], place) => {
      const { method, params } = JSON.parse(data) as Heard
      const { entry, uri } = told[place] ?? {}
      const isIt =
        method === 'notifications/resources/updated' &&
        params.uri === uri &&
        journalEventId(id) === `out.${entry}`
      return isIt ? [] : [`event ${place} is ${id} ${data}, not ${entry} ${uri}`]
    })
  }

  #request() {
    const params = { notifications: { resourceSubscriptions: this.uris }, _meta: envelope() }
    return JSON.stringify({ jsonrpc: '2.0', id: `listen of ${this.principal}`, method: METHOD, params })
  }

  #observed(send: FetchLike): FetchLike {
    return durableFetch({
      fetch: async (url, init = {}) => {
        const response = await send(url, init)
        const after = new Headers(init.headers).get('last-event-id') ?? undefined
        if (!hasEvents(response)) return response
        const connection: Subscribed = {
          after,
          events: [],
          ...(this.#gone !== undefined && { gone: this.#gone }),
        }
        this.#gone = undefined
        this.#connections.push(connection)
        const onEvent = (event: SeenEvent) => void connection.events.push(event)
        return tapped(response, { onEvent, onEnded: () => undefined })
      },
      maxDelayMs: 500,
    })
  }
}

const METHOD = 'subscriptions/listen'
