import { metrics, trace } from '@opentelemetry/api'
import type { MeterProvider, TracerProvider } from '@opentelemetry/api'
import { checkNames } from '../known-options.js'
import type { Telemetry } from '../signals/telemetry.js'
import { countingHooks, HoldingMetrics } from './metrics.js'
import { OtelSpans } from './spans.js'

export type { Telemetry } from '../signals/telemetry.js'

export type TelemetryOptions = {
  /** Default: the one that is registered. */
  tracerProvider?: TracerProvider
  /** Default: the one that is registered when this is called. */
  meterProvider?: MeterProvider
}

const SCOPE = '@mcp-durable/core'

/**
 * Spans and metrics of OpenTelemetry: `durable({ …, telemetry: telemetry() })`, after the SDK of OpenTelemetry was started.
 * Follows the semantic conventions for MCP (in development) where they say something. Attributes hold no payloads and no
 * whole ids of sessions.
 */
export function telemetry(options: TelemetryOptions = {}): Telemetry {
  checkNames('telemetry()', options, ['tracerProvider', 'meterProvider'])
  const { tracerProvider, meterProvider } = options
  const meter = (meterProvider ?? metrics).getMeter(SCOPE)
  const holdings = new HoldingMetrics(meter)
  return {
    on: countingHooks(meter),
    spans: new OtelSpans((tracerProvider ?? trace).getTracer(SCOPE)),
    observe: (held) => holdings.observe(held),
  }
}
