import { effectSteps, expectedDigest } from './expectations.js'
import { epochOf } from './journal.js'
import type { Journal } from './journal.js'
import type { Ledger } from './ledger.js'
import { callIdOf } from './observed-call.js'
import type { ObservedCall } from './observed-call.js'

/** Of the data of an event that is wrong; more would hide the rest of the report. */
const PRINTED_CHARS = 500

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
  for (const id of repeated(ended)) found.push(`the step ${id} has ended more than once`)
  const progress = journal.messages.flatMap(({ params }) => params?.progress ?? [])
  if (progress.some((value, index) => index > 0 && value <= progress[index - 1]!)) {
    found.push(`progress does not grow: ${progress.join(' ')}`)
  }
  return found
}

function checkQuestions(call: ObservedCall, journal: Journal): string[] {
  const questions = journal.messages.filter(({ method }) => method === 'elicitation/create')
  const found = repeated(questions.map(({ params }) => params?.message ?? '')).map(
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
  if (!outcome || 'failure' in outcome) return [`the client got no result: ${outcome?.failure}`]
  if (outcome.isError) return [`the result is an error: ${outcome.text}`]
  const texts = journals.map(({ response }) => response?.result?.content?.[0]?.text)
  if (!texts.includes(outcome.text)) return ['the client got a result that no journal has']
  return journals
    .filter(({ response }) => response?.result !== undefined)
    .filter((journal) => expectedDigest(call, journal) !== journal.response?.result?.content?.[0]?.text)
    .map(() => 'the result was made of other values than were recorded')
}

function checkEffects(call: ObservedCall, journals: readonly Journal[], ledger: Ledger): string[] {
  return effectSteps(call).flatMap(({ name, guarantee }) => {
    const effects = ledger.count(call.tool, call.id, name)
    const ends = journals.map((journal) =>
      journal.steps.find(({ id, phase }) => id === name && (phase === 'done' || phase === 'failed')),
    )
    const done = ends.filter((end) => end?.phase === 'done').length
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

/** What came over one connection is what the journal holds behind the cursor: nothing left out, nothing twice. */
function checkConnection(call: ObservedCall, index: number, journals: readonly Journal[]): string[] {
  const { after, events } = call.connections[index]!
  const callId = callIdOf(after ?? events[0]?.id ?? '')
  const journal = journals.find((candidate) => candidate.callId === callId)
  if (!journal) return events.length > 0 ? [`there is no journal ${callId}`] : []
  const cursor = after?.split('.')[1]
  const expected = journal.events.filter(({ id }) => cursor === undefined || isBehind(id, cursor))
  const seen = events.filter(({ data }) => data !== '')
  const wrong = seen.findIndex(
    (event, place) => event.id !== expected[place]?.id || event.data !== expected[place].data,
  )
  if (wrong < 0) return []
  return [
    `connection ${index} from ${after ?? 'the start'}: event ${wrong} is ${print(seen[wrong])}, not ${print(expected[wrong])}`,
  ]
}

/** With its data: an id may be right and what came under it not. */
const print = (event: { id: string; data: string } | undefined) =>
  event === undefined ? 'nothing' : `${event.id} ${JSON.stringify(event.data.slice(0, PRINTED_CHARS))}`

/** The application of an official client heard all of it, once, in order. */
function checkProgress(call: ObservedCall, journals: readonly Journal[]): string[] {
  if (!call.official || journals.length !== 1) return []
  const sent = journals[0]!.messages.flatMap(({ params }) => params?.progress ?? [])
  const found = repeated(call.asked).map((question) => `the application was asked '${question}' twice`)
  if (call.progress.join() !== sent.join()) {
    found.push(`the application heard the progress ${call.progress.join(' ')}, not ${sent.join(' ')}`)
  }
  return found
}

function isBehind(eventId: string, cursor: string) {
  const entry = eventId.split('.')[1] ?? ''
  const seq = (id: string) => Number(id.slice(id.indexOf('-') + 1))
  return (epochOf(entry) - epochOf(cursor) || seq(entry) - seq(cursor)) > 0
}

const repeated = (items: readonly string[]) => [
  ...new Set(items.filter((item, index) => items.indexOf(item) !== index)),
]
