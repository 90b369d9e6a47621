import type { ProxySession } from '../call/record.js'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonRpcMessage } from '../json-rpc.js'
import type { MessageExtra } from '../session/transport.js'
import { sleepFor } from '../timers.js'
import { BadAnswerError, drain, isEventStream, mayPass, noMessage, parseMessages } from './answer.js'
import type { Answer } from './answer.js'
import { deniesSession } from './channel.js'
import type { Channel } from './channel.js'
import { readEvents } from './events.js'
import type { ServerEvent } from './events.js'
import { headerOf } from './kept-header.js'
import { outside } from './outside.js'

export type StandaloneServices = {
  channel: Channel
  /** The largest message that is taken from the server. */
  maxBytes: number
  /** The server has sent what can't be used. */
  complain: (error: Error) => void
  session: () => ProxySession
  extra: () => MessageExtra
  /** What it answers in a session to a request that means nothing. */
  ping: (session: ProxySession) => Promise<Answer | undefined>
  /** The server does not know its session any more; resolves to the one to go on with. */
  revive: (stale: ProxySession) => Promise<ProxySession>
  /** `place`: names the message in the session. */
  deliver: (message: JsonRpcMessage, session: ProxySession, place: string | undefined) => Promise<void>
  /** How far the stream was read, on whichever node. */
  heard: (session: ProxySession) => Promise<string | undefined>
  hear: (session: ProxySession, event: string) => void
}

/** After a stream that the server has ended, unless it says something else. */
const RETRY_MS = 1000
/** After a refusal that may pass, and when the server can't be reached; twice as long each time. */
const SOON_MS = 50
const MOST_RETRY_MS = 5_000
/** How long others wait for the stream to open. */
const OPEN_WITHIN_MS = 1000
/** How long a stream that is left is read, where the server still gives what it had said. */
const LEFT_WITHIN_MS = 5_000

type Reading = { retry: number; cursor: string | undefined; session: ProxySession }

/** Of a message in an event. Ids of events have no line breaks; the first message is named as its event, as earlier versions did. */
const placeOf = (event: string, n: number) => (n === 0 ? event : `${event}\n${n}`)

/** The server's standalone stream, kept open while it is wanted and the server has one; it belongs to no call. */
export class StandaloneStream {
  readonly #services: StandaloneServices
  #isWanted = false
  /** Of the stream that is read. */
  #stopped: AbortController | undefined
  #opened: Promise<void> = Promise.resolve()
  /** Also of streams that are being left. */
  readonly #readings = new Set<Promise<void>>()
  /** The session in which the server has opened the stream. */
  #heardIn: string | undefined
  /** The session was begun in place of another one, and the server has not opened the stream in it yet. */
  #isNew = false

  constructor(services: StandaloneServices) {
    this.#services = services
  }

  open() {
    this.#isWanted = true
    this.#start()
  }

  /** Resolves when the stream is heard, or there is none to hear. */
  get opened() {
    return this.#opened
  }

