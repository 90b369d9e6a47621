import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { Call } from '../../call/call.js'
import type { CallStart } from '../../call/call-start.js'
import { dispatchId } from '../../call/call-server.js'
import { Backlog } from '../../call/waiting-records.js'
import { followScopes } from '../../context/async-scope.js'
import { DEFAULT_LIMITS } from '../../context/limits.js'
import { recordingChanges } from '../../context/map-record.js'
import type { HandledCall } from '../../context/run-context.js'
import { runInCall } from '../../context/run-context.js'
import type { JsonRpcRequest, JsonRpcResponse, Params } from '../../json-rpc.js'
import { Watcher } from '../../store/watcher.js'
import type { Store } from '../../store/store.js'
import { parseSettings } from '../../settings.js'
import { mortalStore } from './mortal-store.js'
import type { Process, Writes } from './mortal-store.js'
import type { CrashPoint, Write } from './points.js'
import { TestedLog } from './tested-log.js'
import type { VirtualTime } from './virtual-time.js'

/** The handler of a tool, as `durableTool()` makes it. */
export type Tool = (args: unknown, extra?: unknown) => Promise<unknown>

export type RunOf = {
  store: Store
  time: VirtualTime
  tool: Tool
  args: unknown
  extra: object
  scope: string
  id: string
  request: JsonRpcRequest
  principal: string
  /** The step that has asked a question. */
  questionOf: (question: string) => string | undefined
  /** A step asks: whether it will be answered. */
  asks: (name: string, question: { method: string; params?: Params }) => boolean
  /** The journal has a question. */
  asked: (question: string) => void
}

/** `stuck`: it did not end in time. `unanswered`: it waits for an answer that nobody gives. */
export type RunEnd = 'ended' | 'crashed' | 'stuck' | 'unanswered'

const CAPABILITIES = { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} }
/** So many turns of the event loop without anything having happened mean that nothing will. */
const IDLE_TURNS = 3
const BUSY_TURNS = 100

/** One run of a call, in a process of its own as far as its store goes. */
export class TestedRun implements Process {
  readonly log: TestedLog
  readonly mapChanges = new Map<string, string>()
  readonly call: Call
  /** Where it could have crashed. */
  readonly writes: Write[] = []
  handled: HandledCall | undefined
  isDead = false
  readonly questionOf: RunOf['questionOf']
  readonly #of: RunOf
  readonly #store: Store
  readonly #crash: CrashPoint | undefined
  readonly #counts = new Map<string, number>()
  #die!: (end: 'crashed') => void
  readonly #died = new Promise<'crashed'>((resolve) => (this.#die = resolve))

