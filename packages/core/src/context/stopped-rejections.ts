const GUARDED = Symbol.for('mcp-durable.stopped-rejections')
/** Codes of the errors by which a handler hears that nothing more is done here for its call. */
const STOPS = new Set(['call-stopped', 'divergence', 'journal-closed', 'journal-fenced', 'journal-gone'])
const MOST_CAUSES = 10

/**
 * A handler that has two steps under way and waits for the first leaves the other one's rejection to nobody when its call
 * is stopped. Node.js ends a process for that, so a client's cancellation would. Only such rejections do no harm any more;
 * every other one comes to what it came to before.
 */
export function forgiveStoppedRejections() {
  const shared = globalThis as { [GUARDED]?: true }
  // Once for a process, however often this library was loaded: of two listeners each would leave the rest to the other.
  if (shared[GUARDED]) return
  shared[GUARDED] = true
  process.on('unhandledRejection', (reason) => {
    const isForOthers = process.listenerCount('unhandledRejection') > 1
    if (isStop(reason) || isForOthers || !endsProcesses()) return
    throw reason
  })
}

function isStop(reason: unknown) {
  let error = reason
  for (let depth = 0; depth < MOST_CAUSES && typeof error === 'object' && error !== null; depth++) {
    const { code, cause } = error as { code?: unknown; cause?: unknown }
    if (STOPS.has(code as string)) return true
    error = cause
  }
  return false
}

/** Whether Node.js was not told to do something else than that (`--unhandled-rejections`). */
function endsProcesses() {
  const flags = [process.env['NODE_OPTIONS'] ?? '', ...process.execArgv].join(' ')
  const mode = [...flags.matchAll(/--unhandled-rejections[= ](\S+)/g)].at(-1)?.[1]
  return mode === undefined || mode === 'throw' || mode === 'strict'
}