  /** Resolves when what the server had said is heard, as far as it still gives it. */
  async close() {
    this.#isWanted = false
    this.#stop()
    if (this.#readings.size === 0) return
    await Promise.race([Promise.all(this.#readings), sleep(LEFT_WITHIN_MS, undefined, { ref: false })])
  }

  /** The client has another token: what was refused before may be there now. */
  renewed() {
    if (this.#isWanted) this.#start()
  }

  /** The server has a new session: what it says there should not be missed. Resolves when it is heard, or can't be soon. */
  async reopen(session: ProxySession) {
    if (!this.#isWanted) return
    this.#isNew = true
    this.#stop()
    this.#start(session)
    await Promise.race([this.#opened, sleep(OPEN_WITHIN_MS, undefined, { ref: false })])
  }

  #start(session = this.#services.session()) {
    if (this.#stopped) return
    const stopped = new AbortController()
    this.#stopped = stopped
    let markOpened: () => void = () => undefined
    this.#opened = new Promise((resolve) => (markOpened = resolve))
    const reading = outside(() => this.#listen(session, stopped.signal, markOpened)).finally(() => {
      markOpened()
      this.#readings.delete(reading)
      if (this.#stopped === stopped) this.#stopped = undefined
    })
    this.#readings.add(reading)
  }

  #stop() {
    this.#stopped?.abort()
    this.#stopped = undefined
  }

  async #listen(session: ProxySession, signal: AbortSignal, onOpened: () => void) {
    const reading: Reading = { retry: RETRY_MS, ...(await this.#placeIn(session)) }
    for (let failures = 0; !signal.aborted;) {
      const outcome = await this.#read(reading, signal, onOpened).catch(() => 'refused' as const)
      if (outcome === 'none') return
      failures = outcome === 'ended' ? 0 : failures + 1
      const wait =
        outcome === 'ended' ? reading.retry : Math.min(SOON_MS * 2 ** (failures - 1), MOST_RETRY_MS)
      await sleepFor(wait, { signal, ref: false })
    }
  }

  async #placeIn(session: ProxySession) {
    return { session, cursor: await this.#services.heard(session).catch(() => undefined) }
  }

  async #read(
    reading: Reading,
    signal: AbortSignal,
    onOpened: () => void,
  ): Promise<'ended' | 'refused' | 'none'> {
    const { channel, extra, maxBytes, complain } = this.#services
    const token = headerOf('authorization', extra())
    const answer = await channel.get(reading.session, reading.cursor, extra(), signal)
    if (!isEventStream(answer)) {
      await drain(answer)
      const outcome = await this.#refused(reading, answer)
      return headerOf('authorization', extra()) === token ? outcome : 'refused'
    }
    onOpened()
    this.#heardIn = reading.session.id
    this.#isNew = false
    try {
      for await (const event of readEvents(answer.body, { maxBytes, onRetry: (ms) => (reading.retry = ms) }))
        await this.#event(reading, event)
    } catch (error) {
      if (!(error instanceof BadAnswerError)) return 'ended'
      // It would come again and again.
      complain(error)
      reading.cursor = undefined
      return 'refused'
    }
    return 'ended'
  }

  async #event(reading: Reading, { id, data }: ServerEvent) {
    const { deliver, hear } = this.#services
    const messages = data === '' ? [] : this.#messagesIn(data)
    for (const [n, message] of messages.entries())
      await deliver(message, reading.session, id === undefined ? undefined : placeOf(id, n))
    if (id === undefined) return
    reading.cursor = id
    hear(reading.session, id)
  }

  /** What can't be used is left out: those behind it can. */
  #messagesIn(data: string): readonly JsonRpcMessage[] {
    const { complain } = this.#services
    const onStrange = () => complain(noMessage())
    try {
      return parseMessages(data, { onStrange })
    } catch (error) {
      complain(error as Error)
      return []
    }
  }

  async #refused(reading: Reading, answer: Answer): Promise<'refused' | 'none'> {
    if (mayPass(answer)) return 'refused'
    const { session } = reading
    if (session.id !== undefined && deniesSession(answer)) {
      const { ping, revive } = this.#services
      // A server that has no such stream may say the same.
      const pinged = await ping(session)
      if (!pinged || mayPass(pinged)) return 'refused'
      if (deniesSession(pinged) && this.#wasThere(reading, pinged)) {
        // Whoever begins the new session opens this stream anew; where another node has begun it, this one goes on there.
        Object.assign(reading, await this.#placeIn(await revive(session)))
        return 'refused'
      }
    }
    if (reading.cursor === undefined) return 'none'
    // The place is lost; the stream need not be.
    reading.cursor = undefined
    return 'refused'
  }

  /** There may be servers that have no such stream, know no `ping`, and say so as if they did not know the session. */
  #wasThere({ session, cursor }: Reading, pinged: Answer) {
    if (cursor !== undefined || this.#heardIn === session.id) return true
    return pinged.status === 404 && !this.#isNew
  }
}
