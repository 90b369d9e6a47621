/**
 * A handler that fails leaves alone what it began beside: such a promise rejects when the call stops, with nobody to
 * hear it, and must not end the process for that. What a step comes to is in the log either way.
 */
export function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}
