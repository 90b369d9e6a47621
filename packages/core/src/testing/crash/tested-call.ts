import { EarlierRuns } from '../../call/earlier-runs.js'
import { encodeInboxItem, MAX_INBOX } from '../../call/inbox.js'
import { encodeRecord } from '../../call/record.js'
import type { ElicitResult, Root, SamplingResult } from '../../context/answers.js'
import { validateEffects } from '../../context/validate.js'
import { digest, randomId } from '../../ids.js'
import type { JsonRpcRequest, JsonRpcResponse, Params } from '../../json-rpc.js'
import { recordedBy } from '../../session/validation.js'
import { memoryStore } from '../../store/memory.js'
import { readAll, readPages } from '../../store/retry.js'
import type { EntryId } from '../../store/store.js'
import { Effects } from './effects.js'
import type { Effect } from './effects.js'
import type { CrashPoint } from './points.js'
import { TestedLog } from './tested-log.js'
import { TestedRun } from './tested-run.js'
import type { RunEnd, Tool } from './tested-run.js'
import { VirtualTime } from './virtual-time.js'

/** What a client answers; an `Error`: that it refuses. */
export type Answer = ElicitResult | SamplingResult | { roots: Root[] } | Error
export type Answers = Record<string, Answer | ((params: Params | undefined) => Answer)>

export type CallOf = {
  /** Makes the tool, with what it works on. */
  world: (effect: Effect) => Tool
  args: unknown
  answers: Answers
  now: number
  extra: object
  principal: string
}

const SCOPE = 'crash-test'
const HOUR = 3_600_000
const NEVER = { signal: new AbortController().signal }
/** The same in every call, and with it all keys that follow from it. */
const CALL_ID = digest('crash-test')

/** One call of the tool, over all its runs, with a store, a client and a time of its own. */
export class TestedCall implements AsyncDisposable {
  readonly effects: Effects
  readonly #of: CallOf
  readonly #tool: Tool
  readonly #store = memoryStore()
  readonly #time: VirtualTime
  readonly #request: JsonRpcRequest
  readonly #runs: TestedRun[] = []
  /** What steps have asked, by the ids of their questions. */
  readonly #questions = new Map<string, { step: string; answer: Answer | undefined; isAnswered: boolean }>()
  #owner = 'process 1'

  constructor(of: CallOf) {
    this.#of = of
    this.#time = new VirtualTime(of.now)
    const params = { name: SCOPE, arguments: of.args, _meta: { progressToken: SCOPE } } as Params
    this.#request = { jsonrpc: '2.0', id: 1, method: 'tools/call', params }
    const runOf = (log: unknown) =>
      log instanceof TestedLog ? this.#runs.find((run) => run.log === log) : this.#runs.at(-1)
    this.effects = new Effects(runOf)
    this.#tool = of.world(this.effects.effect)
  }

  get runs(): readonly TestedRun[] {
    return this.#runs
  }

  async begin(crash: CrashPoint | undefined, withinMs: number): Promise<RunEnd> {
    const { principal } = this.#of
    const state = { key: 'initialize', data: '{}' }
    const session = { id: SCOPE, principal, protocolVersion: '2025-11-25', state, ttlMs: HOUR }
    await this.#store.createSession(session, { maxPerPrincipal: 1 })
    const request = { messages: [this.#request], batch: false, protocol: '2025-11-25', node: this.#owner }
    const opened = await this.#store.openCall({
      scope: SCOPE,
      callId: CALL_ID,
      owner: this.#owner,
      principal,
      requestKeys: [CALL_ID],
      data: encodeRecord({ kind: 'request', request: { ...request, handlers: ['durable'] } }),
      ttlMs: HOUR,
      maxOpenCalls: 1,
    })
    if (opened.status !== 'opened') throw new Error(`The call was not opened but is ${opened.status}.`)
    return this.#run(opened.id, undefined, crash, withinMs)
  }

