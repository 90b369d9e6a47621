import type { ProxySession } from '../call/record.js'
import { randomId } from '../ids.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse, RequestId } from '../json-rpc.js'
import { linkedTo } from '../linked-signal.js'
import type { Linked } from '../linked-signal.js'
import { outcomeUnknown } from '../session/recovery.js'
import type { DispatchExtra, MessageExtra } from '../session/transport.js'
import { sleepFor } from '../timers.js'
import { answers, BadAnswerError, drain, isEventStream, isOk, mayPass, meansToAnswer } from './answer.js'
import { messagesOf, noAnswer, noMessage, parseMessages } from './answer.js'
import type { Answer, Intake } from './answer.js'
import { hasLost, UnsentError } from './channel.js'
import type { Channel } from './channel.js'
import { readEvents } from './events.js'
import { broken, refusalOf, unreachable } from './refusal.js'

/** What a request on its way needs of the server object that it was given to. */
export interface Relay {
  readonly channel: Channel
  readonly session: ProxySession
  /** How long a call that runs waits for a server that can't be reached. */
  readonly graceMs: number
  readonly maxRuns: number
  /** The largest message that is taken from the server. */
  readonly maxBytes: number
  /** The server has sent what can't be used. */
  complain(error: Error): void
  /** What comes with it by now: its client may have brought a new token. */
  extraOf(call: ProxyCall): MessageExtra
  /** The server does not know the session any more; resolves to the one to go on with. What it rejects with is on the log. */
  revive(stale: ProxySession, extra: MessageExtra): Promise<ProxySession>
  /** What any server answers that is there. */
  probe(): JsonRpcRequest
  /** It has refused the request, with this status and this code of an error. */
  refused(status: number, code: number): void
  /** It has not refused the request. */
  taken(call: ProxyCall): void
  /** A notification or a question of the server. `event`: its place in the server's stream. */
  deliver(message: JsonRpcMessage, call: ProxyCall, event: string | undefined): Promise<void>
  respond(call: ProxyCall, response: JsonRpcResponse): Promise<void>
  /** The place in the server's stream from which another node could go on. */
  mark(call: ProxyCall, event: string | undefined): Promise<void>
  /** Whether the request may be run again although it may have run; if so, what was sent of it counts as sent before. */
  startOver(call: ProxyCall): Promise<boolean>
}

/** `interrupted`: it may have run, and its answer has not come. `unsent`: it has certainly not run. */
type Outcome = 'answered' | 'unsent' | 'interrupted'

const RETRY_MS = 500
const MOST_RETRY_MS = 5_000
const MOST_REVIVALS = 2
const LINGER_MS = 1000
const SILENT_MS = 5_000
/** Its client may be about to come back, with a new token. */
const UNAUTHORIZED = 401
/** An empty stream that the server has kept open for as long as that is one that it knows. */
const STANDS_MS = 1000

/** One request on its way to the server behind this one, until its response has come or can't come any more. */
export class ProxyCall {
  readonly request: JsonRpcRequest
  readonly extra: DispatchExtra
  /** Its id at the server; another one each time it is sent, since the server may run the old one still. */
  wireId: RequestId
  /** The session it was sent in. */
  session: ProxySession
  readonly #relay: Relay
  readonly #stopped = new AbortController()
  #cursor: string | undefined
  #marked = false
  #retry = RETRY_MS
  #runs = 0
  #complained = false

  constructor(relay: Relay, request: JsonRpcRequest, extra: DispatchExtra) {
    this.#relay = relay
    this.request = request
    this.extra = extra
    this.wireId = request.id
    this.session = relay.session
  }

  /** Stops waiting for the server. It is told nothing: others may go on with what it runs. */
  stop() {
    this.#stopped.abort()
  }

  /** Its response has come. A stream that stays open behind it is left after a moment. */
  end() {
    setTimeout(() => this.stop(), LINGER_MS).unref()
  }

  /** It can't go on at the server, which is told by others. `what`: what that has done, behind "The server behind this one". */
  async fail(what: string) {
    await this.#end(what)
    this.stop()
  }

