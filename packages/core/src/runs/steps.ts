import { deadlineOf, isAccessory, isPatch, keepNewest } from '../context/call-log.js'
import type { StepRecord } from '../context/call-log.js'
import { isRequest } from '../json-rpc.js'
import type { CallRecord } from '../call/record.js'
import { digest } from '../ids.js'
import { RunRefusedError } from './errors.js'
import type { RecordedRun } from './recorded-run.js'

export type StepOfRun = { name: string; key?: string | undefined }

/** Names that are told of at most. */
const MOST_TOLD = 5

const nameIn = (id: string) => id.split('\n', 1)[0] ?? ''
const isOf = (id: string, step: string) =>
  id === step || (isAccessory(id) && !isPatch(id) && id.endsWith(`\n${step}`))
const hasEnded = ({ phase }: StepRecord) => phase === 'done' || phase === 'failed'

/** Names without keys, which may be the users' data. */
export function told(ids: Iterable<string>): string {
  const names = [...new Set([...ids].map(nameIn))]
  const more = names.length > MOST_TOLD ? `, and ${names.length - MOST_TOLD} more` : ''
  return `${names.slice(0, MOST_TOLD).join(', ')}${more}`
}

/** Steps whose effect these records tell of, and which a run without the records would have a second time. */
export function effectsIn(records: readonly (CallRecord | undefined)[]): Set<string> {
  const effects = new Set<string>()
  for (const record of records) {
    if (record?.kind !== 'step') continue
    const { id, kind = 'body', phase } = record.step
    const isAtMostOnce = kind === 'body' && phase === 'started'
    if (isAtMostOnce || (kind === 'state' && !isAccessory(id))) effects.add(id)
  }
  return effects
}

/** Steps that sleep, as far as the journal tells: a question with a time limit that it does not show yet seems to. */
export function sleepingIn(run: RecordedRun): string[] {
  const asked = new Set(run.records.flatMap(questionIn))
  const deadline = deadlineOf('')
  const { messages } = run.runs.request
  // In a batch, ids begin with the number of the request; see `RequestLog`.
  const prefixes = messages.length === 1 ? [''] : messages.map((_, index) => `${index}/`)
  return run.steps.flatMap((id) => {
    const prefix = prefixes.find((each) => id.startsWith(each + deadline))
    if (prefix === undefined) return []
    const step = prefix + id.slice(prefix.length + deadline.length)
    const record = run.runs.steps.get(step)
    return (record && hasEnded(record)) || asked.has(`${run.place.callId}.n${digest(step)}`) ? [] : [step]
  })
}

/**
 * The place of the first record of a step. What stands before it is what the journal was when the step began: a run that finds it
 * goes on there, as after a takeover. Throws a `RunRefusedError` if the step is none of the run, or one of several.
 */
export function beginningOf(run: RecordedRun, { name, key }: StepOfRun): { id: string; at: number } {
  const ids = new Set(run.steps.filter((id) => !isAccessory(id)))
  const wanted = key === undefined ? name : `${name}\n${key}`
  const alike = [...ids].filter((id) => nameIn(id) === name)
  const id = !ids.has(wanted) && key === undefined && alike.length === 1 ? alike[0]! : wanted
  const question = `${run.place.callId}.n${digest(id)}`
  const isFirst = (record: CallRecord | undefined) =>
    (record?.kind === 'step' && isOf(record.step.id, id)) || questionIn(record).includes(question)
  const at = run.records.findIndex(isFirst)
  if (at < 0) throw new RunRefusedError('run-step', unknownStep(name, alike.length, ids))
  return { id, at }
}

/** Throws a `RunRefusedError` if one of these records is of something that another run could not find as it was. */
export function requireWhole(run: RecordedRun, before: readonly (CallRecord | undefined)[]) {
  const steps = new Map<string, StepRecord>()
  for (const record of before) if (record?.kind === 'step') keepNewest(steps, record.step)
  const begun = [...steps.values()].flatMap(({ id }) => {
    if (isPatch(id)) return []
    return isAccessory(id) ? id.split('\n').slice(2).join('\n') : id
  })
  const asked = new Set(before.flatMap(questionIn))
  const open = begun.filter((id) => {
    const step = steps.get(id)
    return !step || !hasEnded(step)
  })
  for (const id of run.steps) {
    const question = `${run.place.callId}.n${digest(id)}`
    const step = steps.get(id)
    if (asked.has(question) && !(step && hasEnded(step))) open.push(id)
    asked.delete(question)
  }
  if (open.length > 0)
    throw new RunRefusedError(
      'run-step',
      `before it these had begun and not ended: ${told(open)}. Fork from one of them, or from what stands before.`,
    )
  if (asked.size > 0)
    throw new RunRefusedError(
      'run-step',
      'before it the tool has asked its client by no step, or one that has not ended, and that answer is not kept. Fork from before the question.',
    )
}

function unknownStep(name: string, alike: number, ids: ReadonlySet<string>): string {
  if (alike > 1)
    return `there are ${alike} steps '${name}', with different keys. Give the key of one (--key).`
  const names = [...new Set([...ids].map(nameIn))]
  if (names.length === 0) return `there is no step '${name}': nothing is recorded of any step.`
  const near = names.toSorted((a, b) => distance(a, name) - distance(b, name)).slice(0, MOST_TOLD)
  return `there is no step '${name}'. Nearest: ${near.join(', ')}.`
}

/** The id of the question that a record asks. */
function questionIn(record: CallRecord | undefined): string[] {
  if (record?.kind !== 'message' && record?.kind !== 'question') return []
  return isRequest(record.message) ? [String(record.message.id)] : []
}

/** How many characters differ (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
