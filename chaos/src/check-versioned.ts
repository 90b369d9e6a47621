import { readFile } from 'node:fs/promises'
import { ledgerDigest } from '@mcp-durable/examples/dist/fixtures/ledger-tools.js'
import { checkCancelled } from './check-departure.js'
import type { Fates } from './check-departure.js'
import { checkJournal } from './checks.js'
import { fits, isCode, PATCH, PATHS, VERSIONED } from './code-versions.js'
import { evidence } from './evidence.js'
import { decodeFlat } from './journal.js'
import type { Journal, StepBody } from './journal.js'
import type { Fate } from './node-pool.js'
import type { ObservedCall } from './observed-call.js'
import { placeOfTask } from './versioned.js'
import type { Versioned } from './versioned.js'

type Effect = { callId: string; what: string; at: number }
type Claim = { version?: string }

const PATCH_ID = `\npatch\n${PATCH}`
/** Records by which the claim before them does not count as a run. */
const GIVES_UP = ['diverged', 'returned', 'parked']
const CHARGES = ['charge', 'charge-card']

/** What does not hold of calls that nodes with several versions of the code have run, as clients, journals and the ledger tell. */
export async function checkVersioned(
  versioned: Versioned,
  journals: readonly Journal[],
  { ledgerFile, fates }: { ledgerFile: string; fates: Fates },
): Promise<string[]> {
  const ledger = await readFile(ledgerFile, 'utf8').catch(() => '')
  const pauses = [...fates.nodes.values()].flat().filter(({ what }) => what === 'paused')
  const begun = journals.filter(({ wasTakenBack }) => !wasTakenBack)
  const calls = new Map(versioned.calls.map((call) => [call.id, call]))
  const cancelled = new Set(versioned.cancelled)
  for (const journal of begun) if (isLeft(calls.get(journal.id ?? ''), journal)) cancelled.add(journal.callId)
  const tell = (call: ObservedCall, own: readonly Journal[]) => evidence(call, own, fates)
  return [
    ...checkVersions(begun, ledger, { cancelled, pauses }),
    ...checkClients(versioned.calls, begun, cancelled, tell),
  ]
}

/** Its client was away for so long that the call was cancelled. */
const isLeft = (call: ObservedCall | undefined, journal: Journal) =>
  call !== undefined &&
  !journal.isTask &&
  journal.records.at(-1)?.kind === 'cancelled' &&
  checkCancelled(call, journal).length === 0

/** As `checkVersioned`, without the clients. */
export function checkVersions(
  journals: readonly Journal[],
  ledger: string,
  { cancelled, pauses = [] }: { cancelled?: ReadonlySet<string>; pauses?: readonly Fate[] } = {},
): string[] {
  const effects = effectsIn(ledger)
  return journals.flatMap((journal) => {
    const own = effects.filter(({ callId }) => callId === journal.callId)
    const found = [
      ...checkJournal(journal),
      ...checkEnd(journal, cancelled?.has(journal.callId) === true),
      ...checkParked(journal),
      ...checkClaims(journal),
      ...checkEffects(journal, own, pauses),
    ]
    return found.map((what) => `versioned ${journal.callId}: ${what}\n${journal.print()}`)
  })
}

function effectsIn(text: string): Effect[] {
  return text.split('\n').flatMap((line) => {
    const [tool, callId = '', what = '', , at] = line.split(' ')
    return tool === VERSIONED ? [{ callId, what, at: Number(at) }] : []
  })
}

/** It ends with its result, made of what was recorded, and the steps of the journal are those of one version. */
function checkEnd(journal: Journal, mayBeCancelled: boolean): string[] {
  const recorded = stepsOf(journal)
  const paths = PATHS.filter((path) =>
    [...recorded].every((name) => (path as readonly string[]).includes(name)),
  )
  if (paths.length === 0) return [`its steps are of several versions: ${[...recorded].join(', ')}`]
  if (journal.records.at(-1)?.kind === 'cancelled') return mayBeCancelled ? [] : ['it was cancelled']
  const { result } = journal.response ?? {}
  if (!result || result.isError) return [`it has no result: ${JSON.stringify(journal.response)}`]
  const path = paths.find((each) => each.length === recorded.size)
  if (!path) return [`it ended without some of its steps: ${[...recorded].join(', ')}`]
  const isOfJournal = result.content?.[0]?.text === ledgerDigest(path.map((name) => valueOf(journal, name)))
  return isOfJournal ? [] : ['the result was made of other values than were recorded']
}