  /** Resolves when the session server has the response, or the request was stopped. */
  async run(): Promise<void> {
    const { interrupted } = this.extra
    const resume = interrupted?.resume
    if (resume) {
      this.session = resume.session
      this.wireId = resume.wireId
      this.#cursor = resume.event
      this.#marked = true
    }
    const first = interrupted ? 'interrupted' : await this.#send()
    if (first === 'unsent') await this.#answer(unreachable(this.request.id))
    else if (first !== 'answered') await this.#finish()
  }

  /** It may have run: what is left of its stream, or another run if that may be, or the word that nobody knows. */
  async #finish() {
    let outcome: Outcome = 'interrupted'
    while (outcome === 'interrupted' && !this.#isStopped) {
      if (await this.#resume()) return
      if (!(await this.#isReachable()) || !(await this.#mayStartOver())) break
      this.wireId = `${this.request.id}.${randomId()}`
      this.#cursor = undefined
      this.#marked = false
      outcome = await this.#send()
      if (outcome === 'answered') return
      outcome = 'interrupted'
    }
    await this.#answer(outcomeUnknown(this.request, 'no-answer'))
  }

  async #mayStartOver() {
    if (this.#isStopped || this.#runs >= this.#relay.maxRuns) return false
    return this.#relay.startOver(this)
  }

  /** A server that has refused the session for being unknown has certainly not run the request: it is sent again. */
  async #send(): Promise<Outcome> {
    this.#runs++
    this.session = this.#relay.session
    for (let revivals = 0; ; revivals++) {
      const answer = await this.#sendOnce()
      if (typeof answer === 'string') return answer
      if (revivals === MOST_REVIVALS || !(await hasLost(this.session, answer, () => this.#ping())))
        return this.#take(answer).catch((error: unknown) => this.#failed(error, 'interrupted'))
      await drain(answer)
      const session = await this.#relay.revive(this.session, this.#extraNow).catch(() => undefined)
      if (!session) return 'unsent'
      this.session = session
    }
  }

  async #sendOnce(): Promise<Answer | Outcome> {
    try {
      const { channel } = this.#relay
      const extra = this.#runs === 1 ? this.extra : this.#extraNow
      return await channel.post(
        this.session,
        { ...this.request, id: this.wireId },
        extra,
        this.#stopped.signal,
      )
    } catch (error) {
      return this.#failed(error, error instanceof UnsentError ? 'unsent' : 'interrupted')
    }
  }

  get #extraNow() {
    return this.#relay.extraOf(this)
  }

  async #take(answer: Answer): Promise<Outcome> {
    const { id } = this.request
    if (!isOk(answer)) {
      const refusal = await refusalOf(id, answer)
      this.#relay.refused(answer.status, refusal.error.code)
      return this.#answer(refusal)
    }
    this.#relay.taken(this)
    if (isEventStream(answer)) return this.#follow(answer)
    const response = await this.#handOn(await messagesOf(answer, this.#intake), undefined)
    if (!response) throw noAnswer()
    return this.#answer(response)
  }

  /** What comes at once, and the answer last: nothing goes out behind that. `place`: behind all of it. */
  async #handOn(messages: readonly JsonRpcMessage[], place: string | undefined) {
    const response = messages.find((message) => answers(message, this.wireId))
    if (!response && place !== undefined) await this.#mark()
    const others = messages.filter((message) => message !== response)
    const isLast = (n: number) => !response && n === others.length - 1
    for (const [n, message] of others.entries())
      await this.#relay.deliver(message, this, isLast(n) ? place : undefined)
    return response
  }

  /** Reads to the end, also past the answer: only then can the connection be used again. */
  async #follow(answer: Answer, onSign?: () => void): Promise<Outcome> {
    let outcome: Outcome = 'interrupted'
    try {
      const { maxBytes } = this.#relay
      for await (const { id, data } of readEvents(answer.body, {
        maxBytes,
        onRetry: (ms) => {
          this.#retry = ms
          onSign?.()
        },
      })) {
        onSign?.()
        if (outcome === 'answered') continue
        if (data === '') {
          this.#cursor = id ?? this.#cursor
          await this.#mark()
          continue
        }
        const response = await this.#handOn(parseMessages(data, this.#intake), id)
        if (response) {
          outcome = await this.#answer(response)
          continue
        }
        this.#cursor = id ?? this.#cursor
      }
    } catch (error) {
      return this.#failed(error, outcome)
    }
    // The server makes its client come back, on whichever node; so do we.
    if (outcome === 'interrupted' && this.#cursor !== undefined) this.extra.closeSSEStream?.()
    return outcome
  }

