import { context, createContextKey, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type {
  Attributes,
  Context,
  Span as OtelSpan,
  SpanContext,
  SpanOptions,
  Tracer,
} from '@opentelemetry/api'
import type { JsonRpcRequest } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Events, Run } from '../signals/events.js'
import type { Span, Spans, Trace } from '../signals/telemetry.js'
import {
  attributesOf,
  cut,
  endAttributes,
  isError,
  methodOf,
  runAttributes,
  versionAttribute,
} from './attributes.js'
import { spanContextOf, traceOf } from './trace-context.js'

type Timed = 'request' | 'call' | 'step' | 'takeover' | 'rebuild'
/** What the end of something adds to its span. */
type End<Name extends Timed> = (event: Events[Name]) => { attributes: Attributes; isError?: boolean }
type Begin = { name: string; parent?: Context | undefined; sinceMs?: number; options?: SpanOptions }

/**
 * Spans of OpenTelemetry.
 *
 * A span is below whatever is active where it begins, with two exceptions: a call is below the trace context in its
 * message, if it has one, and is linked to the HTTP request that carried it; and a takeover is where the call was.
 */
export class OtelSpans implements Spans {
  readonly #tracer: Tracer

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  /** Below the span of an instrumentation of HTTP, or else of what the headers say. */
  request({ method, url, headers }: Request): Span<'request'> {
    const isInstrumented = trace.getSpan(context.active()) !== undefined
    const remote = isInstrumented
      ? undefined
      : spanContextOf(headers.get('traceparent'), headers.get('tracestate'))
    const options = {
      kind: isInstrumented ? SpanKind.INTERNAL : SpanKind.SERVER,
      attributes: { 'http.request.method': method, 'url.path': cut(new URL(url).pathname) },
    }
    return this.#begin<'request'>({ name: method, parent: below(remote), options }, ({ status }) => ({
      attributes: {
        'http.response.status_code': status,
        ...(status >= 500 && { 'error.type': String(status) }),
      },
      isError: status >= 500,
    }))
  }

  call(run: Run, { id, params }: JsonRpcRequest, sinceMs: number): Span<'call'> {
    const name = run.name === undefined ? undefined : cut(run.name)
    const remote = spanContextOf(params?._meta?.['traceparent'], params?._meta?.['tracestate'])
    const carrier = remote && trace.getSpanContext(context.active())
    const options: SpanOptions = {
      kind: SpanKind.SERVER,
      attributes: {
        ...attributesOf(run.method, name),
        ...runAttributes(run),
        ...versionAttribute(run),
        'jsonrpc.request.id': cut(String(id)),
        'network.transport': 'tcp',
      },
      ...(carrier && { links: [{ context: carrier }] }),
    }
    const title = [methodOf(run.method), ...(name === undefined ? [] : [name])].join(' ')
    return this.#begin<'call'>({ name: title, parent: below(remote), sinceMs, options }, (event) => ({
      attributes: endAttributes(event),
      isError: isError(event.outcome),
    }))
  }

  step(run: Run, step: string): Span<'step'> {
    const name = cut(step)
    const options = { attributes: { 'mcp_durable.step': name, ...runAttributes(run) } }
    return this.#begin<'step'>({ name: `step ${name}`, options }, ({ outcome }) => ({
      attributes: { 'mcp_durable.outcome': outcome },
      isError: outcome === 'failed',
    }))
  }

  takeover(requests: readonly JsonRpcRequest[], kept: Trace | undefined, sinceMs: number): Span<'takeover'> {
    const meta = requests.length === 1 ? requests[0]?.params?._meta : undefined
    const remote =
      spanContextOf(meta?.['traceparent'], meta?.['tracestate']) ??
      spanContextOf(kept?.traceparent, kept?.tracestate)
    return this.#begin<'takeover'>({ name: 'takeover', parent: below(remote), sinceMs }, (event) => ({
      attributes: { ...runAttributes(event), 'mcp_durable.outcome': event.outcome },
      isError: event.outcome !== 'run',
    }))
  }

  rebuild(): Span<'rebuild'> {
    return this.#begin<'rebuild'>({ name: 'rebuild' }, ({ sessionId, outcome }) => ({
      attributes: { 'mcp_durable.session': shortId(sessionId), 'mcp_durable.outcome': outcome },
      isError: outcome === 'failed',
    }))
  }

  untraced<T>(work: () => T): T {
    return context.with(context.active().setValue(SUPPRESSED, true), work)
  }

  trace() {
    const current = trace.getSpanContext(context.active())
    return current && traceOf(current)
  }

  #begin<Name extends Timed>(
    { name, parent = context.active(), sinceMs = 0, options }: Begin,
    end: End<Name>,
  ): Span<Name> {
    const startTime = Date.now() - sinceMs
    const span = this.#tracer.startSpan(name, { ...options, startTime }, parent)
    return new TimedSpan<Name>(span, trace.setSpan(parent, span), startTime, end)
  }
}

/** What `suppressTracing` of `@opentelemetry/core` sets. */
const SUPPRESSED = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')

const below = (remote: SpanContext | undefined) => remote && trace.setSpanContext(context.active(), remote)

class TimedSpan<Name extends Timed> implements Span<Name> {
  readonly #span: OtelSpan
  readonly #context: Context
  readonly #startTime: number
  readonly #end: End<Name>

  constructor(span: OtelSpan, inside: Context, startTime: number, end: End<Name>) {
    this.#span = span
    this.#context = inside
    this.#startTime = startTime
    this.#end = end
  }

  run<Args extends unknown[], T>(work: (...args: Args) => T, ...args: Args): T {
    return context.with(this.#context, () => work(...args))
  }

  /** The wall clock may be set meanwhile; the duration is measured by another one. */
  end(event: Events[Name]) {
    const { attributes, isError: hasFailed } = this.#end(event)
    this.#span.setAttributes(attributes)
    if (hasFailed) this.#span.setStatus({ code: SpanStatusCode.ERROR })
    this.#span.end(this.#startTime + event.durationMs)
  }
}
