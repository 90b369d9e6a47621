import { inspect } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkMs } from '../check-ms.js'
import { isDurable } from '../context/durable-handlers.js'
import { checkNames } from '../known-options.js'
import type { Effect } from './crash/effects.js'
import { Faults } from './crash/faults.js'
import type { Fault, FaultKind } from './crash/faults.js'
import { labelOf, spread, titleOf } from './crash/points.js'
import type { CrashPoint, Write } from './crash/points.js'
import { TestedCall } from './crash/tested-call.js'
import type { Answers, CallOf } from './crash/tested-call.js'
import type { RunEnd, Tool } from './crash/tested-run.js'

export type { Effect } from './crash/effects.js'
export type { Fault, FaultKind } from './crash/faults.js'

export type CrashOptions = {
  /** What the client answers, by the names of questions; `name (key)` for one with a key. An `Error`: that it refuses. */
  answers?: Answers
  /** What `ctx.now()` gives first, in ms since 1970; default: now. It grows by what the tool sleeps, which takes no real time. */
  now?: number
  /** What the tool finds in `ctx.extra`, beside `requestId` and `signal`. */
  extra?: object
  /** Who calls. */
  principal?: string
  /** What is no fault in this tool. */
  ignore?: readonly FaultKind[]
  /** No further call is begun after so long, in ms; `untried` says how many crashes were left out. Default: 3000. */
  withinMs?: number
}

/** What a tool has done under crashes. */
export type CrashReport = {
  /** How often it was crashed, each time in a call of its own. */
  crashes: number
  /** How many more places to crash at were left out, for lack of time. */
  untried: number
  /** The steps of a call that nothing interrupts, in the order in which they begin. */
  steps: string[]
  /** What that call has done, by the names given to `effect()`, and how often. */
  effects: Record<string, number>
  faults: Fault[]
}

/** As `durableTool()` makes it. */
type GivenTool = (args: never, extra?: never) => Promise<unknown>

/**
 * Runs a durable tool in memory, and crashes it: before and after each of its steps, questions and sleeps, and between what a
 * step does and the record of that. Each time another process takes the call over, by the code that does so in production. The
 * report says what came out differently. Sleeps end at once.
 *
 * Give the tool as `durableTool()` has made it; or a function that returns it, which is called before each call: there fakes
 * of the tool's services are made, and tell `effect` what they have done.
 *
 * Rejects if the tool can't be tested: a call that nothing interrupts does not end, or waits for an answer that is not given.
 */
export function crashTest(
  world: (effect: Effect) => GivenTool,
  args: object,
  options?: CrashOptions,
): Promise<CrashReport>
export function crashTest(tool: GivenTool, args: object, options?: CrashOptions): Promise<CrashReport>
export async function crashTest(
  given: GivenTool | ((effect: Effect) => GivenTool),
  args: object,
  options: CrashOptions = {},
): Promise<CrashReport> {
  checkNames('crashTest()', options, ['answers', 'now', 'extra', 'principal', 'ignore', 'withinMs'])
  const {
    answers = {},
    now = Date.now(),
    extra = {},
    principal = 'somebody',
    ignore = [],
    withinMs = 3000,
  } = options
  checkMs('crashTest(): `withinMs`', withinMs)
  const world = (effect: Effect) =>
    toolOf(isDurable(given) ? given : (given as (effect: Effect) => unknown)(effect))
  const tester = new Tester({ world, args, answers, now, extra, principal }, withinMs)
  const report = await tester.test()
  return { ...report, faults: report.faults.filter(({ kind }) => !ignore.includes(kind)) }
}

/** Throws if there is a fault; the text says what to change. */
export function assertCrashSafe({ faults, crashes }: CrashReport) {
  if (faults.length === 0) return
  const texts = faults.map(({ what, crash, crashes: seen, advice }) => {
    const others = seen > 1 ? ` (and after ${seen - 1} more)` : ''
    const where = crash === undefined ? '' : `  crashed ${crash}${others}\n`
    return `- ${what}\n${where}  ${advice}`
  })
  const count = faults.length === 1 ? 'A fault' : `${faults.length} faults`
  throw new Error(`${count} of a durable tool, found by crashing it ${crashes} times:\n${texts.join('\n')}`)
}

function toolOf(given: unknown): Tool {
  if (isDurable(given)) return given as Tool
  throw new TypeError(
    `crashTest(): a tool is what durableTool() returns, or a function that returns it, and was ${inspect(given, { depth: 0 })}.`,
  )
}

/** So long a run may take that has crashed calls behind it, at least: a replay waits a little for steps that don’t come. */
const LEAST_MS = 1000
/** The clock of the process goes on between two runs, as it does where tools run. */
const APART_MS = 2

