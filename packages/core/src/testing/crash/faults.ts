import { compareEndings } from '../../context/validate.js'
import type { Difference } from '../../context/differences.js'
import type { Effects } from './effects.js'
import { titleOf } from './points.js'
import { UNKNOWN } from './tested-log.js'
import type { TestedRun } from './tested-run.js'

/**
 * - `effect-repeated`: something was done to the world more often than in a call that nothing interrupts.
 * - `step-moved`: a later run came to another step, to one with another key, or to the same ones in another order.
 * - `result-differs`, `message-differs`, `map-change-differs`: two runs of a call came to different results, told the client
 *   different things, or changed maps in different ways.
 * - `outcome-unknown`: the call ended with `AtMostOnceFailedBeforeCompleting`, which the tool let through.
 * - `no-end`: a later run did not end.
 */
export type FaultKind =
  | 'effect-repeated'
  | 'step-moved'
  | 'result-differs'
  | 'message-differs'
  | 'map-change-differs'
  | 'outcome-unknown'
  | 'no-end'

/**
 * `what`: of which step, effect or value, and how. `crash`: where the process died when it was seen first, if it had to die for that;
 * `crashes`: after how many crashes it was seen. `advice`: what to change.
 */
export type Fault = {
  kind: FaultKind
  what: string
  crash: string | undefined
  crashes: number
  advice: string
}

const ADVICE: Record<FaultKind, string> = {
  'effect-repeated': '',
  'step-moved':
    'Which steps there are, and their names and keys, must follow from the arguments and from what steps have returned. Take times, random values and what is read from elsewhere from a step (ctx.now, ctx.random, ctx.uuid7, ctx.atLeastOnce).',
  'result-differs':
    'What the result is made of must come from the arguments and from steps. Take times, random values and what is read from elsewhere from a step (ctx.now, ctx.random, ctx.uuid7, ctx.atLeastOnce).',
  'message-differs':
    'What is told to the client must follow from the arguments and from steps, so that it is recognised when it is told again.',
  'map-change-differs': 'What is written to a map must follow from the arguments and from steps.',
  'outcome-unknown':
    'Catch AtMostOnceFailedBeforeCompleting and find out what has happened (in a step at least once), or return a result that says what the user is to do. If the service recognises repetitions, make it ctx.atLeastOnce with its idempotencyKey.',
  'no-end':
    'A later run waits for something that does not come. What it waits for must be a step, or follow from one.',
}

/** What was found, each thing once. */
export class Faults {
  readonly #faults = new Map<string, Fault>()
  /** After which crashes each was seen. */
  readonly #seen = new Map<Fault, Set<string>>()

