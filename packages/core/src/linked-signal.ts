/** A signal that fires with the first of others, or when it is told to. */
export type Linked = { signal: AbortSignal; abort: (reason?: unknown) => void; unlink: () => void }

/**
 * Not `AbortSignal.any`: Node.js keeps what that makes, and all that hangs on it, for as long as somebody listens to it, which is for
 * ever where none of the others fires. And of a time that only it knows, Node.js 20 keeps nothing: it never fires.
 */
export function linkedTo(...signals: readonly AbortSignal[]): Linked {
  const controller = new AbortController()
  const links = signals.map((signal) => {
    const abort = () => controller.abort(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    return () => signal.removeEventListener('abort', abort)
  })
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink() {
      for (const unlink of links) unlink()
    },
  }
}

/** A signal that fires with the first of others, and after `ms` at the latest. */
export function linkedWithin(ms: number, ...signals: readonly AbortSignal[]): AbortSignal {
  const { signal, unlink } = linkedTo(...signals, AbortSignal.timeout(ms))
  signal.addEventListener('abort', unlink)
  return signal
}
