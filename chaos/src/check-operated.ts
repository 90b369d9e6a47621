import { readFile } from 'node:fs/promises'
import { ledgerDigest } from '@mcp-durable/examples/dist/fixtures/ledger-tools.js'
import { checkJournal } from './checks.js'
import { epochOf } from './event-ids.js'
import { decodeFlat } from './journal.js'
import type { Journal } from './journal.js'
import type { Fate } from './node-pool.js'
import { MOST, placeOf } from './operated.js'
import type { Action, Operated } from './operated.js'

/** What a run of a call did: when it began (`run`), and when each step took effect. */
type Effect = { callId: string; what: string; at: number }
type Descent = { callId: string; action: string; copied?: number }
/** `endedAt`: when its last record was written. */
export type Ended = Journal & { endedAt: number }
type Span = { from: number; to: number; what: string }

/** A node that stood still for so long, twice the lease, may run one more than it may. */
const STANDS_STILL_MS = 5000
/** A record's time counts from when its node heard that it owns the call, which on a busy machine is late. */
const NOTED_WITHIN_MS = 5000

/** What does not hold of the calls that were counted and acted on, as journals and the ledger tell. */
export async function checkOperated(
  operated: Operated,
  journals: readonly Ended[],
  { ledgerFile, fates }: { ledgerFile: string; fates: Iterable<readonly Fate[]> },
): Promise<string[]> {
  const effects = effectsIn(await readFile(ledgerFile, 'utf8').catch(() => ''))
  const byId = new Map(journals.map((journal) => [journal.callId, journal]))
  const pauses = [...fates].flat().filter(({ what }) => what === 'paused')
  const begun = journals.filter((journal) => !isUnbegun(journal))
  return [
    ...begun.flatMap((journal) => checkJournal(journal).map(about(journal))),
    ...begun.flatMap((journal) => checkRun(journal, effects, pauses).map(about(journal))),
    ...begun.flatMap((journal) => checkMade(journal, byId, effects).map(about(journal))),
    ...checkRetries(begun),
    ...operated.actions.flatMap((action) => checkAction(action, byId)),
    ...[...operated.cancelled].flatMap(([name, { at, told }]) =>
      checkCancelled(byId.get(placeOf(name).callId), at, told),
    ),
    ...checkQuotas(operated, begun, effects, pauses),
  ]
}

const about = (journal: Journal) => (what: string) => `counted ${journal.callId}: ${what}\n${journal.print()}`

/** It was made, and never handed over: nothing runs it, and it goes by its expiry. */
export const isUnbegun = ({ records }: Journal) =>
  ofOf(records[0]?.json) !== undefined && !records.some(({ kind }) => kind === 'passed' || kind === 'claim')

const ofOf = (json = '{}') => (JSON.parse(json) as { of?: Descent }).of
const descentOf = ({ records }: Journal) => ofOf(records[0]?.json)

function effectsIn(text: string): Effect[] {
  return text.split('\n').flatMap((line) => {
    const [tool, callId = '', what = '', , at] = line.split(' ')
    return tool === 'counted' ? [{ callId, what, at: Number(at) }] : []
  })
}

/** Nothing takes effect after its end, but for a node that stood still meanwhile. What it has returned was recorded. */
function checkRun(journal: Ended, effects: readonly Effect[], pauses: readonly Fate[]): string[] {
  const { endedAt: end } = journal
  const found = effects
    .filter(
      ({ callId, what, at }) => callId === journal.callId && what !== 'run' && at > end + NOTED_WITHIN_MS,
    )
    .filter(({ at }) => !pauses.some(({ from, to }) => from <= at && to >= end - STANDS_STILL_MS))
    .map(({ what, at }) => `${what} took effect ${at - end} ms after its end`)
  const most = effects.filter(({ callId, what }) => callId === journal.callId && what === 'second').length
  if (most > 1) found.push(`second took effect ${most} times`)
  const text = journal.response?.result?.content?.[0]?.text
  const isWell = journal.response?.result && journal.response.result.isError !== true
  if (isWell && text !== digestOf(journal))
    found.push('the result was made of other values than were recorded')
  return found
}

/** Of a step that has ended. */
function valueOf({ steps }: Journal, name: string): string | undefined {
  const end = steps.find(({ id, phase }) => id === name && (phase === 'done' || phase === 'failed'))
  if (end?.error !== undefined) return (decodeFlat(end.error) as { name: string }).name
  return end?.value === undefined ? undefined : String(decodeFlat(end.value))
}

