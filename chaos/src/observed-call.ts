export type Tool =
  'ledger_steps' | 'ledger_charge' | 'ledger_ask' | 'ledger_parallel' | 'scenario' | 'bulk' | 'look'
export type Args = Record<string, string | number>
export type Outcome = { text: string; isError: boolean } | { failure: string }

/** One SSE connection of a client, event by event; priming events have no data. */
export type Connection = { after: string | undefined; events: { id: string; data: string; at: number }[] }

/** What a client has seen of one of its calls. */
export class ObservedCall {
  readonly connections: Connection[] = []
  readonly progress: number[] = []
  /** Questions that reached the application, each time they did. */
  readonly asked: string[] = []
  /** What the application answered. */
  readonly answers = new Map<string, string>()
  outcome: Outcome | undefined

  constructor(
    readonly id: string,
    readonly tool: Tool,
    readonly args: Args,
    /** False: spoken by hand, and resumed from wherever it likes; it has no application. */
    readonly official: boolean,
  ) {}
}

/** All calls of a run. */
export class ObservedCalls {
  readonly all: ObservedCall[] = []
  /** POSTs of calls that a client had to send again. */
  reposts = 0
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
  connected(id: string | undefined, after: string | undefined): Connection | undefined {
    const call = id === undefined ? this.#byCallId.get(callIdOf(after ?? '')) : this.#byId.get(id)
    const connection = { after, events: [] }
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

export const callIdOf = (eventId: string) => eventId.split('.')[0] ?? ''
