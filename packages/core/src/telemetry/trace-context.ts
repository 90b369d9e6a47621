import { createTraceState, isSpanContextValid } from '@opentelemetry/api'
import type { SpanContext } from '@opentelemetry/api'
import type { Trace } from '../signals/telemetry.js'

/** `<version>-<trace>-<span>-<flags>`; a later version may have more behind that. */
const TRACEPARENT = /^(?!ff)([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/

/**
 * W3C Trace Context, as HTTP headers, journals and `_meta` carry it (specification, "_meta": SEP-414). Not left to the
 * propagator of the application, which may be of another format. `undefined`: none, or not a valid one.
 */
export function spanContextOf(traceparent: unknown, tracestate: unknown): SpanContext | undefined {
  if (typeof traceparent !== 'string') return undefined
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(traceparent) ?? []
  if (version === '00' && more !== undefined) return undefined
  const spanContext: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(typeof tracestate === 'string' && { traceState: createTraceState(tracestate) }),
  }
  return isSpanContextValid(spanContext) ? spanContext : undefined
}

export function traceOf({ traceId, spanId, traceFlags, traceState }: SpanContext): Trace {
  const flags = traceFlags.toString(16).padStart(2, '0')
  const tracestate = traceState?.serialize()
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(tracestate && { tracestate }) }
}
