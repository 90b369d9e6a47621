import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../../src/index.js'

/** A store that is far away: the answers of these operations take so many milliseconds to come. */
export function slowStore(store: Store, delays: Partial<Record<keyof Store, number>>): Store {
  return new Proxy(store, {
    get: (target, name: keyof Store) => {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return async (...args: unknown[]) => {
        const answer = (await Reflect.apply(member, target, args)) as unknown
        const delay = delays[name]
        if (delay !== undefined) await sleep(delay)
        return answer
      }
    },
  })
}
