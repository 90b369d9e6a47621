import { isNotification, isObject, isRequest } from '../../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../../json-rpc.js'
import { isSessionless, META, metaOf, namesSessionless, SESSIONLESS } from '../../protocol.js'
import { MAX_STATE_CHARS } from '../../session/state.js'
import type { Body } from '../body.js'
import type { Exchange } from '../exchange.js'
import { refuse } from '../replies.js'

/**
 * Whether a POST is one of the version without sessions: its body says so, else its header. Throws a `Refusal` where they
 * differ, and where the body lacks what it must say (2026-07-28, "Streamable HTTP: Protocol Version Header").
 */
export function isSessionlessPost({ protocolVersion }: Exchange, { messages, batch }: Body): boolean {
  const header = protocolVersion?.trim()
  const isNamed = namesSessionless(protocolVersion)
  const [message] = messages
  const claims = messages.map(claimOf).filter((claim) => claim !== undefined)
  if (batch) {
    if (isNamed || claims.length > 0) throw refuse.invalidRequest('this protocol version has no batches')
    return false
  }
  if (!message || (claims.length === 0 && !isNamed)) return false
  if (!isRequest(message)) {
    if (isNotification(message)) return true
    throw refuse.invalidRequest('this protocol version has no answers of clients')
  }
  if (claims.length === 0) {
    if (message.method === 'initialize')
      throw refuse.headerMismatch(
        `initialize begins a session, which MCP-Protocol-Version ${header} does not have`,
      )
    throw refuse.invalidParams(`params._meta['${META.protocolVersion}'] is missing`)
  }
  const claim = guardEnvelope(message)
  if (header === undefined) throw refuse.headerMismatch('the header MCP-Protocol-Version is missing')
  if (header !== claim)
    throw refuse.headerMismatch(`MCP-Protocol-Version is ${header}, and the body says ${claim}`)
  if (claim !== SESSIONLESS) throw refuse.unsupportedVersion(claim, new Set([SESSIONLESS]))
  return true
}

/** `undefined`: it claims no version, or one with sessions. */
function claimOf(message: JsonRpcMessage): unknown {
  const claim = 'method' in message ? message.params?._meta?.[META.protocolVersion] : undefined
  return typeof claim === 'string' && !isSessionless(claim) ? undefined : claim
}

/** Who asks may be left out; what the client can do may not. Answers with the version. */
function guardEnvelope(message: JsonRpcRequest): string {
  const meta = metaOf(message)
  const {
    [META.protocolVersion]: version,
    [META.clientCapabilities]: capabilities,
    [META.clientInfo]: info,
  } = meta
  if (typeof version !== 'string') throw missing(META.protocolVersion)
  if (!isObject(capabilities) || !Object.values(capabilities).every(isObject))
    throw missing(META.clientCapabilities)
  if (info !== undefined && !isInfo(info)) throw missing(META.clientInfo)
  // Server objects are told of it, and hold it for as long as they are there.
  const size = JSON.stringify([capabilities, info]).length
  if (size > MAX_STATE_CHARS) throw refuse.tooLarge(MAX_STATE_CHARS)
  return version
}

const missing = (name: string) =>
  refuse.invalidParams(`params._meta['${name}'] is missing, or not of its type`)

const isInfo = (info: unknown) =>
  isObject(info) && typeof info['name'] === 'string' && typeof info['version'] === 'string'