  /** What came can't be used: that is the end of the request. Anything else is what it would be without an answer. */
  async #failed(error: unknown, outcome: Outcome): Promise<Outcome> {
    if (this.#isStopped || outcome === 'answered') return 'answered'
    if (!(error instanceof BadAnswerError)) return outcome
    this.#relay.complain(error)
    return this.#end(error.message)
  }

  #end(what: string): Promise<'answered'> {
    const { id, method } = this.request
    const left =
      method === 'tools/call' ? '. What the tool has done is unknown: check it before you call again' : ''
    return this.#answer(broken(id, what + left))
  }

  get #intake(): Intake {
    return { maxBytes: this.#relay.maxBytes, onStrange: this.#onStrange }
  }

  readonly #onStrange = (candidate: unknown) => {
    const error = noMessage()
    if (meansToAnswer(candidate, this.wireId)) throw error
    if (!this.#complained) this.#relay.complain(error)
    this.#complained = true
  }

  /** Once for each stream, before anything of it: from here on another node could go on with it. */
  async #mark() {
    if (this.#marked) return
    this.#marked = true
    await this.#relay.mark(this, this.#cursor)
  }

  /**
   * Goes on with the server's stream where it broke. True if that brought the answer. A server that has forgotten the stream may
   * show an empty one, again and again: that is waited for as one that can't be reached.
   */
  async #resume(): Promise<boolean> {
    let until = performance.now() + this.#relay.graceMs
    let wait = this.#retry
    while (this.#cursor !== undefined && !this.#isStopped) {
      const silence = new Silence(this.#stopped.signal)
      const answer = await this.#get(silence.signal).catch(() => undefined)
      let isKnown = false
      if (answer && isEventStream(answer)) {
        const since = performance.now()
        const outcome = await this.#follow(answer, () => silence.broken()).finally(() => silence.end())
        if (outcome === 'answered') return true
        isKnown = silence.wasBroken || performance.now() - since >= STANDS_MS
      } else {
        if (answer) await drain(answer)
        silence.end()
        if (answer && !mayPass(answer) && answer.status !== UNAUTHORIZED) return false
      }
      if (!isKnown && performance.now() >= until) return false
      if (isKnown) until = performance.now() + this.#relay.graceMs
      wait = isKnown ? this.#retry : Math.max(this.#retry, Math.min(wait * 2, MOST_RETRY_MS))
      await this.#pause(wait)
    }
    return this.#isStopped
  }

  #get(signal: AbortSignal) {
    return this.#relay.channel.get(this.session, this.#cursor, this.#extraNow, signal)
  }

  /** Waits for the server to come back, as long as a call waits. */
  async #isReachable(): Promise<boolean> {
    const until = performance.now() + this.#relay.graceMs
    for (let wait = RETRY_MS / 4; !this.#isStopped; wait = Math.min(wait * 2, MOST_RETRY_MS)) {
      const answer = await this.#ping()
      if (answer && !mayPass(answer)) return true
      if (performance.now() >= until) return false
      await this.#pause(wait)
    }
    return false
  }

  #ping(): Promise<Answer | undefined> {
    const { channel } = this.#relay
    return channel.ask(this.session, this.#relay.probe(), this.#extraNow, this.#stopped.signal)
  }

  async #answer(response: JsonRpcResponse): Promise<'answered'> {
    if (!this.#isStopped) await this.#relay.respond(this, { ...response, id: this.request.id })
    return 'answered'
  }

  async #pause(ms: number) {
    await sleepFor(ms, { signal: this.#stopped.signal })
  }

  get #isStopped() {
    return this.#stopped.signal.aborted
  }
}

/** Some servers show a stream that is resumed what has happened, and never what happens then: it is asked for again. */
class Silence {
  readonly #connection: Linked
  #timer: NodeJS.Timeout | undefined
  wasBroken = false

  constructor(stopped: AbortSignal) {
    this.#connection = linkedTo(stopped)
    this.#begin()
  }

  get signal() {
    return this.#connection.signal
  }

  broken() {
    this.wasBroken = true
    this.#begin()
  }

  #begin() {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#connection.abort(), SILENT_MS)
  }

  end() {
    clearTimeout(this.#timer)
    this.#connection.unlink()
  }
}
