import type { JsonRpcRequest } from '../json-rpc.js'
import type { Events, Hooks, Run } from './events.js'

/** W3C Trace Context, as it is kept in journals. */
export type Trace = { traceparent: string; tracestate?: string }

/** Something under way. What runs in `run`, and whatever that starts, belongs to it. */
export interface Span<Name extends keyof Events> {
  run<Args extends unknown[], T>(work: (...args: Args) => T, ...args: Args): T
  end(event: Events[Name]): void
}

/** Begins spans, each one below what runs it; `undefined`: not this one. */
export interface Spans {
  request(request: Request): Span<'request'>
  /** `sinceMs`: for how long it has been there already. */
  call(run: Run, request: JsonRpcRequest, sinceMs: number): Span<'call'>
  step(run: Run, step: string): Span<'step'>
  /** Goes on with the trace in which the call was begun, on whichever node. */
  takeover(requests: readonly JsonRpcRequest[], trace: Trace | undefined, sinceMs: number): Span<'takeover'>
  rebuild(): Span<'rebuild'>
  /** Runs what shall leave no spans, not even those of the application. */
  untraced<T>(work: () => T): T
  /** What is to be kept of the current trace, so that another node can go on with it. */
  trace(): Trace | undefined
}

/** What one node holds now. */
export type Holdings = { openCalls: number; streams: number; sessions: number; servers: number }

/** What `telemetry()` makes. Its parts are for `durable()`. */
export interface Telemetry {
  readonly on: Hooks
  readonly spans: Spans
  /** `holdings` is asked whenever metrics are collected, until the function that is returned is called. */
  observe(holdings: () => Holdings): () => void
}
