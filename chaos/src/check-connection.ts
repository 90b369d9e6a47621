import { isDeepStrictEqual } from 'node:util'
import { callIdOf, entryOf, isBehind, journalEventId } from './event-ids.js'
import type { Journal, Message } from './journal.js'
import type { Asker, Connection, ObservedCall } from './observed-call.js'

/** Of the data of an event that is wrong; more would hide the rest of the report. */
const PRINTED_CHARS = 500

type Event = { id: string; data: string }
type InputRequired = {
  resultType?: string
  inputRequests?: Record<string, unknown>
  requestState?: string
  taskId?: string
}

/** What came over one connection is what the journal holds behind the cursor: nothing left out, nothing twice, nothing changed. */
export function checkConnection(call: ObservedCall, index: number, journals: readonly Journal[]): string[] {
  const connection = call.connections[index]!
  const { after, events } = connection
  const callId = callIdOf(after ?? events[0]?.id ?? '')
  const journal = journals.find((candidate) => candidate.callId === callId)
  if (!journal) return events.length > 0 ? [`there is no journal ${callId}`] : []
  const cursor = after === undefined ? undefined : entryOf(after)
  const expected = journal.events.filter(({ id }) => cursor === undefined || isBehind(entryOf(id), cursor))
  const seen = events.filter(({ data }) => data !== '')
  const asks = journal.isAlone ? seen.findIndex((event) => isAsking(event) || isCreated(event)) : -1
  const told = asks < 0 ? seen : seen.slice(0, asks)
  const wrong = told.findIndex((event, place) => !isAsRecorded(event, expected[place], journal, connection))
  const found = wrong < 0 ? [] : [`event ${wrong} is ${print(told[wrong])}, not ${print(expected[wrong])}`]
  if (asks >= 0 && isCreated(seen[asks]!)) found.push(...checkCreated(seen.slice(asks), journal))
  else if (asks >= 0) found.push(...checkAsking(seen.slice(asks), told, expected, journal))
  return found.map((what) => `connection ${index} from ${after ?? 'the start'}: ${what}`)
}

/** That it is a task ends the stream of a call. */
function checkCreated([event, ...more]: readonly Event[], { callId }: Journal): string[] {
  const { taskId = '' } = resultOf(event!) ?? {}
  return [
    ...(callIdOf(taskId) === callId ? [] : [`the task '${taskId}' is not this call`]),
    ...(more.length > 0 ? ['more follows the task'] : []),
  ]
}

/** What the client is asked ends its stream; it has all that stands before the place it goes on from, and nothing behind it. */
function checkAsking(
  [event, ...more]: readonly Event[],
  told: readonly Event[],
  expected: readonly Event[],
  journal: Journal,
): string[] {
  const found: string[] = []
  const { inputRequests = {}, requestState = '' } = resultOf(event!) ?? {}
  const place = entryOf(requestState)
  const questions = new Map(journal.questions.map(({ key, entry }) => [key, entry]))
  for (const key of Object.keys(inputRequests)) {
    const entry = questions.get(key)
    if (entry === undefined || isBehind(entry, place)) found.push(`'${key}' is asked, and not in the journal`)
  }
  if (callIdOf(requestState) !== journal.callId) found.push(`the state '${requestState}' is not of this call`)
  const last = told.at(-1)
  if (last && isBehind(entryOf(last.id), place))
    found.push(`event ${journalEventId(last.id)} comes again with the answer`)
  const next = expected[told.length]
  if (next && !isBehind(entryOf(next.id), place))
    found.push(`event ${next.id} is left out before the question`)
  if (more.length > 0) found.push('more follows the question')
  return found
}

function isAsRecorded(event: Event, expected: Event | undefined, journal: Journal, { asker }: Connection) {
  if (!expected || journalEventId(event.id) !== expected.id) return false
  if (!journal.isAlone) return event.id === expected.id && event.data === expected.data
  const [first] = journal.request?.messages ?? []
  const recorded = JSON.parse(expected.data) as Message
  return isDeepStrictEqual(JSON.parse(event.data), asker ? asTold(recorded, asker, first) : recorded)
}

/** A request that goes on with the call of an earlier one hears of it under its own id and progress token. */
function asTold(message: Message, { id, token }: Asker, first: Message | undefined): Message {
  if (message.method === undefined) return { ...message, id }
  const { params } = message
  const isOwn = params?.['progressToken'] === first?.params?._meta?.progressToken
  if (message.method !== 'notifications/progress' || !isOwn || token === undefined) return message
  return { ...message, params: { ...params, progressToken: token } }
}

const isAsking = (event: Event) => resultOf(event)?.resultType === 'input_required'

const isCreated = (event: Event) => resultOf(event)?.resultType === 'task'

const resultOf = ({ data }: Event) => (JSON.parse(data) as { result?: InputRequired }).result

/** With its data: an id may be right and what came under it not. */
const print = (event: Event | undefined) =>
  event === undefined ? 'nothing' : `${event.id} ${JSON.stringify(event.data.slice(0, PRINTED_CHARS))}`
