import { checkConnection } from './check-connection.js'
import { GONE } from './check-departure.js'
import { checkTask } from './check-task.js'
import { effectSteps, expectedDigest } from './expectations.js'
import type { Journal } from './journal.js'
import type { Ledger } from './ledger.js'
import type { ObservedCall } from './observed-call.js'
import { TASK_CANCELLED } from './task-client.js'

/** How a call ends whose tool may not be run again when its node has died. */
const INTERRUPTED = /^The tool \w+ was interrupted: .+ It is not run again: its outcome is unknown\./

/** What the step of a change of a state begins with that says what is to be written. */
const INTENT = '\nintent\n'

/** What does not hold of a call that has ended, as its client, its journals and the ledger tell. */
export function checkCall(call: ObservedCall, opened: readonly Journal[], ledger: Ledger): string[] {
  const journals = opened.filter(({ wasTakenBack }) => !wasTakenBack)
  return [
    ...opened.flatMap(checkJournal),
    ...(journals.length > 1 ? [`it was opened ${journals.length} times`] : []),
    ...journals.flatMap((journal) => checkQuestions(call, journal)),
    ...checkOutcome(call, journals),
    ...checkEffects(call, journals, ledger),
    ...call.connections.flatMap((_, index) => checkConnection(call, index, journals)),
    ...checkAsked(call),
    ...checkTask(call, journals),
    ...checkProgress(call, journals),
  ]
}

/** It ends exactly once; its epochs grow; a step ends once. */
export function checkJournal(journal: Journal): string[] {
  const { records, terminals, owners, steps } = journal
  const found: string[] = []
  if (terminals.length !== 1) found.push(`the journal has ${terminals.length} ends`)
  if (terminals.length > 0 && records.at(-1) !== terminals[0]) found.push('there are records behind the end')
  const requests = records.filter(({ kind }) => kind === 'request')
  if (requests.length !== 1 || records[0] !== requests[0]) found.push('it does not begin with its request')
  for (const [index, { epoch }] of owners.entries()) {
    if (index > 0 && epoch <= owners[index - 1]!.epoch) found.push('an epoch does not grow')
  }
  const ended = steps.filter(({ phase }) => phase === 'done' || phase === 'failed').map(({ id }) => id)
  // What is to be written is decided anew when others have written meanwhile.
  const once = ended.filter((id) => !id.startsWith(INTENT))
  for (const id of repeated(once)) found.push(`the step ${id} has ended more than once`)
  const progress = journal.messages.flatMap(({ params }) => params?.progress ?? [])
  if (progress.some((value, index) => index > 0 && value <= progress[index - 1]!)) {
    found.push(`progress does not grow: ${progress.join(' ')}`)
  }
  return found
}

function checkQuestions(call: ObservedCall, journal: Journal): string[] {
  const found = repeated(journal.questions.map(({ message }) => message.params?.message ?? '')).map(
    (question) => `the question '${question}' is in the journal more than once`,
  )
  for (const { id, phase, value } of journal.steps) {
    if (phase !== 'done' || !/^(question-|ask$)/.test(id)) continue
    const answer = call.answers.get(`${call.id} ${id}`)
    if (answer === undefined || value?.includes(answer) !== true)
      found.push(`another answer to ${id} was recorded`)
  }
  return found
}

function checkOutcome(call: ObservedCall, journals: readonly Journal[]): string[] {
  const { outcome } = call
  // Of a client that went away nothing is asked, nor of one that was away for too long.
  if (call.abortedAt !== undefined) return []
  if (outcome && 'failure' in outcome && outcome.failure.endsWith(GONE) && journals.some(isCancelled))
    return []
  // Then `checkTask` says whether it may be.
  if (outcome && 'failure' in outcome && outcome.failure === TASK_CANCELLED) return []
  if (!outcome || 'failure' in outcome) return [`the client got no result: ${outcome?.failure}`]
  const isInterrupted = call.tool === 'plain' && INTERRUPTED.test(outcome.text)
  if (isInterrupted && journals.every(({ owners }) => owners.length < 2)) return ['no node of it has died']
  if (outcome.isError && !isInterrupted) return [`the result is an error: ${outcome.text}`]
  const texts = journals.map(({ response }) => response?.result?.content?.[0]?.text)
  if (!texts.includes(outcome.text)) return ['the client got a result that no journal has']
  return journals
    .filter(({ response }) => response?.result !== undefined && !isInterrupted)
    .filter((journal) => expectedDigest(call, journal) !== journal.response?.result?.content?.[0]?.text)
    .map(() => 'the result was made of other values than were recorded')
}

function checkEffects(call: ObservedCall, journals: readonly Journal[], ledger: Ledger): string[] {
  return effectSteps(call).flatMap(({ name, guarantee }) => {
    const effects = ledger.count(call.tool, call.id, name)
    const ends = journals.map((journal) =>
      journal.steps.find(({ id, phase }) => id === name && (phase === 'done' || phase === 'failed')),
    )
    const isPlain =
      call.tool === 'plain' && call.outcome && 'isError' in call.outcome && !call.outcome.isError
    const done = isPlain ? 1 : ends.filter((end) => end?.phase === 'done').length
    const found: string[] = []
    if (effects < done) found.push(`${name} has ended, but took effect ${effects} times`)
    // Who owned the call until the end was recorded may have run the body once; nobody after that.
    const owners = journals.map(({ owners: all }, index) => {
      const end = ends[index]
      return end ? all.filter(({ epoch }) => epoch <= end.epoch).length : all.length
    })
    const most = guarantee === 'most' ? 1 : owners.reduce((sum, count) => sum + count, 0)
    if (effects > most) found.push(`${name} took effect ${effects} times, ${most} are allowed`)
    return found
  })
}

/** The application of an official client heard all of it, once, in order. */
function checkProgress(call: ObservedCall, journals: readonly Journal[]): string[] {
  if (!call.client.official || call.abortedAt !== undefined || journals.length !== 1) return []
  const sent = journals[0]!.messages.flatMap(({ params }) => params?.progress ?? [])
  if (call.progress.join() === sent.join()) return []
  return [`the application heard the progress ${call.progress.join(' ')}, not ${sent.join(' ')}`]
}

/** Whoever has an application, and whoever answers by sending the request again, which is done once. */
function checkAsked({ asked }: ObservedCall): string[] {
  return repeated(asked).map((question) => `the client was asked '${question}' twice`)
}

const isCancelled = ({ records }: Journal) => records.at(-1)?.kind === 'cancelled'

const repeated = (items: readonly string[]) => [
  ...new Set(items.filter((item, index) => items.indexOf(item) !== index)),
]
