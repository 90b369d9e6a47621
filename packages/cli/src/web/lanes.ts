import type { AskedQuestion, CallEvent, StepName } from '@mcp-durable/core/inspect'
import { tell, stepName } from '../show/call-events.js'
import type { Showing } from '../show/session-events.js'
import { span } from '../show/text.js'
import { digestOf } from './handles.js'
import { toneOf } from './sections.js'
import type { Bar, Lane } from './wire.js'

/** Bars of a lane, and marks. */
const KEPT = 200

/** What a step is forked from by. */
export const stepHandle = ({ name, key }: StepName) => digestOf(name, key ?? '')

/** The timeline of a call as bars: one lane for its runs, one for each step, and one for what it sends. */
export class Lanes {
  readonly #showing: Showing
  readonly #runs = lane('run', 'runs')
  readonly #sent = lane('message', 'sends')
  readonly #steps = new Map<string, Lane>()
  readonly #open = new Map<Lane, Bar>()
  #lastAt = 0

  constructor(showing: Showing) {
    this.#showing = showing
  }

  add(event: CallEvent) {
    this.#take(event)
    this.#lastAt = event.at
  }

  /** In the order of their beginnings, behind that of the runs. A question is a bar in the lane of the step that asks it. */
  all(questions: readonly AskedQuestion[]): Lane[] {
    const asking = new Map<string, Lane>()
    for (const [index, asked] of questions.entries()) {
      const id = asked.step ? stepHandle(asked.step) : `question ${index}`
      const known = asked.step && this.#steps.get(id)
      const into = asking.get(id) ?? {
        ...(known ??
          lane('question', asked.step ? stepName(asked.step, this.#showing.privacy) : asked.title)),
        kind: 'question',
        bars: [],
      }
      asking.set(id, into)
      into.bars.push({
        from: asked.at,
        to: asked.closedAt ?? null,
        tone: 'warn',
        text: `asks ${asked.title}`,
      })
    }
    const steps = [...this.#steps].filter(([id]) => !asking.has(id)).map(([, each]) => each)
    const sent = this.#sent.marks.length > 0 ? [this.#sent] : []
    return [
      this.#runs,
      ...[...steps, ...asking.values(), ...sent].toSorted((a, b) => beginningOf(a) - beginningOf(b)),
    ]
  }

  #take(event: CallEvent) {
    const { at } = event
    const { text, style } = tell(event, this.#showing)
    const mark = { at, text, tone: toneOf(style) }
    const node = (id: string) => this.#showing.nodeName(id)
    switch (event.kind) {
      case 'opened':
        return event.of ? this.#waits(at, text) : this.#begins(this.#runs, at, node(event.node))
      case 'taken-over':
        this.#lost(at)
        keep(this.#runs, 'marks', mark)
        return this.#begins(this.#runs, at, node(event.node), 'mark')
      case 'continued':
        this.#ends(this.#runs, at)
        return this.#begins(this.#runs, at, node(event.node))
      case 'parked':
        return this.#waits(at, text)
      case 'diverged':
      case 'returned':
        keep(this.#runs, 'marks', mark)
        return this.#waits(at, text)
      case 'step-started':
        return this.#begins(this.#step(event.step), at, 'at most once')
      case 'deadline':
        return this.#begins(this.#step(event.step), at, `waits up to ${span(event.until - at)}`, 'dim')
      case 'step-done':
      case 'step-failed':
      case 'step-cleared':
        return this.#stepEnds(event, ends[event.kind])
      case 'step-intended':
        return keep(this.#step(event.step), 'marks', mark)
      case 'notification':
      case 'partial-response':
        return keep(this.#sent, 'marks', mark)
      case 'question':
      case 'answer':
      case 'withdrawn':
        return
      case 'response':
      case 'cancelled':
        for (const open of this.#open.keys()) this.#ends(open, at)
        return keep(this.#runs, 'marks', mark)
      case 'task':
      case 'sealed':
      case 'unreadable':
      case 'passed':
      case 'cancel-asked':
      case 'wake-asked':
      case 'retry-asked':
      case 'became':
        return keep(this.#runs, 'marks', mark)
    }
  }

  /** Nobody runs it. */
  #waits(at: number, text: string) {
    this.#ends(this.#runs, at)
    this.#begins(this.#runs, at, text, 'dim')
  }

  /** The owner is gone; when, nobody knows: it was there when it wrote its last record. */
  #lost(at: number) {
    const open = this.#open.get(this.#runs)
    if (!open || open.tone === 'dim') return this.#ends(this.#runs, at)
    this.#ends(this.#runs, Math.max(open.from, this.#lastAt))
    keep(this.#runs, 'bars', {
      from: this.#lastAt,
      to: at,
      tone: 'dim',
      text: 'nothing recorded until it was taken over',
    })
  }

  #stepEnds(event: CallEvent & { step: StepName }, how: Ending) {
    const step = this.#step(event.step)
    const open = this.#open.get(step)
    if (open) {
      this.#ends(step, event.at)
      // What slept is no less asleep for having woken.
      Object.assign(open, open.tone === 'dim' ? { text: `waited, ${how.text}` } : how)
      return
    }
    const ms = 'ms' in event ? (event.ms ?? 0) : 0
    keep(step, 'bars', { from: event.at - ms, to: event.at, ...how })
  }

  #begins(into: Lane, at: number, text: string, tone: Bar['tone'] = 'name') {
    if (this.#open.has(into)) return
    const bar: Bar = { from: at, to: null, tone, text }
    keep(into, 'bars', bar)
    this.#open.set(into, bar)
  }

  #ends(of: Lane, at: number) {
    const open = this.#open.get(of)
    if (open) open.to = at
    this.#open.delete(of)
  }

  #step(step: StepName): Lane {
    const handle = stepHandle(step)
    const known = this.#steps.get(handle)
    if (known) return known
    const made = { ...lane('step', stepName(step, this.#showing.privacy)), step: handle }
    this.#steps.set(handle, made)
    return made
  }
}

type Ending = Pick<Bar, 'text' | 'tone'>
const ends: Record<'step-done' | 'step-failed' | 'step-cleared', Ending> = {
  'step-done': { text: 'done', tone: 'good' },
  'step-failed': { text: 'failed', tone: 'bad' },
  'step-cleared': { text: 'failed, may begin again', tone: 'warn' },
}

/** With the newest that is kept goes the first, which says when the lane began. */
function keep<K extends 'bars' | 'marks'>(into: Lane, kind: K, one: Lane[K][number]) {
  const all: Lane[K][number][] = into[kind]
  all.push(one)
  if (all.length > KEPT) into.left += all.splice(1, 1).length
}

const lane = (kind: Lane['kind'], name: string): Lane => ({
  kind,
  name,
  step: null,
  bars: [],
  marks: [],
  left: 0,
})

const beginningOf = ({ bars, marks }: Lane) =>
  Math.min(...bars.map(({ from }) => from), ...marks.map(({ at }) => at))
