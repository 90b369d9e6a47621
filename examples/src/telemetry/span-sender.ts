import { ExportResultCode, type ExportResult } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base'

/** A span as the collector of this example keeps it. */
export interface SentSpan {
  traceId: string
  spanId: string
  parentSpanId: string | undefined
  name: string
  /** The process that it is of. */
  node: number
}

/** Sends spans as JSON, where applications use an exporter for OTLP. */
export class SpanSender implements SpanExporter {
  readonly #collector: string

  constructor(collector: string) {
    this.#collector = collector
  }

  export(spans: ReadableSpan[], report: (result: ExportResult) => void): void {
    void this.#send(spans).then(report)
  }

  async shutdown(): Promise<void> {
    // Nothing is held back.
  }

  async #send(spans: readonly ReadableSpan[]): Promise<ExportResult> {
    const body = JSON.stringify(spans.map((span) => sent(span)))
    try {
      await fetch(this.#collector, { method: 'POST', body })
      return { code: ExportResultCode.SUCCESS }
    } catch (error) {
      return { code: ExportResultCode.FAILED, error: error as Error }
    }
  }
}

function sent(span: ReadableSpan): SentSpan {
  const { traceId, spanId } = span.spanContext()
  return { traceId, spanId, parentSpanId: span.parentSpanContext?.spanId, name: span.name, node: process.pid }
}
