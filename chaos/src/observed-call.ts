import { callIdOf } from './event-ids.js'
import type { SeenEvent } from './tapped.js'

export type Tool =
  | 'ledger_steps'
  | 'ledger_charge'
  | 'ledger_ask'
  | 'ledger_parallel'
  | 'scenario'
  | 'bulk'
  | 'look'
  | 'plain'
  | 'beside'
  | 'linger'
  | 'tell'
  | 'task'
export type Args = Record<string, string | number | boolean>
export type Outcome = { text: string; isError: boolean } | { failure: string }

/** The request that a connection answers, as its client knows it. */
export type Asker = { id: string | number; token: unknown }

/** One SSE connection of a client, event by event; priming events have no data. */
export type Connection = {
  /** The place in the journal from which the client went on. */
  after: string | undefined
  asker: Asker | undefined
  /** The key of its request. */
  key: string | undefined
  /** Which node had it. */
  node: string | undefined
  events: SeenEvent[]
  openedAt: number
  closedAt: number | undefined
}

/** A task, as its client was told of it. */
export type ObservedTask = {
  taskId: string
  createdAt: number
  ttlMs: number
  /** When it was told how the task has ended. */
  endedAt: number | undefined
  /** What the client says was wrong with what it was told. */
  wrong: string[]
  /** When it was acknowledged that the task is cancelled, if the client has asked for that. */
  cancelledAt: number | undefined
}

/** Whose a call is. */
export type CallClient = {
  /** False: spoken by hand, and resumed from wherever it likes; it has no application. */
  official: boolean
  /** In the protocol without sessions. */
  alone?: boolean
  principal?: string | undefined
}

/** What a client has seen of one of its calls. */
export class ObservedCall {
  readonly connections: Connection[] = []
  readonly progress: number[] = []
  /** Questions that reached the application, each time they did. */
  readonly asked: string[] = []
  /** What the application answered. */
  readonly answers = new Map<string, string>()
  outcome: Outcome | undefined
  /** What its client was given in place of the result. */
  task: ObservedTask | undefined
  /** When its client went away from it for good. */
  abortedAt: number | undefined

  constructor(
    readonly id: string,
    readonly tool: Tool,
    readonly args: Args,
    readonly client: CallClient,
  ) {}
}

/** All calls of a run. */
export class ObservedCalls {
  readonly all: ObservedCall[] = []
  /** POSTs of calls that a client had to send again. */
  reposts = 0
  /** Where somebody got what belongs to somebody else. */
  readonly intrusions: string[] = []
  readonly #byId = new Map<string, ObservedCall>()
  readonly #byCallId = new Map<string, ObservedCall>()

  add(call: ObservedCall): ObservedCall {
    this.all.push(call)
    this.#byId.set(call.id, call)
    return call
  }

  /** By the `id` among its arguments. */
  get(id: string): ObservedCall | undefined {
    return this.#byId.get(id)
  }

  /** Notes an SSE connection, which belongs to the call with this `id`, or to the one its cursor names. */
  connected(
    id: string | undefined,
    after: string | undefined,
    { asker, ...about }: Pick<Connection, 'asker' | 'key' | 'node'>,
  ): Connection | undefined {
    const call = id === undefined ? this.#byCallId.get(callIdOf(after ?? '')) : this.#byId.get(id)
    const before = call?.connections.find(({ events }) => events.some((event) => event.id === after))
    const connection: Connection = {
      after,
      asker: asker ?? before?.asker,
      ...about,
      events: [],
      openedAt: Date.now(),
      closedAt: undefined,
    }
    call?.connections.push(connection)
    return call && connection
  }

  /** Notes which journal an event of a call is of. */
  belongs(id: string | undefined, eventId: string) {
    const call = id === undefined ? undefined : this.#byId.get(id)
    if (!call) return
    this.#byCallId.set(callIdOf(eventId), call)
  }
}
