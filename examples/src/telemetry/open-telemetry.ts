import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { SpanSender } from './span-sender.js'

/**
 * What an application does once, before `telemetry()`. `NodeSDK` of `@opentelemetry/sdk-node` does the same in one call; here it
 * is written out. Returns the page that Prometheus reads.
 */
export function startOpenTelemetry(collector: string): () => Promise<Response> {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const spanProcessors = [new SimpleSpanProcessor(new SpanSender(collector))]
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }))
  const prometheus = new PrometheusExporter({ preventServerStart: true })
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [prometheus] }))
  const serializer = new PrometheusSerializer()
  return async () => {
    const { resourceMetrics } = await prometheus.collect()
    const headers = { 'content-type': 'text/plain; version=0.0.4' }
    return new Response(serializer.serialize(resourceMetrics), { headers })
  }
}
