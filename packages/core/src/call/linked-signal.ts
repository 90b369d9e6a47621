/**
 * A signal that fires with the first of others. Not `AbortSignal.any`: Node.js keeps what that makes, and all that hangs on it, for as long as
 * somebody listens to it, which is for ever where none of the others fires.
 */
export function linkedTo(...signals: readonly AbortSignal[]): { signal: AbortSignal; unlink: () => void } {
  const controller = new AbortController()
  const links = signals.map((signal) => {
    const abort = () => controller.abort(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    return () => signal.removeEventListener('abort', abort)
  })
  return {
    signal: controller.signal,
    unlink() {
      for (const unlink of links) unlink()
    },
  }
}
