import type { ReplayedStep, ReplayReport } from '@mcp-durable/core/testing'
import { stepName } from '../show/call-events.js'
import { styled } from '../show/line.js'
import type { Line } from '../show/line.js'
import type { Privacy } from '../show/privacy.js'
import { count } from '../show/text.js'

/** A trial of one call. `from`: the file that the call is of. */
export type Tried = { callId: string; from: string | undefined; report: ReplayReport }

const verdicts = { fits: 'good', differs: 'bad', untried: 'warn' } as const
const ends = { result: 'a result', 'tool-error': 'an error of the tool', error: 'an error' } as const

export function triedLines({ callId, from, report }: Tried, privacy: Privacy): Line[] {
  const { tool, version, reached, missing, next, verdict, problem } = report
  const title = tool === '' ? '' : `  tools/call ${tool}`
  const ranBy = version === undefined ? '' : `, run by version ${version}`
  const file = from === undefined ? '' : `  ${from}`
  const row = (style: 'good' | 'bad' | 'dim', word: string, step: ReplayedStep): Line => [
    '  ',
    styled(style, word.padEnd(8)),
    stepName(step, privacy),
  ]
  const isOff = verdict === 'differs'
  return [
    ['call ', styled('bold', privacy.id(callId)), styled('name', title), ranBy, styled('dim', file)],
    ...reached.map((step) => row('good', 'fits', step)),
    ...(isOff ? missing.slice(0, 1).map((step) => row('bad', 'journal', step)) : []),
    ...next.map((step) => row(isOff ? 'bad' : 'dim', isOff ? 'code' : 'next', step)),
    [styled(verdicts[verdict], verdictText(report)), styled('dim', detailText(problem?.detail, privacy))],
  ]
}

export function triedJson({ callId, from, report }: Tried, privacy: Privacy): Record<string, unknown> {
  const step = ({ name, key }: ReplayedStep) => ({ name, key: key && privacy.key(key) })
  const { reached, missing, next, problem, ...rest } = report
  return {
    call: privacy.id(callId),
    file: from,
    ...rest,
    reached: reached.map(step),
    missing: missing.map(step),
    next: next.map(step),
    problem: problem && { ...problem, detail: privacy.payloadValue(problem.detail) },
  }
}

const detailText = (detail: string | undefined, privacy: Privacy) =>
  detail === undefined ? '' : `  ${privacy.payload(detail)}`

function verdictText({
  verdict,
  problem,
  reached,
  next,
  end,
  recordedEnd,
  sameResult,
}: ReplayReport): string {
  if (verdict === 'untried') return `could not be tried: ${problem?.message}`
  if (verdict === 'differs') return `does not fit: ${problem?.message}`
  const steps = count(reached.length, 'step')
  if (end === undefined) {
    const names = next.map(({ name }) => JSON.stringify(name)).join(', ')
    return `fits: ${steps}; the journal ends here, and the code goes on with ${names}`
  }
  if (recordedEnd === undefined || recordedEnd === 'cancelled')
    return `fits: ${steps}; the code ends with ${ends[end]}`
  const other = sameResult === false ? ', another one than the journal' : ', as the journal does'
  return `fits: ${steps}; the code ends with ${ends[end]}${other}`
}