const digestOf = (journal: Journal) =>
  ledgerDigest(['first', 'second', 'luck'].map((name) => String(valueOf(journal, name))))

/** A fork has what stood before its step of the old call; a retry has all of its own. */
function checkMade(
  journal: Journal,
  byId: ReadonlyMap<string, Journal>,
  effects: readonly Effect[],
): string[] {
  const of = descentOf(journal)
  if (!of) return []
  const old = byId.get(of.callId)
  if (!old) return ['what it was made of has no journal']
  const [own, before] = [valueOf(journal, 'first'), valueOf(old, 'first')]
  const ownEffects = effects.filter(
    ({ callId, what }) => callId === journal.callId && what === 'first',
  ).length
  if (of.action === 'fork' && own !== before) return ['its first step is not that of the old call']
  if (of.action === 'fork' && ownEffects > 0) return ['it has done again what stood before its step']
  if (of.action === 'retry' && own !== undefined && (own === before || ownEffects === 0))
    return ['it has not done its first step itself']
  return []
}

function checkRetries(begun: readonly Journal[]): string[] {
  const retried = begun.map(descentOf).flatMap((of) => (of?.action === 'retry' ? [of.callId] : []))
  return retried
    .filter((id, index) => retried.indexOf(id) !== index)
    .map((id) => `counted ${id} was retried more than once`)
}

function checkAction({ kind, on, doneAt, made }: Action, byId: ReadonlyMap<string, Journal>): string[] {
  const journal = byId.get(on.callId)
  if (kind === 'cancel' && doneAt !== undefined) return checkCancelled(journal, doneAt, 'done by an operator')
  const own = made && byId.get(made.callId)
  if (!made || (own && descentOf(own)?.callId === on.callId)) return []
  return [`what ${kind} of ${on.callId} has made is not there: ${made.callId}`]
}

function checkCancelled(journal: Journal | undefined, at: number, told: string): string[] {
  if (!journal) return ['a call that was cancelled has no journal']
  const isCancelled = journal.records.at(-1)?.kind === 'cancelled'
  const last = journal.owners.at(-1)?.epoch ?? 0
  return isCancelled || last <= at
    ? []
    : [about(journal)(`a node went on with it that has claimed it after it was cancelled at ${at} (${told})`)]
}

/** At no time more calls run, or are open, than may. What is run again is the same call, and has its place. */
function checkQuotas(
  operated: Operated,
  begun: readonly Ended[],
  effects: readonly Effect[],
  pauses: readonly Fate[],
): string[] {
  const byId = new Map(begun.map((journal) => [journal.callId, journal]))
  const principals = new Map<string, string>()
  for (const [name, principal] of operated.begun) principals.set(placeOf(name).callId, principal)
  const principalOf = (journal: Journal | undefined): string | undefined => {
    if (!journal) return undefined
    const of = descentOf(journal)
    return of ? principalOf(byId.get(of.callId)) : principals.get(journal.callId)
  }
  const firstRun = new Map<string, number>()
  for (const { callId, what, at } of effects)
    if (what === 'run') firstRun.set(callId, Math.min(at, firstRun.get(callId) ?? at))
  const late = pauses.filter(({ from, to }) => to - from >= STANDS_STILL_MS)
  return [...new Set(principals.values())].flatMap((principal) => {
    const own = begun.filter((journal) => principalOf(journal) === principal)
    const open = own.map((journal) => {
      const [first] = journal.records
      return { from: epochOf(first?.id ?? ''), to: journal.endedAt, what: journal.callId }
    })
    const running = open.flatMap((span) => {
      const from = firstRun.get(span.what)
      return from === undefined ? [] : [{ ...span, from }]
    })
    return [
      ...tooMany(`${principal}: calls run`, running, MOST.runsAtOnce + late.length),
      ...tooMany(`${principal}: calls are open`, open, MOST.maxOpen + late.length),
    ]
  })
}

function tooMany(what: string, spans: readonly Span[], most: number): string[] {
  for (const { from } of spans) {
    const there = spans.filter((span) => span.from <= from && span.to > from)
    if (there.length > most)
      return [`${there.length} ${what}, ${most} may: ${there.map((span) => span.what).join(', ')}`]
  }
  return []
}
