import { isOver } from '../call/journal.js'
import { asksForInput, mayAsk } from '../input-required.js'
import { ErrorCode, isRequest, isResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse, JsonRpcResult } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import { isAlone, META, SESSIONLESS } from '../protocol.js'
import type { ProxyObject } from '../session/server-factory.js'
import type { DispatchExtra, ServerTransport } from '../session/transport.js'
import { ALONE } from './channel.js'
import type { Channel } from './channel.js'
import { discover, enveloped } from './discovery.js'
import { ProxyCall } from './proxy-call.js'
import type { Relay } from './proxy-call.js'
import { broken } from './refusal.js'
import { UNUSABLE } from './server-session.js'

export type SessionlessServices = {
  channel: Channel
  /** Its nodes and ours are not the same: what it runs may go on when this node is gone. */
  shared: boolean
  /** What the server says of itself. */
  about: Record<string, unknown>
  /** The server answers as if it spoke another version. */
  doubt: () => void
  logger: Logger
  graceMs: number
  maxRuns: number
  maxBytes: number
}

/** How a server refuses that does not know the version, by status and code: it wants a session, or is another one. */
const STRANGE = new Set([400, 404, 405, 406, 415])
const FOREIGN = new Set<number>([ErrorCode.refused, ErrorCode.sessionNotFound, ErrorCode.unsupportedVersion])

/**
 * Stands for a server behind HTTP that needs no sessions: each request goes there as it came, with its headers, and its
 * answer is the answer. One for all clients: what a request is about it says for itself.
 */
export class SessionlessProxy implements ProxyObject, Relay {
  readonly sessionless = true
  readonly session = ALONE
  readonly shared: boolean
  readonly channel: Channel
  readonly graceMs: number
  readonly maxRuns: number
  readonly maxBytes: number
  readonly #services: SessionlessServices
  readonly #calls = new Map<string, ProxyCall>()
  #transport!: ServerTransport
  #isClosed = false

  constructor(services: SessionlessServices) {
    this.#services = services
    this.shared = services.shared
    this.channel = services.channel
    this.graceMs = services.graceMs
    this.maxRuns = services.maxRuns
    this.maxBytes = services.maxBytes
  }

  async connect(transport: ServerTransport) {
    this.#transport = transport
    transport.onmessage = (message: JsonRpcMessage, extra: DispatchExtra = {}) => this.#take(message, extra)
  }

  async close() {
    this.#isClosed = true
    for (const call of this.#calls.values()) call.stop()
  }

  readonly isTelling = false

  clientSaid() {
    // It asks in requests alone.
  }

  letGo(requestId: string) {
    this.#calls.get(requestId)?.stop()
  }

  complain(error: Error) {
    if (!this.#isClosed) this.#services.logger.warn({ error }, UNUSABLE)
  }

  probe = discover

  async revive() {
    return ALONE
  }

  extraOf({ extra }: ProxyCall) {
    return extra
  }

  /** Without a session the server tells, and asks for nothing. */
  async deliver(message: JsonRpcMessage, call: ProxyCall, event: string | undefined) {
    if (isResponse(message)) return
    if (isRequest(message))
      return this.complain(new Error('It has sent a request, which this version has not.'))
    const origin = event !== undefined && this.shared ? { event } : undefined
    try {
      await this.#transport.send(message, { relatedRequestId: call.request.id, ...(origin && { origin }) })
    } catch {
      // The call has ended, or moved on: nobody waits for the rest.
      call.stop()
    }
  }

  async respond(call: ProxyCall, response: JsonRpcResponse) {
    const { request } = call
    try {
      // The client gets a handle in place of the server's own state.
      if (mayAsk(request) && asksForInput(response))
        await this.#transport.record(String(request.id), { asks: { state: response.result['requestState'] } })
      await this.#transport.send(response)
    } catch (error) {
      if (!isOver(error)) this.complain(error as Error)
    }
    call.extra.onHead?.()
    call.end()
  }

  taken({ extra }: ProxyCall) {
    extra.onHead?.()
  }

  refused(status: number, code: number) {
    if (STRANGE.has(status) && FOREIGN.has(code)) this.#services.doubt()
  }

  async mark({ request, session, wireId }: ProxyCall, event: string | undefined) {
    if (!this.shared) return
    const begun = { session, wireId, ...(event !== undefined && { event }) }
    await this.#transport.record(String(request.id), { begun }).catch(() => undefined)
  }

  startOver({ request }: ProxyCall) {
    return this.#transport.startOver(String(request.id)).catch(() => false)
  }

  #take(message: JsonRpcMessage, extra: DispatchExtra) {
    // What a client says otherwise than by a request has no meaning in this version.
    if (isResponse(message)) return
    if (isRequest(message)) return void this.#run(message, extra)
    // To close the stream of a request is to cancel it.
    if (message.method === 'notifications/cancelled')
      this.#calls.get(String(message.params?.['requestId']))?.stop()
  }

  async #run(request: JsonRpcRequest, extra: DispatchExtra) {
    if (request.method === 'initialize') return void this.#transport.send(this.#begun(request))
    const call = new ProxyCall(this, isAlone(request) ? request : enveloped(request), extra)
    const id = String(request.id)
    this.#calls.set(id, call)
    try {
      if (!this.#isClosed) await call.run()
    } catch (error) {
      this.complain(error as Error)
      await this.#transport.send(broken(request.id, 'could not be asked')).catch(() => undefined)
    } finally {
      if (this.#calls.get(id) === call) this.#calls.delete(id)
    }
  }

  /** What a server with sessions would have said of itself. */
  #begun({ id }: JsonRpcRequest): JsonRpcResult {
    const { capabilities = {}, instructions, _meta } = this.#services.about
    const serverInfo = (_meta as Record<string, unknown> | undefined)?.[META.serverInfo]
    const result = { protocolVersion: SESSIONLESS, capabilities, instructions, serverInfo }
    return { jsonrpc: '2.0', id, result }
  }

  renew() {
    // Each request brings what it needs.
  }
  listen() {
    // It has nothing to say outside of requests.
  }
  async heard() {
    // The same.
  }
  async hasSeen() {
    return true
  }
  saw() {
    // It keeps nothing.
  }
  discard() {
    // There is no session.
  }
  async settled() {
    // The same.
  }
}
