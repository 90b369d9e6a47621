import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import type { DataPoint, Histogram } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { telemetry } from '../../src/telemetry/index.js'
import { waitFor } from '../../../../test-support/index.js'

class Reader extends MetricReader {
  protected async onForceFlush() {}
  protected async onShutdown() {}
}

/** The SDK of OpenTelemetry, with what it gathers. */
export class OpenTelemetry implements AsyncDisposable {
  readonly #exporter = new InMemorySpanExporter()
  readonly #reader = new Reader()
  readonly tracerProvider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(this.#exporter)],
  })
  readonly #meterProvider = new MeterProvider({ readers: [this.#reader] })
  readonly telemetry = telemetry({ tracerProvider: this.tracerProvider, meterProvider: this.#meterProvider })

  constructor() {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  }

  get tracer() {
    return this.tracerProvider.getTracer('test')
  }

  /** Spans that have ended. */
  get spans(): readonly ReadableSpan[] {
    return this.#exporter.getFinishedSpans()
  }

  /** The span of this name, as soon as it has ended; `has`: attributes that it must have. */
  async span(name: string, has: Record<string, unknown> = {}): Promise<ReadableSpan> {
    const fits = ({ attributes }: ReadableSpan) =>
      Object.entries(has).every(([key, value]) => attributes[key] === value)
    return waitFor(() => this.spans.find((span) => span.name === name && fits(span)), {
      what: `the span ${name}`,
    })
  }

  /** The points of a metric now: its values, or for histograms the number of values, with their attributes. */
  async points(metric: string): Promise<{ value: number; attributes: Record<string, unknown> }[]> {
    const { resourceMetrics } = await this.#reader.collect()
    const all = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
    const points = all.find(({ descriptor }) => descriptor.name === metric)?.dataPoints ?? []
    return (points as DataPoint<number | Histogram>[]).map(({ value, attributes }) => ({
      value: typeof value === 'number' ? value : value.count,
      attributes,
    }))
  }

  async [Symbol.asyncDispose]() {
    await this.tracerProvider.shutdown()
    await this.#meterProvider.shutdown()
    context.disable()
  }
}
