import { randomUUID } from 'node:crypto'
import { endedOf, goBeyond, keepNewest, recordedOf } from '../../src/context/call-log.js'
import type { CallLog, Effect, Receipt, StepKind, StepRecord } from '../../src/context/call-log.js'
import type { ContextStore } from '../../src/store/context-store.js'
import { DurableContext } from '../../src/context/context.js'
import type { DivergenceError } from '../../src/context/errors.js'
import { realTimeAndChance } from '../../src/context/time-and-chance.js'
import { runInCall } from '../../src/context/run-context.js'
import type { HandledCall } from '../../src/context/run-context.js'
import type { FinishedCall } from '../../src/context/replay-log.js'
import { durableTool } from '../../src/context/durable-handlers.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../../src/json-rpc.js'
import { LazyAbort } from '../../src/lazy-abort.js'
import { META, SESSIONLESS } from '../../src/protocol.js'
import { MemoryContextStore } from './memory-context-store.js'

type Question = { name: string; method: string; params?: Record<string, unknown> | undefined }
/** Where a node dies: at which operation on its log, before it is applied or before it is acknowledged. */
export type Crash = { at: number; when: 'before' | 'applied' }
export type RunOptions = {
  crash?: Crash | undefined
  store?: ContextStore
  /** Records that were on their way together are acknowledged at once, as by one answer of a store. */
  batches?: boolean
  /** The handler does not come to all the steps that were recorded, and nobody is to wait for them. */
  partial?: boolean
  /** For how long a replay waits for a step that was recorded. */
  patienceMs?: number
  /** For how long it waits for one in all, where that is longer. */
  divergesAfterMs?: number
}

const KINDS: Record<string, StepKind> = {
  'elicitation/create': 'elicit',
  'sampling/createMessage': 'sample',
  'roots/list': 'listRoots',
}

const never = new Promise<never>(() => undefined)

/** One call and what outlives its nodes: the records, the messages, and the answers of the client. */
export class TestCall {
  readonly callId = randomUUID()
  readonly scope = 'session'
  readonly request: JsonRpcRequest
  readonly records: StepRecord[] = []
  readonly sent: { message: JsonRpcMessage; step: string | undefined }[] = []
  readonly questions: Question[] = []
  readonly answers = new Map<string, JsonRpcResponse>()
  readonly caller: CallLog['caller']
  readonly store: MemoryContextStore
  clientCapabilities: Record<string, unknown> = { elicitation: {}, sampling: { tools: {} }, roots: {} }
  logLevel: string | undefined
  attempts = 0
  readonly #waiting = new Map<string, (answer: JsonRpcResponse) => void>()

  constructor({
    store = new MemoryContextStore(),
    progressToken,
    caller = { principal: 'ann', isUser: true },
    isAlone = false,
  }: {
    store?: MemoryContextStore
    progressToken?: string
    caller?: CallLog['caller']
    /** Of no session. */
    isAlone?: boolean
  } = {}) {
    this.store = store
    this.caller = caller
    const version = isAlone && { [META.protocolVersion]: SESSIONLESS }
    this.request = {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { _meta: { ...version, ...(progressToken !== undefined && { progressToken }) } },
    }
  }

  /** A node takes the call, as on the first run or after a takeover; nodes before it can write no more. */
  node(options: RunOptions = {}): TestNode {
    this.attempts++
    return new TestNode(this, this.attempts, options)
  }

  /** The newest records, by step; of questions without one, that they were asked. */
  get steps(): Map<string, StepRecord> {
    const steps = new Map<string, StepRecord>()
    for (const { name: id, method } of this.questions)
      steps.set(id, { id, kind: KINDS[method]!, phase: 'started' })
    for (const record of this.records) keepNewest(steps, record)
    return steps
  }

  phases(id: string) {
    return this.records.filter((record) => record.id === id).map(({ phase }) => phase)
  }

  answer(name: string, result: Record<string, unknown>) {
    this.respond(name, { jsonrpc: '2.0', id: name, result })
  }

  respond(name: string, answer: JsonRpcResponse) {
    if (this.answers.has(name)) return
    this.answers.set(name, answer)
    this.#waiting.get(name)?.(answer)
  }

  answered(name: string): Promise<JsonRpcResponse> {
    const answer = this.answers.get(name)
    return answer ? Promise.resolve(answer) : new Promise((resolve) => this.#waiting.set(name, resolve))
  }

  finished({ ending, begun }: HandledCall): FinishedCall {
    const { callId, scope, request, caller, attempts, clientCapabilities, logLevel, steps, sent } = this
    const rest = { caller, clientCapabilities, logLevel, steps, sent, begun, ending }
    return { callId, scope, request, attempt: attempts, ...rest }
  }
}

/** A node's end of the call: its log, which fences it off and in which it may crash, and its context. */
export class TestNode implements CallLog {
  readonly callId: string
  readonly scope: string
  readonly request: JsonRpcRequest
  readonly caller: CallLog['caller']
  readonly attempt: number
  handled: HandledCall | undefined
  readonly timeAndChance: CallLog['timeAndChance']
  readonly divergesAfterMs: number | undefined
  diverged: DivergenceError | undefined
  /** What the server's log was told. */
  readonly told: { level: string; fields: Record<string, unknown>; message: string }[] = []
  /** Resolves when the node dies. */
  readonly died: Promise<'crashed'>
  operations = 0
  readonly #call: TestCall
  readonly #store: ContextStore
  readonly stop = new LazyAbort()
  /** As they were when the node began. */
  readonly #steps: ReadonlyMap<string, StepRecord>
  readonly #crashes: Crash | undefined
  readonly #batches: boolean
  readonly #partial: boolean
  #batch: Array<() => void> = []
  readonly #sentBefore: string[]
  #context: DurableContext | undefined
  #dead = false
  #die!: (how: 'crashed') => void

