import type { Attributes } from '@opentelemetry/api'
import { shortId } from '../logger.js'
import { PROTOCOL_VERSIONS, SESSIONLESS } from '../protocol.js'
import type { CallEnding, CallOutcome, Run } from '../signals/events.js'

/** The methods that clients call; any other one is theirs to invent. */
const METHODS = new Set([
  'completion/complete',
  'initialize',
  'logging/setLevel',
  'ping',
  'prompts/get',
  'prompts/list',
  'resources/list',
  'resources/read',
  'resources/subscribe',
  'resources/templates/list',
  'resources/unsubscribe',
  'tools/call',
  'tools/list',
])
const OTHER = '_OTHER'
const VERSIONS = new Set([...PROTOCOL_VERSIONS, SESSIONLESS])
const MOST_NAMES = 200
const MOST_CHARS = 100

/** Names as values of an attribute of metrics: so many and no more, since each is kept for ever. */
export class Names {
  readonly #known = new Set<string>()

  /** `exists`: nobody has made it up. */
  of(name: string, exists = true): string {
    if (this.#known.has(name)) return name
    if (!exists || this.#known.size >= MOST_NAMES || name.length > MOST_CHARS) return OTHER
    this.#known.add(name)
    return name
  }
}

/** JSON-RPC's own codes and those that it reserves for servers, as which MCP defines its; any other one is its sender's to invent. */
export const isReserved = (code: number) =>
  code === -32700 || (code >= -32603 && code <= -32600) || (code >= -32099 && code <= -32000)

export const methodOf = (method: string) => (METHODS.has(method) ? method : OTHER)
export const cut = (text: string) => text.slice(0, MOST_CHARS)

/** Semantic conventions for MCP: what a request is about. */
export function attributesOf(method: string, name: string | undefined): Attributes {
  if (method === 'tools/call') {
    const tool = name !== undefined && { 'gen_ai.tool.name': name }
    return { 'mcp.method.name': method, 'gen_ai.operation.name': 'execute_tool', ...tool }
  }
  const prompt = method === 'prompts/get' && name !== undefined && { 'gen_ai.prompt.name': name }
  return { 'mcp.method.name': methodOf(method), ...prompt }
}

/** Ids are shortened: whoever has a whole one may be able to use it. */
export const runAttributes = ({
  sessionId,
  callId,
  attempt,
}: Pick<Run, 'sessionId' | 'callId' | 'attempt'>) => ({
  ...(sessionId !== undefined && { 'mcp_durable.session': shortId(sessionId) }),
  'mcp_durable.call': shortId(callId),
  'mcp_durable.attempt': attempt,
})

/** A server behind this one may say anything. */
export const versionAttribute = ({ protocolVersion }: Pick<Run, 'protocolVersion'>): Attributes =>
  protocolVersion === undefined
    ? {}
    : { 'mcp.protocol.version': VERSIONS.has(protocolVersion) ? protocolVersion : OTHER }

/** How a call came out; `error.type` as the conventions have it. `isKnown`: which codes are told, the others being one. */
export function endAttributes(
  { outcome, errorCode }: CallEnding,
  isKnown: (code: number) => boolean = () => true,
): Attributes {
  const code = errorCode === undefined ? undefined : isKnown(errorCode) ? String(errorCode) : OTHER
  return {
    'mcp_durable.outcome': outcome,
    ...(code !== undefined && { 'rpc.response.status_code': code }),
    ...(isError(outcome) && { 'error.type': outcome === 'tool-error' ? 'tool_error' : (code ?? OTHER) }),
  }
}

export const isError = (outcome: CallOutcome) => outcome === 'tool-error' || outcome === 'error'
