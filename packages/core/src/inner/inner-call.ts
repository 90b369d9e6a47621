import type { InnerSession } from '../call/record.js'
import { randomId } from '../ids.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse, RequestId } from '../json-rpc.js'
import { outcomeUnknown } from '../session/recovery.js'
import type { DispatchExtra, MessageExtra } from '../session/transport.js'
import { sleepFor } from '../timers.js'
import {
  answers,
  broken,
  isEventStream,
  mayPass,
  messagesOf,
  refusalOf,
  typeOf,
  unreachable,
} from './answer.js'
import { drained, UnsentError } from './channel.js'
import type { Channel } from './channel.js'
import { readEvents } from './events.js'

/** What a request on its way needs of the server object that it was given to. */
export interface Relay {
  readonly channel: Channel
  readonly session: InnerSession
  /** How long a call that runs waits for a server that can't be reached. */
  readonly graceMs: number
  readonly maxRuns: number
  /** The server does not know the session any more; resolves to the one to go on with. */
  revive(stale: InnerSession, extra: MessageExtra): Promise<InnerSession>
  /** A notification or a question of the server. `event`: its place in the server's stream. */
  deliver(message: JsonRpcMessage, call: InnerCall, event: string | undefined): Promise<void>
  respond(call: InnerCall, response: JsonRpcResponse): Promise<void>
  /** The place in the server's stream from which another node could go on. */
  mark(call: InnerCall, event: string | undefined): Promise<void>
  /** Whether the request may be run again although it may have run; if so, what was sent of it counts as sent before. */
  startOver(call: InnerCall): Promise<boolean>
}

/** `interrupted`: it may have run, and its answer has not come. `unsent`: it has certainly not run. */
type Outcome = 'answered' | 'unsent' | 'interrupted'

const RETRY_MS = 500
const MOST_RETRY_MS = 5_000
const MOST_REVIVALS = 2
const LINGER_MS = 1000
const SILENT_MS = 5_000

/** One request on its way to the server behind this one, until its response has come or can't come any more. */
export class InnerCall {
  readonly request: JsonRpcRequest
  readonly extra: DispatchExtra
  /** Its id at the server; another one each time it is sent, since the server may run the old one still. */
  wireId: RequestId
  /** The session it was sent in. */
  session: InnerSession
  readonly #relay: Relay
  readonly #stopped = new AbortController()
  #cursor: string | undefined
  #marked = false
  #retry = RETRY_MS
  #runs = 0

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

  /** Resolves when the host has the response, or the request was stopped. */
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
    await this.#answer(outcomeUnknown(this.request))
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
      let response: Response
      try {
        response = await this.#post({ ...this.request, id: this.wireId })
      } catch (error) {
        if (this.#isStopped) return 'answered'
        return error instanceof UnsentError ? 'unsent' : 'interrupted'
      }
      if (revivals === MOST_REVIVALS || !(await this.#isSessionLost(response))) return this.#take(response)
      await drained(response)
      this.session = await this.#relay.revive(this.session, this.extra)
    }
  }

  #post(message: JsonRpcMessage) {
    return this.#relay.channel.post(this.session, message, this.extra, this.#stopped.signal)
  }

  /** 404 says so (specification, "Session Management"); some servers say 400, as they do for what is wrong otherwise. */
  async #isSessionLost({ status }: Response): Promise<boolean> {
    if (this.session.id === undefined || (status !== 404 && status !== 400)) return false
    if (status === 404) return true
    const probe = await this.#post({ jsonrpc: '2.0', id: randomId(), method: 'ping' }).catch(() => undefined)
    if (probe) await drained(probe)
    return probe?.status === 400 || probe?.status === 404
  }

  async #take(response: Response): Promise<Outcome> {
    const { id } = this.request
    if (!response.ok) return this.#answer(await refusalOf(id, response))
    if (isEventStream(response)) return this.#follow(response.body)
    try {
      if (typeOf(response) !== 'application/json')
        return await this.#answer(broken(id, 'gave no JSON-RPC answer'))
      for (const message of await messagesOf(response)) {
        if (answers(message, this.wireId)) return await this.#answer(message)
        await this.#relay.deliver(message, this, undefined)
      }
    } catch {
      return this.#isStopped ? 'answered' : 'interrupted'
    }
    return this.#answer(broken(id, 'gave no answer to the request'))
  }

  /** Reads to the end, also past the answer: only then can the connection be used again. */
  async #follow(body: ReadableStream<Uint8Array>, onEvent?: () => void): Promise<Outcome> {
    let outcome: Outcome = 'interrupted'
    try {
      for await (const { id, data } of readEvents(body, (ms) => (this.#retry = ms))) {
        onEvent?.()
        if (data === '') {
          this.#cursor = id ?? this.#cursor
          await this.#mark()
          continue
        }
        const message = JSON.parse(data) as JsonRpcMessage
        if (answers(message, this.wireId)) {
          outcome = await this.#answer(message)
          continue
        }
        if (outcome === 'answered') continue
        if (id !== undefined) await this.#mark()
        await this.#relay.deliver(message, this, id)
        this.#cursor = id ?? this.#cursor
      }
    } catch {
      return this.#isStopped ? 'answered' : outcome
    }
    // The server makes its client come back, on whichever node; so do we.
    if (outcome === 'interrupted' && this.#cursor !== undefined) this.extra.closeSSEStream?.()
    return outcome
  }

  /** Once for each stream, before anything of it: from here on another node could go on with it. */
  async #mark() {
    if (this.#marked) return
    this.#marked = true
    await this.#relay.mark(this, this.#cursor)
  }

  /** Goes on with the server's stream where it broke. True if that brought the answer. */
  async #resume(): Promise<boolean> {
    let until = Date.now() + this.#relay.graceMs
    let wait = this.#retry
    while (this.#cursor !== undefined && !this.#isStopped) {
      const silence = new Silence()
      const response = await this.#get(silence.signal).catch(() => undefined)
      if (response && isEventStream(response)) {
        const outcome = await this.#follow(response.body, () => silence.broken())
        silence.end()
        if (outcome === 'answered') return true
        until = Date.now() + this.#relay.graceMs
        wait = this.#retry
      } else {
        if (response) await drained(response)
        if (response && !mayPass(response)) return false
        if (Date.now() >= until) return false
        wait = Math.min(wait * 2, MOST_RETRY_MS)
      }
      await this.#pause(wait)
    }
    return this.#isStopped
  }

  #get(silent: AbortSignal) {
    const signal = AbortSignal.any([this.#stopped.signal, silent])
    return this.#relay.channel.get(this.session, this.#cursor, this.extra, signal)
  }

  /** Waits for the server to come back, as long as a call waits. */
  async #isReachable(): Promise<boolean> {
    const until = Date.now() + this.#relay.graceMs
    for (let wait = RETRY_MS / 4; !this.#isStopped; wait = Math.min(wait * 2, MOST_RETRY_MS)) {
      const ping = { jsonrpc: '2.0' as const, id: randomId(), method: 'ping' }
      const response = await this.#post(ping).catch(() => undefined)
      if (response) await drained(response)
      if (response && !mayPass(response)) return true
      if (Date.now() >= until) return false
      await this.#pause(wait)
    }
    return false
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
  readonly #controller = new AbortController()
  #timer: NodeJS.Timeout | undefined

  constructor() {
    this.broken()
  }

  get signal() {
    return this.#controller.signal
  }

  broken() {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#controller.abort(), SILENT_MS)
  }

  end() {
    clearTimeout(this.#timer)
  }
}
