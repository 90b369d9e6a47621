import { setTimeout as sleep } from 'node:timers/promises'
import { createParser } from 'eventsource-parser'
import { callIdOf } from './event-ids.js'
import type { ObservedCall } from './observed-call.js'

/** What a client spoken by hand does with one call. */
export interface Speech {
  /** Sends the request. `undefined` as a cursor: from its beginning. */
  send(cursor: string | undefined, signal: AbortSignal): Promise<Response>
  /** Takes one message; `true`: the request is to be sent again, as it is then. */
  take(message: RawMessage): Promise<boolean> | boolean
}

export type RawMessage = {
  id?: string | number
  method?: string
  params?: { message?: string }
  result?: {
    content?: { text?: string }[]
    isError?: boolean
    resultType?: string
    inputRequests?: Record<string, { params?: { message?: string } }>
    requestState?: string
    taskId?: string
    createdAt?: string
    ttlMs?: number
  }
  error?: { message: string }
}

/**
 * After each event: whether to drop the connection, and from which of the events so far to resume; `again`: to send the
 * request again instead, with the same key.
 */
export type Drops = (eventIds: readonly string[]) => string | undefined
export const AGAIN = 'again'

/** Longer than owner after owner may die or stand still. */
const GIVE_UP_MS = 120_000
const REST_MS = 50

/**
 * Sends the request of a call and follows its stream, over however many connections, until the response is there, or `gone`
 * fires: then its client has gone away. Where nothing is to fire, its client gives up after a while.
 */
export async function followCall(
  call: ObservedCall,
  speech: Speech,
  { drops, gone }: { drops?: Drops | undefined; gone?: AbortSignal | undefined },
): Promise<void> {
  const stopped = new AbortController()
  let dropped = new AbortController()
  const stop = () => {
    stopped.abort()
    dropped.abort()
  }
  gone?.addEventListener('abort', stop)
  const timer = gone ? undefined : setTimeout(stop, GIVE_UP_MS)
  const eventIds: string[] = []
  let cursor: string | undefined
  try {
    while (!isTold(call) && !stopped.signal.aborted) {
      dropped = new AbortController()
      const response = await speech.send(cursor, dropped.signal)
      if (!response.ok || response.status === 204) throw new Error(`answered ${response.status}`)
      const next = await followStream(response, speech, eventIds, drops).catch(() => undefined)
      dropped.abort()
      if (next === AGAIN) eventIds.length = 0
      cursor = next === AGAIN ? undefined : (next ?? eventIds.at(-1))
      if (!isTold(call) && next === undefined) await sleep(REST_MS)
    }
  } catch (error) {
    call.outcome ??= { failure: String(error) }
  } finally {
    clearTimeout(timer)
    gone?.removeEventListener('abort', stop)
  }
  if (!isTold(call))
    call.outcome = { failure: gone?.aborted ? 'the client went away' : 'no response in time' }
}

/** Its result, or the task that it is. */
const isTold = ({ outcome, task }: ObservedCall) => outcome !== undefined || task !== undefined

/** Reads one connection; resolves to the cursor to go on from if the client drops it. */
async function followStream(
  response: Response,
  speech: Speech,
  eventIds: string[],
  drops: Drops | undefined,
): Promise<string | undefined> {
  const arrived: { id: string; data: string }[] = []
  const parser = createParser({
    onEvent: ({ id, data }) => {
      if (id !== undefined) arrived.push({ id, data })
    },
  })
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    parser.feed(decoder.decode(chunk, { stream: true }))
    for (const { id, data } of arrived.splice(0)) {
      if (!eventIds.includes(id)) eventIds.push(id)
      if (data !== '' && (await speech.take(JSON.parse(data) as RawMessage))) return AGAIN
      const next = drops?.(eventIds.filter((each) => callIdOf(each) === callIdOf(id) && !isLast(each)))
      if (next !== undefined) return next
    }
  }
  return undefined
}

const isLast = (eventId: string) => /\.end(~|$)/.test(eventId)

/** What came of a call. */
export function takeOutcome(call: ObservedCall, { result, error }: RawMessage) {
  if (result) call.outcome ??= { text: result.content?.[0]?.text ?? '', isError: result.isError === true }
  if (error) call.outcome ??= { failure: error.message }
}
