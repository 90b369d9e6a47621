import type { StepKind } from '../context/call-log.js'
import { digest } from '../ids.js'
import type {
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
  RequestId,
} from '../json-rpc.js'
import { whileStoreFails } from '../store/retry.js'
import type { Ending } from '../store/retry.js'
import { startTimer } from '../timers.js'
import type { SentMessages } from './earlier-runs.js'
import { parseAnswer, parseProgress, progressTopic } from './inbox.js'
import { JournalLostError } from './journal.js'
import type { Journal, JournalServices } from './journal.js'
import { encodeName, keyOf } from './question-names.js'
import type { Origin } from './record.js'

/** Makes the message of a question for the id under which it goes out. `asked`: an earlier run has asked it. */
export type Outgoing = (id: string, asked: boolean) => JsonRpcRequest

/** Tells the client that nobody waits for its answer any more. */
export const WITHDRAWAL = 'notifications/cancelled'

/** The kinds of steps that ask, by the methods of their questions. */
const KINDS: ReadonlyMap<string, StepKind> = new Map([
  ['elicitation/create', 'elicit'],
  ['sampling/createMessage', 'sample'],
  ['roots/list', 'listRoots'],
])

type QuestionServices = Pick<JournalServices, 'store' | 'watcher'>
type QuestionsOf = {
  scope: string
  callId: string
  /** As what they are recorded. */
  kind: 'message' | 'question'
  /** Answers that came with the request, by the names of questions. */
  given: Readonly<Record<string, unknown>>
  journal: Journal
  /** What earlier runs have sent, as it is known now. */
  sent: () => SentMessages
  /** Questions whose answers have not come. What ends the call expects them no longer. */
  unexpected: string[]
  abandoned: Ending
  /** An answer or progress for whoever runs the call now. */
  deliver: (message: JsonRpcMessage) => void
  /** Until when the client of a call without a session may answer what an earlier run has asked, by its clock. */
  answerBy: number | undefined
  /** How long it may take with what is asked now. */
  answerWithinMs: () => number
  /** It has not come back with its answers by then. */
  unanswered: () => void
  /** Something was asked by name, in this run or in an earlier one, and is not answered. */
  asked: () => void
}

/** By `performance.now()`, and in ms since 1970. */
type Wait = { since: number; answerBy: number }

/**
 * What a call asks its client, and what the client has answered.
 *
 * Invariant: a question is asked once however often the call is run, and its first answer counts in every run.
 */
export class Questions {
  readonly #services: QuestionServices
  readonly #of: QuestionsOf
  /** The JSON of answers by question, also those for questions that this run has not asked yet. */
  readonly #answers = new Map<string, string>()
  readonly #asking = new Map<string, (answer: JsonRpcResponse) => void>()
  /** What this run waits for. */
  readonly #open = new Set<string>()
  #asked: number
  #wait: Wait | undefined
  #endProgress: (() => void) | undefined
  #endWait: (() => void) | undefined

  constructor(services: QuestionServices, of: QuestionsOf) {
    this.#services = services
    this.#of = { ...of }
    this.#asked = of.unexpected.length
  }