  /** Another process takes the call over. `over`: it has its result, which was recorded as the process died. */
  async takeOver(crash: CrashPoint | undefined, withinMs: number): Promise<RunEnd | 'over'> {
    const from = this.#owner
    this.#owner = `process ${this.#runs.length + 1}`
    const data = encodeRecord({ kind: 'claim', claim: { node: this.#owner, nonce: randomId() } })
    const claimed = await this.#store.claimCall(SCOPE, CALL_ID, { from, to: this.#owner, data })
    if (!claimed) return 'over'
    const pages = readPages(this.#store, SCOPE, `call:${CALL_ID}`, NEVER)
    const runs = await EarlierRuns.read(pages, claimed.claims)
    const inbox = await readAll(this.#store, SCOPE, `call:${CALL_ID}:in`, NEVER)
    await this.#answer(runs.sent.questionIds)
    return this.#run(claimed.id, { runs, inbox }, crash, withinMs)
  }

  /** Runs the handler once more against the journal of its call, which has ended; what differs. */
  async replay(withinMs: number) {
    const run = this.#runs.at(-1)
    const recorded = run && (await recordedBy(run.call))
    if (!run?.handled || !recorded) return []
    const { callId, scope, request, caller, attempt, clientCapabilities, logLevel, timeAndChance } = run.log
    const { ending, begun, rerun } = run.handled
    const call = { callId, scope, request, caller, attempt, clientCapabilities, logLevel, timeAndChance }
    const { mapChanges } = run
    return validateEffects({ ...call, ...recorded, begun, ending, mapChanges }, this.#store, rerun, {
      withinMs,
    })
  }

  async [Symbol.asyncDispose]() {
    for (const run of this.#runs) run.end()
    await this.#store.close()
  }

  #run(
    first: EntryId,
    past: { runs: EarlierRuns; inbox: Awaited<ReturnType<typeof readAll>> } | undefined,
    crash: CrashPoint | undefined,
    withinMs: number,
  ): Promise<RunEnd> {
    const { args, extra, principal } = this.#of
    const run = new TestedRun(
      {
        store: this.#store,
        time: this.#time,
        tool: this.#tool,
        args,
        extra,
        scope: SCOPE,
        id: CALL_ID,
        request: this.#request,
        principal,
        questionOf: (question) => this.#questions.get(question)?.step,
        asks: (name, question) => this.#asks(name, question),
        asked: (question) => void this.#answer([question]),
      },
      past ? { first, past } : { first },
      crash,
    )
    this.#runs.push(run)
    return run.run(withinMs)
  }

  /** Whether it will be answered. */
  #asks(step: string, { params }: { params?: Params }): boolean {
    const id = questionOf(step)
    const known = this.#questions.get(id)
    if (known) return known.answer !== undefined
    const [name = '', key] = step.split('\n')
    const { answers } = this.#of
    const given = (key === undefined ? undefined : answers[`${name} (${key})`]) ?? answers[name]
    const answer = typeof given === 'function' ? given(params) : given
    this.#questions.set(id, { step, answer, isAnswered: false })
    return answer !== undefined
  }

  /** The client answers what is in the journal, once, whether or not anybody is there to hear it. */
  async #answer(asked: readonly string[]) {
    for (const id of asked) {
      const question = this.#questions.get(id)
      if (!question?.answer || question.isAnswered) continue
      question.isAnswered = true
      const json = JSON.stringify(responseOf(id, question.answer))
      const item = encodeInboxItem({ kind: 'answer', question: id, json })
      const options = { nonce: id, maxLength: MAX_INBOX, answers: id }
      await this.#store.append(SCOPE, `call:${CALL_ID}:in`, item, options)
    }
  }

  /** The steps that wait for an answer which nobody gives. */
  get unanswered(): string[] {
    return [...this.#questions.values()].filter(({ answer }) => !answer).map(({ step }) => step)
  }
}

/** The id under which a step of the call asks. */
const questionOf = (step: string) => `${CALL_ID}.n${digest(step)}`

function responseOf(id: string, answer: Answer): JsonRpcResponse {
  const about = { jsonrpc: '2.0', id } as const
  if (answer instanceof Error) return { ...about, error: { code: -1, message: answer.message } }
  return { ...about, result: answer }
}