  get all(): Fault[] {
    return [...this.#faults.values()]
  }

  /** `crash`: what happened to the call; `undefined`: nothing. */
  add(kind: FaultKind, what: string, crash: string | undefined, advice = ADVICE[kind]) {
    const about = `${kind} ${sameOf(what)}`
    const fault = this.#faults.get(about) ?? { kind, what, crash, crashes: 0, advice }
    this.#faults.set(about, fault)
    const seen = this.#seen.get(fault) ?? new Set()
    this.#seen.set(fault, seen)
    if (crash !== undefined) fault.crashes = seen.add(crash).size
  }

  /** Two runs of one call, the first of which has crashed. */
  compareRuns(before: TestedRun, after: TestedRun, crash: string) {
    const { notes } = after.log
    // The tool may go another way when it does not know what has happened.
    if (notes.hasUnknown) return
    const places = new Map(notes.begun.map((id, place) => [id, place]))
    const [lost] = before.log.notes.begun.filter((id) => !places.has(id))
    const found = notes.begun.find((id) => !before.log.notes.begun.includes(id))
    if (lost !== undefined) this.add('step-moved', movedText(lost, found), crash)
    for (const [id, behind] of before.log.notes.behind) {
      const [place, placeBehind] = [places.get(id), behind === undefined ? undefined : places.get(behind)]
      if (place === undefined || placeBehind === undefined || place > placeBehind) continue
      const what = `The step ${titleOf(id)} came after ${titleOf(behind!)}, and before it in the next run.`
      return this.add('step-moved', what, crash)
    }
    if (before.handled && after.handled)
      this.addDifferences(compareEndings(before.handled.ending, after.handled.ending), crash)
  }

  /** Of a replay for comparison, or of two ends. */
  addDifferences(differences: readonly Difference[], crash: string | undefined) {
    for (const { kind, what } of differences) this.add(KINDS[kind], inWords(what), crash)
  }

  /** How a call has ended, beside how one ends that nothing interrupts. */
  compareEnds(whole: TestedRun, last: TestedRun, crash: string | undefined) {
    const error = errorOf(last)
    if (!error) return
    if ((error as { code?: unknown }).code === UNKNOWN && !whole.log.notes.hasUnknown) {
      const { step } = error as { step?: string }
      this.add(
        'outcome-unknown',
        `The tool ends with the error of the step ${JSON.stringify(step)}, of which nobody knows what it has done.`,
        crash,
      )
    } else if (!errorOf(whole) && !last.log.notes.hasUnknown) {
      const what = `A call that nothing interrupts returns a result, and one that goes on elsewhere throws ${String(error)}`
      this.add('result-differs', what, crash)
    }
  }

  /** What a call has done, beside what one does that nothing interrupts. `isOnce`: whether a step runs at most once. */
  compareEffects(
    whole: Effects,
    effects: Effects,
    isOnce: (step: string) => boolean,
    crash: string | undefined,
  ) {
    for (const name of effects.names) {
      const [most, count] = [Math.max(1, whole.count(name)), effects.count(name)]
      if (count <= most) continue
      const places = effects.places(name)
      const seen = places.map((step) =>
        step === undefined ? 'outside of steps' : `in the step ${titleOf(step)}`,
      )
      const what = `The effect ${JSON.stringify(name)} happened ${times(count)}, and ${times(most)} in a call that nothing interrupts (${seen.join(', ')}).`
      this.add('effect-repeated', what, crash, adviceFor(places, effects.hasKeys(name), isOnce))
    }
  }
}

const KINDS: Record<Difference['kind'], FaultKind> = {
  'new-step': 'step-moved',
  'missing-step': 'step-moved',
  'new-message': 'message-differs',
  'missing-message': 'message-differs',
  'changed-message': 'message-differs',
  'new-map-change': 'map-change-differs',
  'missing-map-change': 'map-change-differs',
  'changed-map-change': 'map-change-differs',
  'different-result': 'result-differs',
  'no-end': 'no-end',
}

/** What of a text is the same each time the fault is seen, although names and values may be others. */
const sameOf = (what: string) => what.replace(/ was .*/s, '').replaceAll(/[\w-]*\d[\w.:-]*/g, '')

/** Of a comparison: its words for the two runs, and for how a handler ends. */
const inWords = (what: string) => what.replaceAll('the replay', 'a later run').replace(/^The end\./, 'The ')

const times = (count: number) => (count === 1 ? 'once' : `${count} times`)

function errorOf({ handled }: TestedRun): Error | undefined {
  const ending = handled?.ending
  if (!ending || !('error' in ending)) return undefined
  return ending.error instanceof Error ? ending.error : new Error(String(ending.error))
}

function movedText(lost: string, found: string | undefined) {
  if (found === undefined) return `The step ${titleOf(lost)} is not in the next run.`
  const [isKey] = [lost.split('\n')[0] === found.split('\n')[0]]
  const what = isKey ? 'with another key' : 'under another name'
  return `The step ${titleOf(lost)} is not in the next run; ${titleOf(found)} is there in its place, ${what}.`
}

function adviceFor(
  places: readonly (string | undefined)[],
  hasKeys: boolean,
  isOnce: (step: string) => boolean,
) {
  if (places.includes(undefined))
    return 'Code outside of steps runs once in each run. Move it into the body of a step.'
  if (places.length > 1)
    return 'Two steps do the same thing. Where it is not known whether the first has done it, find out before it is done again.'
  if (isOnce(places[0] ?? ''))
    return 'The body was run again although it had taken effect. `retryable` may only match errors that say that it took none.'
  if (hasKeys)
    return 'Its receiver was given different keys. Give it the `idempotencyKey` of the step, which is the same in all runs.'
  return 'The body of a step at least once runs again when its end was not recorded. Give the `idempotencyKey` of the step to the receiver, and to effect(); or make it ctx.atMostOnce.'
}