  /** Asks; `outgoing` takes the answer for the id from then on. Resolves when the question is in the journal. */
  async ask(question: JsonRpcRequest, outgoing: Outgoing, origin?: Origin) {
    const { callId, journal, deliver } = this.#of
    const asked = this.#of.sent().takeQuestion(question)
    const id = asked ?? `${callId}.${++this.#asked}`
    const message = outgoing(id, asked !== undefined)
    if (asked === undefined) {
      const record = journal.encode({ kind: this.#of.kind, message, ...(origin && { origin }) })
      await this.#expectAnswer(id)
      return this.#record(id, record)
    }
    if (!this.#answers.has(asked)) this.#waitFor(asked, false)
    if (origin)
      await journal.append({
        kind: 'proxy',
        proxy: { again: { message: question, origin, question: asked } },
      })
    const answer = this.answerTo(asked)
    if (answer) deliver(answer)
  }

  /** Asks under a name of the asker's own, unless `signal` has fired; resolves to the answer. Abandoned with the call. */
  async askByName(
    name: string,
    question: Omit<JsonRpcRequest, 'id' | 'jsonrpc'>,
    signal: AbortSignal,
  ): Promise<JsonRpcResponse> {
    const { journal } = this.#of
    const id = this.#idOf(name)
    const given = this.#givenFor(name)
    if (given) return { jsonrpc: '2.0', id, result: given }
    const record = this.#of.sent().hasAsked(id)
      ? undefined
      : journal.encode({ ...this.#kindFor(name), message: { jsonrpc: '2.0', id, ...question } })
    if (record) await this.#expectAnswer(id)
    // From here on it counts as asked.
    signal.throwIfAborted()
    const answered = new Promise<JsonRpcResponse>((resolve) => this.#asking.set(id, resolve))
    const answer = this.answerTo(id)
    if (answer) return answer
    if (record) await this.#record(id, record)
    else this.#waitFor(id, false)
    this.#of.asked()
    return answered
  }

  /** How many answers this run waits for. */
  get open() {
    return this.#open.size
  }

  /** For how long the client is waited for; `undefined`: it is not. */
  get wait(): Wait | undefined {
    return this.#open.size > 0 ? this.#wait : undefined
  }

  get isAsking() {
    return this.#open.size > 0
  }

  /** Nobody waits for the answer any more. */
  withdrawn(question: string) {
    this.#open.delete(question)
  }

  /** Whether a question was asked by name. */
  isNamed(question: RequestId) {
    return String(question).startsWith(`${this.#of.callId}.n`)
  }

  /** What an earlier run has asked under a name, if nothing else is known of it. */
  kindOf(name: string): StepKind | undefined {
    const sent = this.#of.sent()
    return sent.questionIds.length === 0 ? undefined : KINDS.get(sent.methodOf(this.#idOf(name)) ?? '')
  }

  /** Whether something was asked by a name that is none of these. */
  hasAskedBeyond(names: readonly string[]): boolean {
    const asked = this.#of.sent().questionIds.filter((id) => id.startsWith(this.#idPrefix))
    if (asked.length === 0) return false
    const expected = new Set(names.map((name) => this.#idOf(name)))
    return asked.some((id) => !expected.has(id))
  }

  /** What tells the client that nobody waits for the answer to a named question any more; `undefined` if it was not asked. */
  withdrawal(name: string, reason: string): JsonRpcNotification | undefined {
    const requestId = this.#idOf(name)
    if (!this.#asking.delete(requestId) && !this.#of.sent().hasAsked(requestId)) return undefined
    return { jsonrpc: '2.0', method: WITHDRAWAL, params: { requestId, reason } }
  }

  /** The client's answer to a question, if it has come. */
  answerTo(question: string): JsonRpcResponse | undefined {
    const json = this.#answers.get(question)
    return json === undefined ? undefined : parseAnswer(json)
  }

  /** An answer has come, to this run or to an earlier one. */
  answered(question: string, json: string) {
    if (this.#answers.has(question)) return
    this.#answers.set(question, json)
    this.#open.delete(question)
    const { unexpected, deliver } = this.#of
    const place = unexpected.indexOf(question)
    if (place >= 0) unexpected.splice(place, 1)
    const asking = this.#asking.get(question)
    if (asking) asking(parseAnswer(json))
    else deliver(parseAnswer(json))
  }

  /** Nobody waits for answers any more. */
  end() {
    this.#endProgress?.()
    this.#endWait?.()
  }

  #givenFor(name: string): Record<string, unknown> | undefined {
    const key = keyOf(name)
    const given = Object.hasOwn(this.#of.given, key) ? this.#of.given[key] : undefined
    return typeof given === 'object' && given !== null ? (given as Record<string, unknown>) : undefined
  }

  /** A client without a session answers by the name. */
  #kindFor(name: string) {
    const { kind } = this.#of
    return kind === 'question' ? { kind, step: encodeName(name) } : { kind }
  }

  #idOf(name: string) {
    return `${this.#idPrefix}${digest(name)}`
  }

  get #idPrefix() {
    return `${this.#of.callId}.n`
  }

  /** Before the client can see the question: an answer that nobody expects is kept nowhere. */
  async #expectAnswer(question: string) {
    const { scope, callId, unexpected, abandoned } = this.#of
    const expect = () => this.#services.store.expect(scope, question, { ifOpen: callId })
    unexpected.push(question)
    if (!(await whileStoreFails(expect, abandoned))) throw new JournalLostError('gone')
  }

  async #record(question: string, record: ReturnType<Journal['encode']>) {
    this.#waitFor(question, true)
    try {
      await this.#of.journal.append(record)
    } catch (error) {
      this.#open.delete(question)
      throw error
    }
  }

  /** `isNew`: an earlier run has not asked it. */
  #waitFor(question: string, isNew: boolean) {
    this.#open.add(question)
    if (this.#of.kind === 'message') return this.#listenForProgress()
    const known = this.#wait?.answerBy ?? this.#of.answerBy
    const answerBy = isNew || known === undefined ? Date.now() + this.#of.answerWithinMs() : known
    this.#wait = { since: performance.now(), answerBy }
    const late = () => {
      if (this.#open.size > 0) this.#of.unanswered()
    }
    this.#endWait?.()
    this.#endWait = startTimer(Math.max(0, answerBy - Date.now()), late, { ref: false })
  }

  #listenForProgress() {
    const { scope, callId, deliver } = this.#of
    const topic = progressTopic(callId)
    this.#endProgress ??= this.#services.watcher.watch(scope, topic, (signal) => {
      if (signal.topic === topic) deliver(parseProgress(signal.value))
    }).end
  }
}
