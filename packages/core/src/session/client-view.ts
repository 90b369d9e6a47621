import type { Client } from '../call/request-log.js'
import type { JsonRpcRequest } from '../json-rpc.js'
import { META, metaOf } from '../protocol.js'

/** What a server has learnt of its client from the requests that went through it, old ones that are replayed included. */
export class ClientView implements Client {
  capabilities: Record<string, unknown> = {}
  logLevel: string | undefined

  observe({ method, params }: JsonRpcRequest) {
    if (method === 'initialize')
      this.capabilities = (params?.['capabilities'] ?? {}) as Record<string, unknown>
    if (method === 'logging/setLevel' && typeof params?.['level'] === 'string')
      this.logLevel = params['level']
  }
}

/** What a request without a session says of its client. */
export function clientOf(request: JsonRpcRequest): Client {
  const { [META.clientCapabilities]: capabilities = {}, [META.logLevel]: level } = metaOf(request)
  return {
    capabilities: capabilities as Record<string, unknown>,
    logLevel: typeof level === 'string' ? level : undefined,
  }
}