  constructor(of: RunOf, start: Pick<CallStart, 'first' | 'past'>, crash: CrashPoint | undefined) {
    const { id, scope, request, principal } = of
    this.#of = of
    this.#crash = crash
    this.questionOf = of.questionOf
    this.#store = mortalStore(of.store, this)
    const { maxRecordBytes, resumeWindowMs, inputTtlMs } = parseSettings({})
    const backlog = new Backlog()
    const watcher = new Watcher(this.#store)
    const limits = { maxRecordBytes, resumeWindowMs, inputTtlMs }
    this.call = new Call(
      { store: this.#store, watcher, backlog, ...limits },
      {
        ...start,
        scope,
        id,
        requests: [request],
        quotas: [],
        requestKeys: [id],
        keepKey: false,
        endsScope: false,
        handlers: ['durable'],
      },
      {
        onAsked: () => undefined,
        onSealed: () => undefined,
        onDiverged: () => undefined,
        onEnded: () => undefined,
      },
    )
    this.log = new TestedLog(
      {
        id: dispatchId(id, [request], 0),
        scope,
        request,
        target: this.call,
        isRegistered: true,
        caller: { principal, isUser: true },
        protocolVersion: undefined,
      },
      { capabilities: CAPABILITIES, logLevel: undefined },
      of.time,
      of.asks,
    )
    for (const record of start.past?.runs.steps.values() ?? []) this.log.notes.look(record)
  }

  crashesAt(writes: Writes) {
    const crash = this.#crash
    if (!crash) return undefined
    const place = this.#named(writes).findIndex((write) => write?.key === crash.write.key)
    return place < 0 ? undefined : { place, when: crash.when }
  }

  wrote(writes: Writes) {
    for (const write of this.#named(writes)) {
      this.log.notes.activity++
      if (!write) continue
      this.writes.push(write)
      if (write.question !== undefined) this.#of.asked(write.question)
    }
    for (const write of writes) if (write) this.#counts.set(write.key, this.#countOf(write.key) + 1)
  }

  die() {
    if (this.isDead) return
    this.isDead = true
    this.#die('crashed')
  }

  /** Runs the handler until it has ended and its result is recorded, or until something keeps it from that. */
  async run(withinMs: number): Promise<RunEnd> {
    const over = new AbortController()
    const { signal } = over
    try {
      return await Promise.race([
        this.#handle(),
        this.#died,
        sleep(withinMs, 'stuck' as const, { signal }),
        this.#passTime(signal),
      ])
    } finally {
      over.abort()
      if (!this.handled || this.isDead) this.end()
    }
  }

  /** What the handler has left running hears of nothing any more, and is heard of by nobody. */
  end() {
    this.isDead = true
    this.#of.time.forget()
    this.call.abandon('crashed')
  }

  async #handle(): Promise<RunEnd> {
    const { tool, args, extra } = this.#of
    const server = {
      // A process that has died tells its handlers nothing.
      cancel: () => undefined,
      receive: () => undefined,
      waiting: () => this.log.waiting?.(),
    }
    const [[dispatched] = ['']] = this.call.runOn(server)
    const onHandled = (handled: HandledCall) => (this.handled = handled)
    const store = recordingChanges(this.#store, this.mapChanges)
    const unfollow = followScopes()
    try {
      const { log } = this
      const sdk = { requestId: dispatched, signal: log.stop.signal, ...extra }
      // Each process reads them from the journal.
      const given: unknown = JSON.parse(JSON.stringify(args))
      const run = () => tool(given, sdk)
      await runInCall({ log, store, limits: DEFAULT_LIMITS, onHandled }, run).catch(() => undefined)
    } finally {
      unfollow()
    }
    await this.call.respond(dispatched, responseOf(this.#of.request, this.handled))
    return 'ended'
  }

  /** Time passes only while the handler does nothing but wait for it. */
  async #passTime(signal: AbortSignal): Promise<RunEnd> {
    const { time } = this.#of
    let [activity, idle, busy] = [-1, 0, 0]
    while (!signal.aborted) {
      // Real work, such as a request of a body over the network, takes real time.
      await (busy < BUSY_TURNS ? turn() : sleep(1))
      const { awaited, notes } = this.log
      const waiting = awaited === 0 && activity === notes.activity ? this.log.waiting?.() : undefined
      activity = notes.activity
      busy++
      idle = waiting ? idle + 1 : 0
      if (idle < IDLE_TURNS) continue
      if (!time.isAwaited) return 'unanswered'
      time.advance()
      idle = 0
      busy = 0
    }
    return 'stuck'
  }

  /** The second write of a kind is told from the first. */
  #named(writes: Writes): Array<Write | undefined> {
    const counts = new Map<string, number>()
    return writes.map((write) => {
      if (!write) return undefined
      const count = (counts.get(write.key) ?? this.#countOf(write.key)) + 1
      counts.set(write.key, count)
      return count === 1 ? write : { ...write, key: `${write.key} #${count}` }
    })
  }

  #countOf(key: string) {
    return this.#counts.get(key) ?? 0
  }
}

/** As servers of the SDK answer; what can't be sent is what `crashTest` tells of. */
function responseOf({ id }: JsonRpcRequest, handled: HandledCall | undefined): JsonRpcResponse {
  const ending = handled?.ending ?? { error: new Error('The tool did not begin.') }
  if ('result' in ending && typeof ending.result === 'object' && ending.result !== null)
    return { jsonrpc: '2.0', id, result: ending.result as Record<string, unknown> }
  const text = 'error' in ending ? String(ending.error) : JSON.stringify(ending.result ?? null)
  return { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }], isError: 'error' in ending } }
}
