import { span } from '../../show/span.js'
import type { Lane } from '../wire.js'

/** In percent of the width. */
export type Tick = { at: number; text: string }
export type Break = { from: number; to: number; text: string }

/** A stretch of time, and how wide it is drawn. */
type Stretch = { from: number; to: number; weight: number; isCut: boolean; left: number }

const WAITING = new Set(['dim', 'warn'])
/** Long waits are drawn this many times shorter and more. */
const CUT_AT = 2

/** Where a moment stands on the drawing. Long waits, in which nothing is done, are cut short, or the work between them would not be seen. */
export class Scale {
  readonly ticks: Tick[] = []
  readonly breaks: Break[] = []
  readonly #from: number
  readonly #stretches: Stretch[]
  readonly #total: number

  /** `near`: labels nearer to each other than so many percent would touch. */
  constructor(lanes: readonly Lane[], { from, to, near }: { from: number; to: number; near: number }) {
    this.#from = from
    const end = Math.max(to, from + 1)
    this.#stretches = stretchesOf(lanes, from, end)
    let left = 0
    for (const stretch of this.#stretches) {
      stretch.left = left
      left += stretch.weight
    }
    this.#total = left
    for (const stretch of this.#stretches) {
      if (!stretch.isCut) continue
      const [start, stop] = [this.at(stretch.from), this.at(stretch.to)]
      this.breaks.push({ from: start, to: stop, text: span(stretch.to - stretch.from) })
    }
    this.#label(from, end, near)
  }

  /** In percent. */
  at(ms: number): number {
    const last = this.#stretches.at(-1)!
    const stretch = this.#stretches.find(({ to }) => ms <= to) ?? last
    const part = (Math.min(ms, last.to) - stretch.from) / (stretch.to - stretch.from)
    return (100 * (stretch.left + Math.max(0, part) * stretch.weight)) / this.#total
  }

  #label(from: number, end: number, near: number) {
    const step = nice((end - from) / 6)
    const even = Array.from(
      { length: Math.floor((end - from) / step) + 1 },
      (_, index) => from + index * step,
    )
    const edges = this.#stretches.flatMap((stretch) => (stretch.isCut ? [stretch.from, stretch.to] : []))
    const wanted = this.breaks.length === 0 ? even : [from, ...edges, end]
    for (const ms of wanted) {
      const at = this.at(ms)
      const last = this.ticks.at(-1)
      if ((last && at - last.at < near) || at > 100 - near) continue
      this.ticks.push({ at, text: `+${span(ms - this.#from)}` })
    }
  }
}

/** Between any two moments at which something begins or ends. */
function stretchesOf(lanes: readonly Lane[], from: number, to: number): Stretch[] {
  const bars = lanes.flatMap(({ kind, bars: drawn }) =>
    drawn.map((bar) => ({ ...bar, to: bar.to ?? to, kind, waits: WAITING.has(bar.tone) })),
  )
  const marks = lanes.flatMap((lane) => lane.marks.map(({ at }) => at))
  const moments = [from, to, ...bars.flatMap((bar) => [bar.from, bar.to]), ...marks]
  const edges = [...new Set(moments.map((ms) => Math.min(to, Math.max(from, ms))))].toSorted((a, b) => a - b)
  // That a node has it says nothing of whether it does something: it may wait for an answer.
  const work = bars.filter(({ kind, waits }) => kind !== 'run' && !waits)
  const idle = bars.filter(({ waits }) => waits)
  const isWaiting = (a: number, b: number) =>
    idle.some((bar) => bar.from <= a && bar.to >= b) && !work.some((bar) => bar.from < b && bar.to > a)
  const steps = bars.length > 500 ? [] : edges.slice(1).map((edge, index) => [edges[index]!, edge] as const)
  const pairs = steps.length === 0 ? [[from, to] as const] : steps
  const stretches = pairs.map(([a, b]) => ({ from: a, to: b, waits: isWaiting(a, b) }))
  const busyMs = stretches.reduce((sum, { from: a, to: b, waits }) => sum + (waits ? 0 : b - a), 0)
  const most = Math.max(busyMs, 1) / CUT_AT
  return stretches.map(({ from: a, to: b, waits }) => {
    const isCut = waits && busyMs > 0 && b - a > most * CUT_AT
    const weight = isCut ? most * (1 + Math.log10((b - a) / most) / 4) : b - a
    return { from: a, to: b, weight, isCut, left: 0 }
  })
}

/** 1, 2 or 5 of a power of ten; of a minute, an hour or a day where it is that long. */
function nice(ms: number): number {
  const unit = [86_400_000, 3_600_000, 60_000].find((each) => ms >= each) ?? 1
  const power = 10 ** Math.floor(Math.log10(Math.max(1, ms / unit)))
  const factor = [1, 2, 5, 10].find((each) => each * power * unit >= ms) ?? 10
  return factor * power * unit
}
