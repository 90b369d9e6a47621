import { markdownTable } from '../report/document.js'
import type { Outcome } from './compare.js'
import type { Survival } from './scenes.js'

type Line = { name: string; outcome: Outcome }

const NOT_OFFERED = 'not offered'

/** The outcome as a table in Markdown, padded as prettier does it. `steps`: how many effects are right. */
export function comparisonTable(lines: readonly Line[], steps: number): string {
  const head = [
    'server',
    'killed in a call: answer',
    `effects, of ${steps}`,
    'session lives on',
    'stream cut: messages missing',
    'calls served by two processes',
    'replaced in a call: answer',
    `effects, of ${steps}`,
    'calls/s',
    'p99',
  ]
  return markdownTable(
    head,
    lines.map(({ name, outcome }) => cellsOf(name, outcome)),
  )
}

function cellsOf(name: string, { killed, cut, spread, replaced, rate }: Outcome): string[] {
  return [
    name,
    answer(killed),
    effects(killed),
    killed.servedAfter ? 'yes' : 'no',
    cut ? missing(cut.heard.lost, cut.reports - cut.heard.reports.size, cut.reports) : NOT_OFFERED,
    `${spread.served} of ${spread.of}`,
    answer(replaced),
    effects(replaced),
    Math.round(rate.perSecond).toLocaleString('en-US'),
    `${rate.p99Ms.toFixed(rate.p99Ms < 10 ? 1 : 0)} ms`,
  ]
}

function answer({ heard: { lost }, seconds }: Survival): string {
  return lost === undefined ? `after ${seconds.toFixed(1)} s` : `none: ${lost}`
}

function effects({ effects: all }: Survival): string {
  const twice = all.length - new Set(all).size
  return twice === 0 ? String(all.length) : `${all.length}, ${twice} repeated`
}

function missing(lost: string | undefined, count: number, reports: number): string {
  if (lost !== undefined) return `${count} of ${reports}, and the answer: ${lost}`
  return count === 0 ? '0' : `${count} of ${reports}`
}
