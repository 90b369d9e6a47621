import type { JsonRpcRequest } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import type { Store } from '../store/store.js'
import { checkNames } from '../known-options.js'
import { EVENTS } from './events.js'
import type { Events, Hooks, Run, StepOutcome, Stream } from './events.js'
import { Observed } from './observed.js'
import { observedStore } from './observed-store.js'
import type { Spans, Telemetry, Trace } from './telemetry.js'

/** Tells whoever listens to an event. */
export type Tell<Name extends keyof Events> = (event: Events[Name]) => void
type TellOf = <Name extends keyof Events>(name: Name) => Tell<Name> | undefined
/** `isStopped`: its call was, so that its end says nothing of the step. */
export type ObservedStep = { name: string; isStopped: () => boolean }
export type Takeover = { requests: readonly JsonRpcRequest[]; trace: Trace | undefined; sinceMs: number }

/**
 * What the layers tell of themselves, to hooks and telemetry alike.
 *
 * Invariant: a member is there only if somebody listens to it, and whoever calls it asks first. So what nobody listens
 * to costs one look at a property.
 */
export type Signals = {
  readonly request?: ((request: Request, work: () => Promise<Response>) => Promise<Response>) | undefined
  /** What is to be kept of the current trace. */
  readonly trace?: (() => Trace | undefined) | undefined
  /** Runs what shall leave no spans, not even those of the application. */
  readonly untraced?: (<T>(work: () => T) => T) | undefined
  /** `received`: the request of HTTP, where there is one. */
  readonly call?: ((run: Run, message: JsonRpcRequest, received?: Request) => Observed<'call'>) | undefined
  readonly step?: (<T>(run: Run, step: ObservedStep, work: () => Promise<T>) => Promise<T>) | undefined
  readonly takeover?: ((takeover: Takeover) => Observed<'takeover'>) | undefined
  readonly rebuild?: (<T>(sessionId: string, work: () => Promise<T>) => Promise<T>) | undefined
  readonly sessionBegun?: Tell<'sessionBegun'> | undefined
  readonly sessionEnded?: Tell<'sessionEnded'> | undefined
  /** The function that is returned says that the stream is closed. */
  readonly stream?: ((stream: Stream) => () => void) | undefined
  readonly replayed?: Tell<'replayed'> | undefined
  readonly store?: ((store: Store) => Store) | undefined
}

export type Listeners = { on?: Hooks | undefined; telemetry?: Telemetry | undefined; logger: Logger }

/** Throws a `TypeError` for a hook that would never be called. */
export function signalsFor({ on, telemetry, logger }: Listeners): Signals {
  checkHooks(on)
  const tell: TellOf = (name) => tellAll(name, [telemetry?.on, on], logger)
  const spans = telemetry?.spans
  return {
    ...requestsAndCalls(tell, spans),
    trace: spans && (() => spans.trace()),
    untraced: spans && ((work) => spans.untraced(work)),
    step: steps(tell('step'), spans),
    takeover: takeovers(tell('takeover'), spans),
    rebuild: rebuilds(tell('rebuild'), spans),
    sessionBegun: tell('sessionBegun'),
    sessionEnded: tell('sessionEnded'),
    stream: streams(tell('streamOpened'), tell('streamClosed')),
    replayed: tell('replayed'),
    store: stores(tell('storeOperation'), tell('fenced')),
  }
}

function checkHooks(on: Hooks = {}) {
  checkNames('durable(): `on`', on, EVENTS, 'event')
  for (const [name, hook] of Object.entries(on)) {
    if (hook !== undefined && typeof hook !== 'function')
      throw new TypeError(`durable(): \`on.${name}\` must be a function.`)
  }
}

/** `undefined`: nobody listens. What a hook throws is the log's, and nobody else's. */
function tellAll<Name extends keyof Events>(
  name: Name,
  listeners: readonly (Hooks | undefined)[],
  logger: Logger,
): Tell<Name> | undefined {
  const hooks = listeners.map((hooksOf) => hooksOf?.[name]).filter((hook) => hook !== undefined)
  if (hooks.length === 0) return undefined
  const failed = (error: unknown) => logger.error({ error, hook: name }, 'a hook failed')
  return (event) => {
    for (const hook of hooks) {
      try {
        const pending = hook(event)
        if (pending instanceof Promise) pending.catch(failed)
      } catch (error) {
        failed(error)
      }
    }
  }
}

/** A call is measured from when its request was received. */
function requestsAndCalls(tell: TellOf, spans: Spans | undefined): Pick<Signals, 'request' | 'call'> {
  const [answered, begun, ended] = [tell('request'), tell('callBegun'), tell('call')]
  const isCallObserved = begun !== undefined || ended !== undefined || spans !== undefined
  const receivedAt = new WeakMap<Request, number>()
  const request: Signals['request'] = async (received, work) => {
    receivedAt.set(received, performance.now())
    const observed = new Observed<'request'>(answered, spans?.request(received))
    const response = await observed.run(work)
    observed.end({ httpMethod: received.method, status: response.status })
    return response
  }
  const call: Signals['call'] = (run, message, received) => {
    const since = received && receivedAt.get(received)
    const sinceMs = since === undefined ? 0 : performance.now() - since
    begun?.(run)
    return new Observed<'call'>(ended, spans?.call(run, message, sinceMs), sinceMs)
  }
  return {
    request: answered || isCallObserved ? request : undefined,
    call: isCallObserved ? call : undefined,
  }
}

function steps(tell: Tell<'step'> | undefined, spans: Spans | undefined): Signals['step'] {
  if (!tell && !spans) return undefined
  return async (run, { name, isStopped }, work) => {
    const observed = new Observed<'step'>(tell, spans?.step(run, name))
    const end = (outcome: StepOutcome) => observed.end({ ...run, step: name, outcome })
    try {
      const value = await observed.run(work)
      end('done')
      return value
    } catch (error) {
      end(isStopped() ? 'stopped' : 'failed')
      throw error
    }
  }
}

function takeovers(tell: Tell<'takeover'> | undefined, spans: Spans | undefined): Signals['takeover'] {
  if (!tell && !spans) return undefined
  return ({ requests, trace, sinceMs }) =>
    new Observed<'takeover'>(tell, spans?.takeover(requests, trace, sinceMs), sinceMs)
}

function rebuilds(tell: Tell<'rebuild'> | undefined, spans: Spans | undefined): Signals['rebuild'] {
  if (!tell && !spans) return undefined
  return async (sessionId, work) => {
    const observed = new Observed<'rebuild'>(tell, spans?.rebuild())
    try {
      const made = await observed.run(work)
      observed.end({ sessionId, outcome: 'done' })
      return made
    } catch (error) {
      observed.end({ sessionId, outcome: 'failed' })
      throw error
    }
  }
}

function streams(
  opened: Tell<'streamOpened'> | undefined,
  closed: Tell<'streamClosed'> | undefined,
): Signals['stream'] {
  if (!opened && !closed) return undefined
  return (stream) => {
    const beganAt = performance.now()
    opened?.(stream)
    return () => closed?.({ ...stream, durationMs: performance.now() - beganAt })
  }
}

function stores(
  operation: Tell<'storeOperation'> | undefined,
  fenced: Tell<'fenced'> | undefined,
): Signals['store'] {
  if (!operation && !fenced) return undefined
  return (store) => observedStore(store, operation, fenced)
}
