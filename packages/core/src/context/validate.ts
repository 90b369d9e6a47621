import { LazyAbort } from '../lazy-abort.js'
import { startTimer } from '../timers.js'
import { isAccessory } from './call-log.js'
import type { ContextStore } from '../store/context-store.js'
import { canonical, compareMessages, firstDifference } from './differences.js'
import type { Difference } from './differences.js'
import { withoutChanges } from './map-record.js'
import type { MapRecord } from './map-record.js'
import { ReplayLog } from './replay-log.js'
import type { Ending, FinishedCall } from './replay-log.js'
import type { RunningCall } from './run-context.js'
import { textOf } from '../errors.js'
import { untilAborted } from './timers.js'

const REPLAY_WITHIN_MS = 10_000

/**
 * Runs the handler of a finished call again, against its own log and with writing forbidden, and tells what differed:
 * effects that the handler has outside of steps, and what it reads there. Nothing is written and no body of a step runs;
 * code outside of steps does run again. A handler that does not end is left after `withinMs`.
 *
 * `mapChanges`: what `recordingChanges` noted in the run that ended; without it changes of maps are not compared.
 */
export async function validateEffects(
  call: FinishedCall & { mapChanges?: ReadonlyMap<string, string> },
  store: ContextStore,
  rerun: (call: RunningCall) => Promise<unknown>,
  { withinMs = REPLAY_WITHIN_MS } = {},
): Promise<Difference[]> {
  const stop = new LazyAbort()
  const log = new ReplayLog(call, stop)
  const mapChanges: MapRecord = new Map()
  const callOff = startTimer(withinMs, () => stop.abort(new Error('The replay takes too long.')))
  const ending = await endingOf(stop.signal, () => rerun({ log, store: withoutChanges(store, mapChanges) }))
  const wasStopped = stop.aborted
  callOff()
  stop.abort()
  if (log.newStep !== undefined)
    return [{ kind: 'new-step', what: `${title(log.newStep)} is in the replay only.` }]
  if (wasStopped) return [{ kind: 'no-end', what: `The replay did not end within ${withinMs} ms.` }]
  return [
    ...compareSteps(call, log),
    // The bodies of steps are not run again.
    ...compareMessages(
      call.sent.filter(({ step }) => step === undefined).map(({ message }) => message),
      log.sent,
    ),
    ...(call.mapChanges ? compareMapChanges(call.mapChanges, mapChanges) : []),
    ...compareEndings(call.ending, ending),
  ]
}

async function endingOf(stopped: AbortSignal, rerun: () => Promise<unknown>): Promise<Ending> {
  try {
    return { result: await untilAborted(stopped, rerun) }
  } catch (error) {
    return { error }
  }
}

function compareSteps({ steps }: FinishedCall, { asked }: ReplayLog): Difference[] {
  return [...steps.keys()].flatMap((id): Difference[] => {
    if (isAccessory(id) || asked.has(id)) return []
    return [{ kind: 'missing-step', what: `${title(id)} is not in the replay.` }]
  })
}

function compareMapChanges(before: ReadonlyMap<string, string>, after: MapRecord): Difference[] {
  const marks = new Set([...before.keys(), ...after.keys()])
  return [...marks].flatMap((mark): Difference[] => {
    const change = `The change ${mark.slice(mark.indexOf(':') + 1)} of a map`
    if (!before.has(mark)) return [{ kind: 'new-map-change', what: `${change} is in the replay only.` }]
    if (!after.has(mark)) return [{ kind: 'missing-map-change', what: `${change} is not in the replay.` }]
    if (before.get(mark) === after.get(mark)) return []
    return [{ kind: 'changed-map-change', what: `${change} has another content in the replay.` }]
  })
}

export function compareEndings(before: Ending, after: Ending): Difference[] {
  const [then, now] = [comparable(before), comparable(after)]
  if (canonical(then) === canonical(now)) return []
  return [{ kind: 'different-result', what: firstDifference(then, now, 'The end') }]
}

function comparable(ending: Ending) {
  if (!('error' in ending)) return ending
  const { error } = ending
  if (!(error instanceof Error)) return { error: textOf(error) }
  const { name, message, code } = error as Error & { code?: unknown }
  return { error: { name, message, code } }
}

/** A step's name, with its key. */
function title(id: string) {
  const [name = '', ...key] = id.split('\n')
  return `The step ${JSON.stringify(key.length > 0 ? `${name} (${key.join('\n')})` : name)}`
}
