/** A promise that is settled from outside; `Promise.withResolvers` is not in Node 20. */
export class Deferred<T = void> {
  resolve!: (value: T) => void
  readonly promise = new Promise<T>((resolve) => (this.resolve = resolve))
}
