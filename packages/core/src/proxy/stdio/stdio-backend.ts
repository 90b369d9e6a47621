import { randomId } from '../../ids.js'
import { ErrorCode, errorResponse, isRequest } from '../../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../../json-rpc.js'
import type { Logger } from '../../logger.js'
import { sleepFor } from '../../timers.js'
import type { Answer } from '../answer.js'
import type { Backend, ProxyRequest } from '../channel.js'
import type { Outbox } from './outbox.js'
import type { StdioServer } from './stdio-process.js'
import { StdioSession } from './stdio-session.js'

export type StdioServices = {
  server: StdioServer
  /** The largest message that is taken from it. */
  maxBytes: number
  logger: Logger
}

/** After a process that has ended before it was of use; twice as long each time. */
const WAIT_MS = 250
const MOST_WAIT_MS = 15_000
/** A client waits as long as that; beyond it, it is told. */
const WAITED_FOR_MS = 1000
/** Clients whose sessions end so soon make one for each request (2026-07-28): for them a process is begun ahead. */
const SHORT_MS = 30_000
/** By what they say of themselves. */
const MOST_READY = 4

type Held = { id: string; session: StdioSession; key: string; since: number }

/**
 * A server that speaks stdio, as one that speaks Streamable HTTP: each session is a process of its own. A session whose process has
 * ended is unknown, so whoever uses it begins a new one, and tells that what the old one was told.
 */
export class StdioBackend implements Backend {
  readonly shared = false
  readonly #services: StdioServices
  readonly #sessions = new Map<string, Held>()
  /** Until when what was told in `initialize` is expected to be told again soon. */
  readonly #expected = new Map<string, number>()
  /** Begun ahead, by what they were told. Nobody has used them. */
  readonly #ready = new Map<string, Held>()
  /** Whose process has not ended yet. */
  readonly #alive = new Set<StdioSession>()
  /** Processes in a row that have ended by themselves before they were asked for anything. */
  #failures = 0
  #notBefore = 0
  #isClosed = false

  constructor(services: StdioServices) {
    this.#services = services
  }

  async exchange({ method, headers, body, signal }: ProxyRequest): Promise<Answer> {
    signal.throwIfAborted()
    const message = body === undefined ? undefined : (JSON.parse(body) as JsonRpcMessage)
    const request = message && isRequest(message) ? message : undefined
    if (request?.method === 'initialize') return this.#begin(request, signal)
    const id = headers['mcp-session-id']
    if (id === undefined) return refusal(400, request, NO_SESSION)
    const held = this.#sessions.get(id)
    if (held && method === 'DELETE') return this.#end(held)
    if (!held?.session.isOpen) return refusal(404, request, GONE)
    const { session } = held
    if (method === 'GET') return streamed(session.listen(signal))
    if (session.isStuck) return refusal(503, request, STUCK)
    if (!request) return !message || (await session.tell(message)) ? answer(202) : refusal(404, request, GONE)
    const asked = await session.ask(request, signal)
    return asked ? streamed(asked) : refusal(404, request, GONE)
  }

  async #begin(request: JsonRpcRequest, signal: AbortSignal): Promise<Answer> {
    const key = JSON.stringify(request.params)
    const kept = this.#ready.get(key)
    const ready = kept?.session.isOpen ? kept : undefined
    const waitMs = this.#notBefore - performance.now()
    if (!ready && waitMs > 0 && waitMs <= WAITED_FOR_MS) await sleepFor(waitMs, { signal })
    else if (!ready && waitMs > 0)
      return refusal(503, request, FAILING, { 'retry-after': String(Math.ceil(waitMs / 1000)) })
    if (this.#isClosed) return refusal(503, request, CLOSED)
    signal.throwIfAborted()
    const held = await this.#hold(request, key, ready)
    if (!held) return refusal(502, request, NOT_STARTED)
    // Whoever has gone meanwhile has no session.
    if (signal.aborted) void held.session.end()
    signal.throwIfAborted()
    return streamed(held.session.begin(request, signal), { 'mcp-session-id': held.id })
  }

  /** A session whose process runs. */
  async #hold(initialize: JsonRpcRequest, key: string, ready: Held | undefined): Promise<Held | undefined> {
    try {
      const held = ready ?? this.#start(initialize, key)
      this.#ready.delete(key)
      this.#makeReady(initialize, key)
      held.since = performance.now()
      this.#sessions.set(held.id, held)
      await held.session.started
      return held
    } catch (error) {
      this.#services.logger.error({ error }, 'the command of a server of stdio cannot be started')
      return undefined
    }
  }

  #start(initialize: JsonRpcRequest, key: string): Held {
    const id = randomId()
    const onUse = () => (this.#failures = 0)
    const onEnd = (failed: boolean) => {
      this.#alive.delete(session)
      this.#sessions.delete(id)
      if (this.#ready.get(key)?.id === id) this.#ready.delete(key)
      if (failed)
        this.#notBefore = performance.now() + Math.min(WAIT_MS * 2 ** this.#failures++, MOST_WAIT_MS)
    }
    const session = new StdioSession(initialize, { ...this.#services, onUse, onEnd })
    this.#alive.add(session)
    session.started.catch(() => undefined)
    return { id, session, key, since: performance.now() }
  }

  async #end({ id, session, key, since }: Held) {
    this.#sessions.delete(id)
    const now = performance.now()
    if (now - since < SHORT_MS) this.#expected.set(key, now + SHORT_MS)
    await session.end()
    return answer(200)
  }

  #makeReady(initialize: JsonRpcRequest, key: string) {
    const now = performance.now()
    for (const [one, until] of this.#expected) if (until < now) this.#expected.delete(one)
    if (!this.#expected.has(key) || this.#ready.has(key) || this.#ready.size >= MOST_READY) return
    this.#ready.set(key, this.#start(initialize, key))
  }

  async close() {
    this.#isClosed = true
    await Promise.all([...this.#alive].map((session) => session.end()))
  }
}

const NO_SESSION = 'A server of stdio needs a session.'
const GONE = 'The process of this session has ended.'
const NOT_STARTED = 'The command of the server cannot be started; the log of this node says why.'
const STUCK = 'The process of the server does not read what it is sent.'
const CLOSED = 'This node is leaving.'
const FAILING = 'The process of the server ends before it is of use; it is started again in a moment.'

type Headers = Record<string, string>

async function* bytesOf(text: string) {
  if (text !== '') yield Buffer.from(text)
}

const answer = (status: number, headers: Headers = {}, text = ''): Answer => ({
  status,
  header: (name) => headers[name],
  body: bytesOf(text),
  cancel: () => undefined,
})

const streamed = (outbox: Outbox, headers: Headers = {}): Answer => ({
  ...answer(200, { ...headers, 'content-type': 'text/event-stream' }),
  body: outbox.events(),
  cancel: () => outbox.cancel(),
})

function refusal(status: number, to: JsonRpcRequest | undefined, message: string, headers: Headers = {}) {
  const error = errorResponse(to?.id ?? null, ErrorCode.refused, message)
  return answer(status, { ...headers, 'content-type': 'application/json' }, JSON.stringify(error))
}
