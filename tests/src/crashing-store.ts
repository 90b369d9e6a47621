import type { Store } from '@mcp-durable/core'

const points = ['request-appended', 'message-appended', 'response-appended'] as const
export type CrashPoint = (typeof points)[number]
export const isCrashPoint = (text: string): text is CrashPoint => points.some((point) => point === text)

/**
 * A store whose process dies (SIGKILL) when the store has acknowledged a record of one kind, and before anything
 * else happens here: nothing of the record is written to any socket by this process.
 */
export class CrashingStore {
  /** Where the process dies; it can be set at any time. */
  crashAt: CrashPoint | undefined
  readonly store: Store

  constructor(store: Store, crashAt: CrashPoint | undefined) {
    this.crashAt = crashAt
    this.store = new Proxy(store, { get: (target, name) => this.#intercept(target, name as keyof Store) })
  }

  #intercept(store: Store, name: keyof Store): unknown {
    if (name === 'openCall') {
      return async (...args: Parameters<Store['openCall']>) => {
        const opened = await store.openCall(...args)
        if (opened.status === 'opened') this.#reach('request-appended')
        return opened
      }
    }
    if (name === 'appendCall') {
      return async (...args: Parameters<Store['appendCall']>) => {
        const outcome = await store.appendCall(...args)
        if (outcome === 'appended') for (const { data } of args[2]) this.#reach(`${kindOf(data)}-appended`)
        return outcome
      }
    }
    return (store[name] as (...args: unknown[]) => unknown).bind(store)
  }

  #reach(point: string) {
    if (point === this.crashAt) process.kill(process.pid, 'SIGKILL')
  }
}

const kindOf = (data: string) => /^\w+/.exec(data)?.[0]
