import { clientInfoOf, initializeFor } from '../../session/envelope.js'
import { freshServer } from '../../session/fresh-server.js'
import { changeOf, Registered } from '../../session/registered.js'
import type { ServerFactory, ServerObject, SessionInfo } from '../../session/server-factory.js'
import { StateReads } from '../../session/state-reads.js'
import { ServerTransport } from '../../session/transport.js'
import type { MessageExtra } from '../../session/transport.js'
import { isRequest, isResponse } from '../../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../../json-rpc.js'
import { isAlone } from '../../protocol.js'
import { clientOf, ClientView } from '../../session/client-view.js'
import type { ContextStore } from '../../store/context-store.js'

/** A client of which nothing is known can do everything. */
const ANYBODY: JsonRpcRequest = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} },
    clientInfo: { name: 'unknown', version: '0' },
  },
}
const KEEPER = { record: async () => undefined, startOver: async () => false, recall: () => undefined }

export type TrialSession = {
  scope: string
  principal: string | undefined
  /** The request of the call. */
  request: JsonRpcRequest
  /** What the client has told in the session, if that is known. */
  messages: readonly JsonRpcMessage[]
  /** Where `session.state` of the factory is. */
  stateScope: string | undefined
  store: ContextStore
}

/** A server object of the code that is tried, told what its client had told; what it says goes nowhere. */
export class TrialServer {
  readonly registered: Registered
  readonly client: Pick<ClientView, 'capabilities' | 'logLevel'>
  /** What it has asked its client by the SDK itself: nobody answers. */
  asks: string | undefined
  readonly #view = new ClientView()
  readonly #object: ServerObject
  readonly #transport: ServerTransport
  readonly #waiting = new Map<string | number, (response: JsonRpcResponse) => void>()

  private constructor(object: ServerObject, session: TrialSession) {
    const alone = isAlone(session.request)
    this.#object = object
    this.registered = new Registered(object)
    this.client = alone ? clientOf(session.request) : this.#view
    const send = async (message: JsonRpcMessage) => this.#hear(message)
    this.#transport = new ServerTransport(alone ? undefined : session.scope, send, KEEPER)
  }

  static async begin(factory: ServerFactory, session: TrialSession): Promise<TrialServer> {
    const { request, scope, principal } = session
    const begun = isAlone(request)
      ? [initializeFor(request)]
      : session.messages.length > 0
        ? session.messages
        : [ANYBODY]
    const clientInfo = isAlone(request) ? clientInfoOf(request) : infoIn(begun)
    const { state } = new StateReads(session.store, session.stateScope, 0)
    const object = await freshServer(factory, { sessionId: scope, clientInfo, principal, state })
    const server = new TrialServer(object, session)
    await object.connect(server.#transport)
    await server.#replay(begun)
    return server
  }

  ask(request: JsonRpcRequest, extra: MessageExtra = {}): Promise<JsonRpcResponse> {
    return new Promise((resolve) => {
      this.#waiting.set(request.id, resolve)
      this.#transport.deliver(request, extra)
    })
  }

  async close() {
    await this.#object.close().catch(() => undefined)
  }

  async #replay(messages: readonly JsonRpcMessage[]) {
    for (const message of messages) {
      const change = changeOf(message)
      if (change) this.registered.apply(change)
      else if (!isRequest(message)) this.#transport.deliver(message)
      else {
        this.#view.observe(message)
        await this.ask({ ...message, id: `${message.method} ${this.#waiting.size}` })
      }
    }
    // Handlers of notifications start some microtasks later.
    await new Promise<void>((resolve) => process.nextTick(resolve))
  }

  #hear(message: JsonRpcMessage) {
    if (isRequest(message)) this.asks ??= message.method
    else if (isResponse(message)) this.#waiting.get(message.id ?? '')?.(message)
  }
}

function infoIn([first]: readonly JsonRpcMessage[]): SessionInfo['clientInfo'] {
  const params = first && 'method' in first ? first.params : undefined
  return params?.['clientInfo'] as SessionInfo['clientInfo']
}
