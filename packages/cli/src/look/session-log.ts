import { CallLog, decodeMessage, describeSealed, titleOf } from '@mcp-durable/core/inspect'
import type { CallEvent, Inspection } from '@mcp-durable/core/inspect'

/** Something in the history of a session. */
export type SessionEvent =
  /** A client message that the session is rebuilt from; of those with one key only the newest is kept. */
  | { source: 'client'; at: number; id: string; title: string; payload: unknown }
  | {
      source: 'call'
      at: number
      id: string
      callId: string
      call: string
      event: CallEvent
      openedAt: number
    }
  /** On the standalone stream. `delivered`: it was written to a socket. */
  | { source: 'standalone'; at: number; id: string; title: string; payload: unknown; delivered: boolean }

const PAGE = 500

/** Everything that is kept of a session, read on from where it was read to. */
export class SessionLog {
  readonly id: string
  readonly calls = new Map<string, CallLog>()
  readonly #inspect: Inspection
  #version = 0
  #standaloneEnd: string | undefined

  constructor(inspect: Inspection, id: string) {
    this.#inspect = inspect
    this.id = id
  }

  /** Those that have ended too. */
  async findCalls() {
    for (const callId of await this.#inspect.calls.of(this.id)) this.noteCall(callId)
  }

  /** That there is such a call. */
  noteCall(callId: string) {
    if (this.calls.has(callId)) return
    this.calls.set(callId, new CallLog(this.#inspect, { scope: this.id, callId }))
  }

  /** What has come since the last time, in order. `undefined`: there is no such session any more. */
  async read(): Promise<SessionEvent[] | undefined> {
    const session = await this.#inspect.sessions.read(this.id)
    if (!session) return undefined
    for (const { callId } of session.openCalls) this.noteCall(callId)
    const events = await Promise.all([
      this.#readState(session.version),
      this.#readStandalone(session.delivered),
      ...[...this.calls.values()].map((call) => this.#readCall(call)),
    ])
    return events.flat().toSorted((a, b) => a.at - b.at)
  }

  async #readState(version: number): Promise<SessionEvent[]> {
    if (version <= this.#version) return []
    const state = await this.#inspect.sessions.state(this.id)
    const newer = state.filter((entry) => entry.version > this.#version)
    this.#version = version
    return newer.map(({ version: entry, at, data }) => {
      return { source: 'client', at, id: String(entry), ...messageOf(data) }
    })
  }

  async #readStandalone(delivered: string): Promise<SessionEvent[]> {
    const events: SessionEvent[] = []
    for (;;) {
      const page = await this.#inspect.logs.read(this.id, 'out', this.#standaloneEnd, PAGE)
      for (const { id, at, data } of page) {
        const isDelivered = order(id) <= order(delivered)
        events.push({ source: 'standalone', at, id, ...messageOf(data), delivered: isDelivered })
      }
      this.#standaloneEnd = page.at(-1)?.id ?? this.#standaloneEnd
      if (page.length < PAGE) return events
    }
  }

  async #readCall(call: CallLog): Promise<SessionEvent[]> {
    const events = await call.read()
    const { callId } = call.place
    const { title, openedAt } = call.timeline
    return events.map((event) => ({
      source: 'call',
      at: event.at,
      id: event.id,
      callId,
      call: title,
      event,
      openedAt,
    }))
  }
}

function messageOf(data: string) {
  const sealed = describeSealed(data)
  if (sealed !== undefined) return { title: sealed, payload: undefined }
  const message = decodeMessage(data)
  if (!message) return { title: 'unreadable', payload: data }
  const payload = 'method' in message ? message.params : 'result' in message ? message.result : message.error
  return { title: titleOf(message), payload }
}

/** Ids of the standalone log compare by time, then by number. */
function order(id: string): number {
  const [time, seq] = id.split('-')
  return Number(time) * 1000 + Number(seq ?? 0)
}