class Tester {
  readonly #of: CallOf
  readonly #faults = new Faults()
  readonly #withinMs: number
  /** Places that calls have come to. */
  readonly #known = new Set<string>()
  #crashes = 0

  constructor(of: CallOf, withinMs: number) {
    this.#of = of
    this.#withinMs = withinMs
  }

  async test(): Promise<CrashReport> {
    const began = performance.now()
    const { whole, run } = await this.#uninterrupted()
    const runMs = Math.max(LEAST_MS, 4 * (performance.now() - began))
    const queue: CrashPoint[][] = spread(this.#newPoints(run.writes)).map((point) => [point])
    let tried = 0
    const isTime = () => tried === 0 || performance.now() - began < this.#withinMs
    for (; tried < queue.length && isTime(); tried++) {
      const crashes = queue[tried]!
      const writes = await this.#crash(crashes, whole, runMs)
      // What only a call comes to that was interrupted is interrupted too.
      if (crashes.length === 1) queue.push(...this.#newPoints(writes).map((point) => [...crashes, point]))
    }
    const effects = Object.fromEntries(whole.effects.names.map((name) => [name, whole.effects.count(name)]))
    const steps = run.log.notes.begun
      .map((id) => id.split('\n'))
      .map(([name, key]) => (key === undefined ? name! : `${name} (${key})`))
    return { crashes: this.#crashes, untried: queue.length - tried, steps, effects, faults: this.#faults.all }
  }

  async #uninterrupted() {
    await using whole = new TestedCall(this.#of)
    const end = await whole.begin(undefined, this.#withinMs)
    const [run] = whole.runs
    if (end === 'unanswered') throw new Error(unansweredText(whole.unanswered))
    if (end !== 'ended' || !run) {
      const last = run?.log.notes.begun.at(-1)
      const where =
        last === undefined ? 'before its first step' : `the last step that it began is ${titleOf(last)}`
      throw new Error(
        `crashTest(): the tool did not end within ${this.#withinMs} ms, without any crash; ${where}. Give its services fakes that answer at once, or crashTest more time (withinMs).`,
      )
    }
    await sleep(APART_MS)
    this.#faults.addDifferences(await whole.replay(this.#withinMs), undefined)
    return { whole, run }
  }

  /** Resolves to what the last run of the call has written. */
  async #crash(crashes: readonly CrashPoint[], whole: TestedCall, runMs: number): Promise<readonly Write[]> {
    await using call = new TestedCall(this.#of)
    const label = crashes.map(labelOf).join(', and then ')
    let end: RunEnd | 'over' = await call.begin(crashes[0], runMs)
    let next = 1
    while (end === 'crashed') {
      this.#crashes++
      await sleep(APART_MS)
      end = await call.takeOver(crashes[next++], runMs)
      const [before, after] = call.runs.slice(-2)
      if (end === 'ended') this.#faults.compareRuns(before!, after!, label)
    }
    const last = call.runs.at(-1)!
    if (end === 'over') return last.writes
    if (end === 'unanswered') {
      const what = `The next run waits for an answer to ${call.unanswered.map(titleOf).join(', ')}, which the options do not give.`
      this.#faults.add('no-end', what, label)
    } else if (end === 'stuck') {
      const begun = last.log.notes.begun.at(-1)
      const where =
        begun === undefined ? 'before its first step' : `behind the beginning of the step ${titleOf(begun)}`
      this.#faults.add('no-end', `The next run did not end; it stood ${where}.`, label)
    } else {
      const [run] = whole.runs
      this.#faults.compareEnds(run!, last, label)
      await sleep(APART_MS)
      if (!last.log.notes.hasUnknown) this.#faults.addDifferences(await call.replay(runMs), label)
    }
    this.#faults.compareEffects(whole.effects, call.effects, (step) => isOnce(call, step), label)
    return last.writes
  }

  #newPoints(writes: readonly Write[]): CrashPoint[] {
    const found = writes.filter(({ key }) => !this.#known.has(key))
    for (const { key } of found) this.#known.add(key)
    const both = found.flatMap((write): CrashPoint[] => [
      { write, when: 'before' },
      { write, when: 'after' },
    ])
    // With its result recorded, nothing of a call is left to run.
    return both.filter(({ write, when }) => write.key !== 'response' || when === 'before')
  }
}

/** A step whose start is recorded before its body runs. */
const isOnce = ({ runs }: TestedCall, step: string) =>
  runs.some(({ writes }) => writes.some(({ key }) => key === `started ${step}`))

function unansweredText(steps: readonly string[]) {
  const [first = ''] = steps
  const name = first.replace(/\n(.*)/s, ' ($1)')
  return `crashTest(): the tool waits for an answer to ${steps.map(titleOf).join(', ')}. Give it: { answers: { ${JSON.stringify(name)}: { action: 'accept', content: {} } } }`
}
