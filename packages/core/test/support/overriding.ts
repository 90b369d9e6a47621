import type { Store } from '../../src/index.js'

/** The store, some of whose operations are others. */
export const overriding = (store: Store, operations: Partial<Store>): Store =>
  new Proxy(store, {
    get: (target, name) => {
      if (Object.hasOwn(operations, name)) return operations[name as keyof Store]
      const own: unknown = Reflect.get(target, name, target)
      return typeof own === 'function' ? (own.bind(target) as unknown) : own
    },
  })
