import type { Store } from '@mcp-durable/core'

/** When the process ends: before the operation is sent, when the store has applied it and nobody here knows, or after that. */
export const moments = ['before', 'applied', 'after'] as const
/** It stops (SIGSTOP) before the operation is sent, and sends it when it goes on: behind the end of the call, or while the next owner runs it. */
export const pauses = ['pause', 'overlap'] as const
/** `never`: it only counts; `asked`: when its client has got a question. */
export type Moment = (typeof moments)[number] | (typeof pauses)[number] | 'never' | 'asked'
/**
 * `from`: the operation that counts as the first; default: those with which a node begins to open or to claim a call. `only`: no others
 * are counted.
 */
export type CrashPoint = { operation: number; moment: Moment; from?: keyof Store; only?: keyof Store }

/** Of nodes that take over soon, however often a call was begun. */
export const CRASH_SETTINGS = {
  heartbeatMs: 100,
  leaseMs: 1000,
  sweepMs: 100,
  retryMs: 20,
  maxAttempts: 10,
  validateEffects: false,
}

/** What a node does whether it runs a call or not, when its timers say so. */
const BACKGROUND = ['beat', 'listNodes', 'isWatched', 'heldScopes', 'takeDue', 'leave', 'close']
/** What changes nothing that is kept, and comes when others have said something. */
const LISTENING = ['watch', 'publish', 'listOpenCalls']
const UNCOUNTED = new Set<PropertyKey>([...BACKGROUND, ...LISTENING])
const BEGINNINGS = new Set<PropertyKey>(['hold', 'openCall'])
/** Larger pages are the history of a call; smaller ones are for connections, whenever these come. */
const HISTORY_PAGE = 256

/** A store whose process meets its end at one operation. */
export function crashingStore(store: Store, point: CrashPoint): Store {
  let counted = 0
  let begun = false
  const isFirst = (name: PropertyKey) =>
    point.from === undefined ? BEGINNINGS.has(name) : name === point.from
  const operate = async (name: keyof Store, operation: () => Promise<unknown>) => {
    const number = ++counted
    // A pipe is written at once, so the line is out before the process ends.
    console.log(`operation ${number} ${name}`)
    const hit = number === point.operation ? point.moment : 'never'
    if (hit === 'before') process.kill(process.pid, 'SIGKILL')
    if (hit === 'pause' || hit === 'overlap') process.kill(process.pid, 'SIGSTOP')
    const outcome = await operation()
    if (hit === 'applied') process.kill(process.pid, 'SIGKILL')
    if (hit === 'after') setImmediate(() => process.kill(process.pid, 'SIGKILL'))
    return outcome
  }
  const counting = (opened: Store): Store =>
    new Proxy(opened, {
      get(target, name) {
        const method = Reflect.get(target, name, target) as (...args: unknown[]) => unknown
        return (...args: unknown[]) => {
          // A server with a name has a part of its own.
          if (name === 'open') return counting(method.apply(target, args) as Store)
          begun ||= isFirst(name)
          const isUncounted = UNCOUNTED.has(name) || (name === 'read' && args[3] !== HISTORY_PAGE)
          const isOther = point.only !== undefined && name !== point.only
          if (!begun || isUncounted || isOther) return method.apply(target, args)
          return operate(name as keyof Store, async () => method.apply(target, args))
        }
      },
    })
  return counting(store)
}

/** What a node with such a store has printed: its operations, in turn. */
export const operationsOf = (output: string) =>
  [...output.matchAll(/^operation \d+ (\w+)$/gm)].map(([, name = '']) => name)
