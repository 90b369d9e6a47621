import type { Store } from '@mcp-durable/core'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { CliError, usageError } from '../errors.js'
import { clearAll, clearSession, toldOf } from '../look/clear.js'
import type { Cleared } from '../look/clear.js'
import { resolveSessionOrCall } from '../look/resolve-any.js'
import { sessionIdsOf } from '../look/resolve.js'
import { confirm } from '../show/ask.js'
import { count } from '../show/text.js'

export const clear: Command = {
  name: 'clear',
  args: 'ID|--principal NAME|--all',
  arity: [0, 1],
  summary: 'delete a session, or a call that has none, those of a principal, or all; asks first',
  details:
    'As when a client deletes its session: its streams end and its open calls are aborted, on whichever node they run.\n' +
    'Journals of calls that have ended go too, and histories, also those of sessions that are over; for one of these, give\n' +
    'its whole ID. Maps stay.',
  options: {
    principal: {
      type: 'string',
      value: 'NAME',
      help: 'every session, call, state and handle of a principal',
    },
    all: { type: 'boolean', help: 'every session, call and state of the prefix, or file' },
    yes: { type: 'boolean', short: 'y', help: 'do not ask' },
  },
  async run(context) {
    const { output, values } = context
    const [given] = context.args
    const { principal } = values
    const ways = [given !== undefined, values['all'] === true, principal !== undefined]
    if (ways.filter(Boolean).length !== 1)
      throw usageError('clear needs one of: an ID, --principal NAME, --all.', 'clear')
    const clearing = await (given !== undefined
      ? one(context, given)
      : typeof principal === 'string'
        ? allOf(context, principal)
        : everything(context))
    if (values['yes'] !== true && !(await confirm(clearing.question))) {
      output.note('nothing was deleted')
      return 1
    }
    const cleared = await clearing.act()
    if (output.json) output.document(cleared)
    else output.line(toldOf(cleared))
    return 0
  },
}

/** Open calls are not counted where sessions are found by their principal: their journals are. */
type Outcome = Omit<Cleared, 'openCalls'> & { openCalls?: number }
type Clearing = { question: string; act: () => Promise<Outcome> }

/** What can't be opened can be deleted. */
async function one(context: Context, given: string): Promise<Clearing> {
  const connected = await context.connectStored()
  const { inspect } = connected
  const { privacy } = context
  const store = context.store(connected)
  const kept = await withHistory(store, given)
  const { scope, callId } =
    kept === undefined
      ? await resolveSessionOrCall(inspect, given, privacy)
      : { scope: kept, callId: undefined }
  const live = await inspect.sessions.read(scope)
  if (callId !== undefined && live?.isSession)
    throw new CliError(`the call ${privacy.id(callId)} belongs to the session ${privacy.id(scope)}.`, [
      `mcp-durable clear ${privacy.id(scope)} deletes that session, with all of its calls.`,
    ])
  const open = count(live?.openCalls.length ?? 0, 'open call')
  const what = !live
    ? `the history of ${privacy.id(scope)}`
    : live.isSession
      ? `session ${privacy.id(scope)} with ${open}`
      : `call ${privacy.id(callId ?? scope)}`
  return { question: `Delete ${what}?`, act: () => clearSession(inspect, store, scope) }
}

/** Of a session that is gone, a history may be left. */
async function withHistory(store: Store, given: string): Promise<string | undefined> {
  for (const id of sessionIdsOf(given)) if ((await store.history(id, { limit: 1 })).length > 0) return id
  return undefined
}

/** With the secret of the principal, if there are secrets. */
async function allOf(context: Context, principal: string): Promise<Clearing> {
  const connected = await context.connect()
  return {
    question: `Delete all sessions, calls, states and histories of the principal ${principal}?`,
    act: () => context.store(connected).forget({ principal }),
  }
}

async function everything(context: Context): Promise<Clearing> {
  const connected = await context.connectStored()
  const { inspect, area } = connected
  const total = await inspect.sessions.count()
  return {
    question: `Delete all ${count(total, 'session')}, and all calls and states, ${area}?`,
    act: () => clearAll(inspect, context.store(connected)),
  }
}
