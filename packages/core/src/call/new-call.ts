import { requireFits } from '../errors.js'
import { randomId, requestKey } from '../ids.js'
import type { JsonRpcRequest } from '../json-rpc.js'
import { isSessionless } from '../protocol.js'
import type { Settings } from '../settings.js'
import type { Trace } from '../signals/telemetry.js'
import type { NewCall } from '../store/store.js'
import { encodeRecord } from './record.js'
import type { BegunHandler, CallQuota, TaskTerms } from './record.js'

export type CallRequest = {
  scope: string
  /** Of whoever opens it again if that fails, and takes it back if not. */
  id?: string
  principal: string | undefined
  /** Whose the session must be; see `Store`. */
  server?: string | undefined
  requests: readonly JsonRpcRequest[]
  batch: boolean
  protocol: string
  idempotencyKey?: string | undefined
  /** What may be stored of the caller's authorization. */
  authInfo: Record<string, unknown> | undefined
  url?: string | undefined
  mirrored?: Readonly<Record<string, string>> | undefined
  trace?: Trace | undefined
  /** If it may become a task. */
  task?: TaskTerms | undefined
  /** For how long it must be there, although its nodes may be away; default: as long as any call. */
  keptMs?: number | undefined
  /** What will run each of the requests, as far as that is known. */
  handlers?: readonly BegunHandler[] | undefined
}

export type CallLimits = Pick<
  Settings,
  'sessionTtlMs' | 'maxOpenCalls' | 'maxOpenCallsPerPrincipal' | 'maxOpenBytes' | 'maxAttempts'
>

type OpenedBy = {
  node: string
  version: string | undefined
  quotas: readonly CallQuota[]
  /** It waits for its turn from the start. */
  isQueued: boolean
  limits: CallLimits
  resumeWindowMs: number
  maxRecordBytes: number
}

/** What the store is asked to open for a request. Throws an `UnrecordableError`. */
export function newCallFor(request: CallRequest, by: OpenedBy): NewCall {
  const { node, version, quotas, isQueued, limits } = by
  const { scope, id = callIdFor(request), principal, server, requests, batch, protocol } = request
  const { authInfo, idempotencyKey, url, mirrored, trace, task, keptMs = task?.ttlMs, handlers } = request
  const data = encodeRecord({
    kind: 'request',
    request: {
      messages: requests,
      batch,
      protocol,
      node,
      version,
      idempotencyKey,
      authInfo,
      url,
      mirrored,
      trace,
      task,
      isQueued: isQueued || undefined,
      quotas: quotas.length > 0 ? quotas.map(({ name, most }) => ({ name, most })) : undefined,
      handlers: handlers?.some((kind) => kind !== 'plain') ? handlers : undefined,
    },
  })
  requireFits(data, by.maxRecordBytes)
  return {
    scope,
    callId: id,
    owner: node,
    principal,
    server,
    requestKeys: keysOf(requests, request),
    data,
    ttlMs: Math.max(limits.sessionTtlMs, keptMs === undefined ? 0 : keptMs + by.resumeWindowMs),
    maxOpenCalls: limits.maxOpenCalls,
    maxOpenBytes: limits.maxOpenBytes,
    begins: isSessionless(protocol)
      ? { protocolVersion: protocol, maxPerPrincipal: limits.maxOpenCallsPerPrincipal }
      : undefined,
  }
}

/** A scope that is made with its call has the same name, so that who knows one finds the other. */
export const callIdFor = ({ scope, protocol, idempotencyKey }: CallRequest) =>
  isSessionless(protocol) && idempotencyKey === undefined ? scope : randomId()

/** In a scope that follows from a key, whatever comes with the key means the same call. */
export function keysOf(
  requests: readonly JsonRpcRequest[],
  { idempotencyKey, protocol }: Pick<CallRequest, 'idempotencyKey' | 'protocol'>,
): string[] {
  if (isSessionless(protocol) && idempotencyKey !== undefined) return ['key']
  return requests.map((request) => requestKey(request, idempotencyKey))
}
