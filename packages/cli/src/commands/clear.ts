import type { Store } from '@mcp-durable/core'
import type { Command } from '../command.js'
import type { Connected, Context } from '../context.js'
import { usageError } from '../errors.js'
import { clearAll, clearSession } from '../look/clear.js'
import type { Cleared } from '../look/clear.js'
import { resolveSession, sessionIdsOf } from '../look/resolve.js'
import { confirm } from '../show/ask.js'
import { count } from '../show/text.js'

export const clear: Command = {
  name: 'clear',
  args: 'ID|--principal NAME|--all',
  arity: [0, 1],
  summary: 'delete a session, those of a principal, or all of the prefix; asks first',
  details:
    'As when a client deletes its session: its streams end and its open calls are aborted, on whichever node they run.\n' +
    'Histories go too, also those of sessions that are over; for one of these, give its whole ID. Journals of calls that\n' +
    'had ended, and have no history, go when their time is over (resumeWindowMs). Maps stay. The only command that writes.',
  options: {
    principal: { type: 'string', value: 'NAME', help: 'every session of a principal' },
    all: { type: 'boolean', help: 'every session of the prefix' },
    yes: { type: 'boolean', short: 'y', help: 'do not ask' },
  },
  async run(context) {
    const { output, values } = context
    const [given] = context.args
    const { principal } = values
    const ways = [given !== undefined, values['all'] === true, principal !== undefined]
    if (ways.filter(Boolean).length !== 1)
      throw usageError('clear needs one of: an ID, --principal NAME, --all.', 'clear')
    const connected = await context.connect()
    const clearing = await (given !== undefined
      ? one(context, connected, given)
      : typeof principal === 'string'
        ? allOf(context, connected, principal)
        : everything(context, connected))
    if (values['yes'] !== true && !(await confirm(clearing.question))) {
      output.note('nothing was deleted')
      return 1
    }
    const cleared = await clearing.act()
    if (output.json) output.document(cleared)
    else output.line(`deleted ${count(cleared.sessions, 'session')} with ${partsOf(cleared).join(', ')}`)
    return 0
  },
}

/** Open calls are not counted where sessions are found by their principal: their journals are. */
type Outcome = Omit<Cleared, 'openCalls'> & { openCalls?: number }
type Clearing = { question: string; act: () => Promise<Outcome> }

function partsOf({ openCalls, calls, entries }: Outcome): string[] {
  const first = openCalls === undefined ? count(calls, 'call') : count(openCalls, 'open call')
  return [first, ...(entries > 0 ? [`${count(entries, 'entry', 'entries')} of history`] : [])]
}

async function one(context: Context, connected: Connected, given: string): Promise<Clearing> {
  const { inspect } = connected
  const store = context.store(connected)
  const id = (await withHistory(store, given)) ?? (await resolveSession(inspect, given, context.privacy))
  const open = (await inspect.sessions.read(id))?.openCalls.length ?? 0
  return {
    question: `Delete session ${context.privacy.id(id)} with ${count(open, 'open call')}?`,
    act: () => clearSession(inspect, store, id),
  }
}

/** Of a session that is gone, a history may be left. */
async function withHistory(store: Store, given: string): Promise<string | undefined> {
  for (const id of sessionIdsOf(given)) if ((await store.history(id, { limit: 1 })).length > 0) return id
  return undefined
}

async function allOf(context: Context, connected: Connected, principal: string): Promise<Clearing> {
  return {
    question: `Delete all sessions and histories of the principal ${principal}?`,
    act: () => context.store(connected).forget({ principal }),
  }
}

async function everything(context: Context, connected: Connected): Promise<Clearing> {
  const { inspect, where } = connected
  const total = await inspect.sessions.count()
  return {
    question: `Delete all ${count(total, 'session')} of the prefix ${context.options.prefix} at ${where}?`,
    act: () => clearAll(inspect, context.store(connected)),
  }
}