/** Parked by no code that fits, and by all that don't before they record anything. */
function checkParked({ records }: Journal): string[] {
  const found: string[] = []
  const steps = new Set<string>()
  let patched: boolean | undefined
  let claimedBy: string | undefined
  for (const { kind, json } of records) {
    const body = JSON.parse(json) as unknown
    if (kind === 'claim' || kind === 'request') claimedBy = (body as Claim).version
    if (kind === 'step') {
      const { id, value } = body as StepBody
      if (id === PATCH_ID) patched = decodeFlat(value ?? '[]') === true
      else steps.add(id)
    }
    // That a call does not go through the patch is recorded before it shows what else does not fit.
    const isPatch = kind === 'step' && (body as StepBody).id === PATCH_ID
    if (!isCode(claimedBy) || isPatch || (kind !== 'diverged' && kind !== 'step')) continue
    const isFit = fits(claimedBy, { steps, ...(patched !== undefined && { patched }) })
    if (kind === 'diverged' && isFit) found.push(`${claimedBy} fits, and has parked it: ${json}`)
    if (kind === 'step' && !isFit) found.push(`${claimedBy} does not fit, and has recorded a step: ${json}`)
  }
  return found
}

/** A node gives up what it has claimed, once; one that has parked it may let others have it. */
function checkClaims({ records }: Journal): string[] {
  let isClaimed = true
  let before: string | undefined
  const found: string[] = []
  for (const { kind, json } of records) {
    const isHandedOn = kind === 'returned' && before === 'diverged'
    if (!isClaimed && GIVES_UP.includes(kind) && !isHandedOn)
      found.push(`nobody had claimed it that gives it up: ${kind} ${json}`)
    if (kind === 'claim') isClaimed = true
    else if (GIVES_UP.includes(kind)) isClaimed = false
    before = kind
  }
  return found
}

/** It is charged once, whatever that is called, and nothing takes effect that the journal does not allow any more. */
function checkEffects(journal: Journal, effects: readonly Effect[], pauses: readonly Fate[]): string[] {
  const recorded = stepsOf(journal)
  const charges = effects.filter(({ what }) => CHARGES.includes(what))
  const found = charges.length > 1 ? [`it was charged ${charges.length} times`] : []
  const [charge] = charges
  if (!charge) return found
  if (!recorded.has(charge.what)) found.push(`${charge.what} took effect, and is not recorded`)
  const late = effects.filter(({ what, at }) => what === 'check' && !recorded.has(what) && at > charge.at)
  const isExcused = ({ at }: Effect) => pauses.some(({ from, to }) => from <= at && to >= charge.at)
  if (!late.every(isExcused)) found.push('it was checked after it was charged by code that does not')
  return found
}

/** Whoever waits has the result of the journal, and every task that was begun has one. */
function checkClients(
  calls: readonly ObservedCall[],
  journals: readonly Journal[],
  cancelled: ReadonlySet<string>,
  tell: (call: ObservedCall, own: readonly Journal[]) => string,
): string[] {
  return calls.flatMap((call) => {
    const own = journals.filter(({ id }) => id === call.id)
    const place = placeOfTask(call)
    if (own.length > 1) return [`${call.id} was opened ${own.length} times`]
    if (own.length === 0 || own.some(({ callId }) => cancelled.has(callId)))
      return place ? lost(call.id, own) : []
    if (place) return own[0]!.callId === place.callId ? [] : [`${call.id} is another task`]
    const { outcome } = call
    const isTold =
      outcome && 'text' in outcome && outcome.text === own[0]!.response?.result?.content?.[0]?.text
    return isTold ? [] : [`the client of ${call.id} was told something else\n${tell(call, own)}`]
  })
}

const lost = (id: string, own: readonly Journal[]) =>
  own.length > 0 ? [] : [`the task of ${id} has no journal`]

/** Of which something is recorded. */
const stepsOf = ({ steps }: Journal) => new Set(steps.map(({ id }) => id).filter((id) => id !== PATCH_ID))

function valueOf({ steps }: Journal, name: string): string {
  const end = steps.find(({ id, phase }) => id === name && (phase === 'done' || phase === 'failed'))
  if (end?.error !== undefined) return (decodeFlat(end.error) as { name: string }).name
  return String(end?.value === undefined ? undefined : decodeFlat(end.value))
}
