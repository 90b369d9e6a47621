import type { Store } from '@mcp-durable/core'

const RECONCILE_MS = 1000

/**
 * Calls `look` whenever something may have happened in a scope, one look at a time, until it answers `false` or the
 * signal fires. `heard` gets the topics of wake-ups, which may get lost; and steps wake nobody; so there is a look every second anyway.
 */
export async function follow(
  store: Store,
  scope: string,
  {
    heard,
    look,
    signal,
  }: { heard: (topic: string) => void; look: () => Promise<boolean>; signal: AbortSignal },
): Promise<void> {
  let wake: () => void = () => undefined
  let woken = false
  const alarm = () => {
    woken = true
    wake()
  }
  signal.addEventListener('abort', alarm, { once: true })
  const unwatch = await store.watch(scope, (topic) => {
    heard(topic)
    alarm()
  })
  try {
    while (!signal.aborted && (await look())) {
      if (!woken) {
        let timer: NodeJS.Timeout | undefined
        await new Promise<void>((resolve) => {
          wake = resolve
          timer = setTimeout(resolve, RECONCILE_MS)
        })
        clearTimeout(timer)
      }
      woken = false
    }
  } finally {
    unwatch()
  }
}

/** Fires at Ctrl-C and when the process is told to end. */
export function untilInterrupted(): AbortSignal {
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => interrupted.abort())
  return interrupted.signal
}

/** The call that a topic is about, if it is about one. */
export const callOf = (topic: string) => /^call:([^:]+)/.exec(topic)?.[1]
