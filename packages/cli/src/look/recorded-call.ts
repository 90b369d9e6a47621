import { scopeOfPrincipal } from '@mcp-durable/core/inspect'
import type { CallPlace, Inspection, TimedEntry } from '@mcp-durable/core/inspect'
import type { RecordedCall } from '@mcp-durable/core/testing'
import { CliError } from '../errors.js'
import type { Privacy } from '../show/privacy.js'

const PAGE = 500

/** A call with all that its code may read of the store. */
export async function readRecordedCall(inspect: Inspection, place: CallPlace): Promise<RecordedCall> {
  const { scope, callId } = place
  const [journal, call] = await Promise.all([readJournal(inspect, place), inspect.calls.read(place)])
  if (journal.length === 0) throw new CliError('the call has just gone.')
  const principal = call?.principal
  const isAlone = call?.inSession === false
  const of = isAlone ? (principal === undefined ? undefined : scopeOfPrincipal(principal)) : scope
  const [messages, values] = await Promise.all([
    isAlone ? [] : inspect.sessions.state(scope),
    of === undefined ? [] : inspect.sessions.values(of),
  ])
  return {
    callId,
    scope,
    ...(principal !== undefined && { principal }),
    journal: journal.map(({ id, data }) => ({ id, data })),
    messages: messages.map(({ data }) => data),
    states:
      of === undefined ? {} : { [of]: values.map(({ key, version, data }) => ({ key, version, data })) },
  }
}

/** As JSON Lines, which `parseRecordedCall` reads if nothing is masked. */
export function* recordedCallLines(call: RecordedCall, privacy: Privacy): Iterable<object> {
  const { callId, scope, principal, journal, messages, states } = call
  const data = (text: string) => privacy.payloadValue(text)
  yield {
    source: 'call',
    callId: privacy.id(callId),
    scope: privacy.id(scope),
    principal: principal === undefined ? undefined : privacy.id(principal),
    states: Object.keys(states).map((each) => privacy.id(each)),
  }
  for (const message of messages) yield { source: 'message', data: data(message) }
  for (const [of, values] of Object.entries(states))
    for (const value of values)
      yield { source: 'state', scope: privacy.id(of), ...value, data: data(value.data) }
  for (const record of journal) yield { source: 'record', id: record.id, data: data(record.data) }
}

async function readJournal({ logs }: Inspection, { scope, callId }: CallPlace): Promise<TimedEntry[]> {
  const entries: TimedEntry[] = []
  for (;;) {
    const page = await logs.read(scope, `call:${callId}`, entries.at(-1)?.id, PAGE)
    entries.push(...page)
    if (page.length < PAGE) return entries
  }
}