  constructor(
    call: TestCall,
    attempt: number,
    { crash, store = call.store, batches = false, partial = false, patienceMs, divergesAfterMs }: RunOptions,
  ) {
    this.divergesAfterMs = divergesAfterMs
    this.#call = call
    this.#store = store
    this.callId = call.callId
    this.scope = call.scope
    this.request = call.request
    this.caller = call.caller
    this.attempt = attempt
    this.#steps = call.steps
    this.#crashes = crash
    this.#batches = batches
    this.#partial = partial
    this.timeAndChance = patienceMs === undefined ? undefined : { ...realTimeAndChance, patienceMs }
    this.#sentBefore = call.sent.map(({ message, step }) => JSON.stringify([message, step]))
    this.died = new Promise((resolve) => (this.#die = resolve))
  }

  tell(level: string, fields: object, message: string) {
    this.told.push({ level, fields: { ...fields }, message })
  }

  /** Made when first asked for, as `durableContext` does. */
  get context(): DurableContext {
    this.#context ??= new DurableContext(this, this.#store, {})
    return this.#context
  }

  get clientCapabilities() {
    return this.#call.clientCapabilities
  }

  get logLevel() {
    return this.#call.logLevel
  }

  /** The call is cancelled, or moves to another node. */
  cancel(reason = 'cancelled') {
    this.stop.abort(new Error(reason))
  }

  /** Runs a handler as `durableTool` does. */
  async run<T>(handler: (context: DurableContext) => T | Promise<T>): Promise<T | 'crashed'> {
    const tool = durableTool(async (_args: object, context) => handler(context as DurableContext))
    const onHandled = (handled: HandledCall) => (this.handled = handled)
    const call = { log: this, store: this.#store, onHandled }
    return Promise.race([runInCall(call, () => tool({}, {})), this.died])
  }

  step(id: string): StepRecord | undefined {
    return this.#steps.get(id)
  }

  endedSteps() {
    return this.#partial ? [] : endedOf(this.#steps.values())
  }

  recordedSteps() {
    return this.#partial ? [] : recordedOf(this.#steps.values())
  }

  diverge(error: DivergenceError) {
    this.diverged = error
    this.stop.abort(error)
  }

  goesBeyond(begun: ReadonlySet<string>) {
    return goBeyond(this.#steps.values(), begun)
  }

  record(step: StepRecord, receipt: Receipt, effect?: Effect) {
    const recorded = this.#operate(() => {
      if (effect && !this.#call.store.apply(this.scope, effect)) return 'conflict'
      this.#call.records.push(structuredClone(step))
      return 'recorded'
    })
    recorded.then(
      (outcome) => this.#acknowledge(() => receipt.resolve(outcome)),
      (error: unknown) => receipt.reject(error),
    )
  }

  #acknowledge(acknowledgement: () => void) {
    if (!this.#batches) return acknowledgement()
    if (this.#batch.push(acknowledgement) > 1) return
    setTimeout(() => {
      for (const each of this.#batch.splice(0)) each()
    }, 1)
  }

  async send(message: JsonRpcMessage, step?: string): Promise<void> {
    const index = this.#sentBefore.indexOf(JSON.stringify([message, step]))
    if (index >= 0) return void this.#sentBefore.splice(index, 1)
    await this.#operate(() => void this.#call.sent.push({ message, step }))
  }

  async ask(
    name: string,
    { method, params }: Omit<Question, 'name'>,
    signal?: AbortSignal,
  ): Promise<JsonRpcResponse> {
    if (!this.#call.questions.some((asked) => asked.name === name)) {
      await this.#operate(() => void this.#call.questions.push({ name, method, params }))
    }
    await new Promise((resolve) => setImmediate(resolve))
    const stops = [this.stop.signal, ...(signal ? [signal] : [])].map(rejection)
    return Promise.race([...stops, this.#call.answered(name)])
  }

  async withdraw(name: string, reason: string) {
    if (!this.#call.questions.some((asked) => asked.name === name)) return
    const params = { requestId: name, reason }
    await this.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params }, name)
  }

  /** Applied in this turn, acknowledged in a later one, as by a store. */
  async #operate<T>(apply: () => T): Promise<T> {
    if (this.#dead) return never
    if (this.attempt !== this.#call.attempts) throw new Error('fenced')
    const crash = this.#crashes?.at === ++this.operations ? this.#crashes.when : undefined
    if (crash === 'before') return this.crash()
    const outcome = apply()
    await new Promise((resolve) => setImmediate(resolve))
    return crash === 'applied' || this.#dead ? this.crash() : outcome
  }

  /** Nothing of what it does counts any more. */
  crash(): Promise<never> {
    this.#dead = true
    this.#die('crashed')
    return never
  }
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const stop = () => reject(new Error('stopped'))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}

/** What a promise comes to, as data. */
export async function settled<T>(promise: Promise<T>): Promise<{ value: T } | { error: Error }> {
  try {
    return { value: await promise }
  } catch (error) {
    return { error: error as Error }
  }
}

export async function thrown(promise: Promise<unknown>): Promise<Error & { code?: unknown; data?: unknown }> {
  const outcome = await settled(promise)
  if ('error' in outcome) return outcome.error
  throw new Error('Nothing was thrown.')
}

/** Without waiting between attempts. */
export const AT_ONCE = { initialMs: 0 }
