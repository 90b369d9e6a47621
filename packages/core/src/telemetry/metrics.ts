import type { Histogram, Meter } from '@opentelemetry/api'
import type { Events, Hooks } from '../signals/events.js'
import type { Holdings } from '../signals/telemetry.js'
import { attributesOf, endAttributes, isReserved, methodOf, Names, versionAttribute } from './attributes.js'

/** In seconds. The first are those of the semantic conventions for MCP. */
const CALL_BOUNDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]
const STORE_BOUNDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** Metrics of OpenTelemetry: hooks that count, and what nodes hold when they are asked. */
export function countingHooks(meter: Meter): Hooks {
  const tools = new Names()
  const prompts = new Names()
  const steps = new Names()
  // What ran well is there; made-up names would take the places of others.
  const nameOf = ({ method, name, isRegistered, outcome }: Events['call']) =>
    (method === 'tools/call' ? tools : prompts).of(name ?? '', isRegistered ?? outcome === 'ok')
  const calls = seconds(meter, 'mcp.server.operation.duration', 'MCP requests that were run', CALL_BOUNDS)
  const stepTimes = seconds(meter, 'mcp_durable.step.duration', 'Steps of durable handlers', CALL_BOUNDS)
  const rebuilds = seconds(meter, 'mcp_durable.rebuild.duration', 'Server objects made again', CALL_BOUNDS)
  const operations = seconds(meter, 'mcp_durable.store.operation.duration', 'Store operations', STORE_BOUNDS)
  const takeovers = meter.createCounter('mcp_durable.takeovers', { description: 'Calls taken over' })
  const fenced = meter.createCounter('mcp_durable.fenced_writes', { description: 'Writes that were refused' })
  const replayed = meter.createCounter('mcp_durable.replayed_events', {
    description: 'Events that clients had missed when they came back',
  })
  return {
    call: (call) => {
      const { method, name, outcome, errorCode, durationMs } = call
      const target = name === undefined ? undefined : nameOf(call)
      calls.record(durationMs / 1000, {
        ...attributesOf(methodOf(method), target),
        ...versionAttribute(call),
        ...endAttributes({ outcome, errorCode }, isReserved),
      })
    },
    step: ({ step, outcome, durationMs }) =>
      stepTimes.record(durationMs / 1000, {
        'mcp_durable.step': steps.of(step),
        'mcp_durable.outcome': outcome,
      }),
    rebuild: ({ outcome, durationMs }) =>
      rebuilds.record(durationMs / 1000, { 'mcp_durable.outcome': outcome }),
    takeover: ({ outcome }) => takeovers.add(1, { 'mcp_durable.outcome': outcome }),
    fenced: () => fenced.add(1),
    replayed: ({ events }) => replayed.add(events),
    storeOperation: ({ operation, error, durationMs }) =>
      operations.record(durationMs / 1000, {
        'mcp_durable.operation': operation,
        ...(error && { 'error.type': error }),
      }),
  }
}

function seconds(
  meter: Meter,
  name: string,
  description: string,
  explicitBucketBoundaries: number[],
): Histogram {
  return meter.createHistogram(name, { description, unit: 's', advice: { explicitBucketBoundaries } })
}

/** The nodes of this process, together. */
export class HoldingMetrics {
  readonly #nodes = new Set<() => Holdings>()

  constructor(meter: Meter) {
    const instruments = {
      openCalls: meter.createObservableUpDownCounter('mcp_durable.calls.open', {
        description: 'Journaled calls that run here',
      }),
      streams: meter.createObservableUpDownCounter('mcp_durable.streams', { description: 'SSE streams' }),
      sessions: meter.createObservableUpDownCounter('mcp_durable.sessions', {
        description: 'Sessions in which this node may run calls, and calls without one',
      }),
      servers: meter.createObservableUpDownCounter('mcp_durable.servers', {
        description: 'Server objects in memory',
      }),
    }
    const names = Object.keys(instruments) as (keyof Holdings)[]
    meter.addBatchObservableCallback((result) => {
      const nodes = [...this.#nodes].map((holdings) => holdings())
      for (const name of names) {
        const sum = nodes.reduce((total, holdings) => total + holdings[name], 0)
        result.observe(instruments[name], sum)
      }
    }, Object.values(instruments))
  }

  observe(holdings: () => Holdings): () => void {
    this.#nodes.add(holdings)
    return () => this.#nodes.delete(holdings)
  }
}
