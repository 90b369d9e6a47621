import type { Command } from '../command.js'
import type { Connected, Context } from '../context.js'
import { usageError } from '../errors.js'
import { clearAll, clearSession } from '../look/clear.js'
import type { Cleared } from '../look/clear.js'
import { resolveSession } from '../look/resolve.js'
import { confirm } from '../show/ask.js'
import { count } from '../show/text.js'

export const clear: Command = {
  name: 'clear',
  args: 'ID|--all',
  arity: [0, 1],
  summary: 'delete a session, or all of the prefix; asks first',
  details:
    'As when a client deletes its session: its streams end and its open calls are aborted, on whichever node they run.\n' +
    'Journals of calls that had ended go when their time is over (resumeWindow). Maps stay. The only command that writes.',
  options: {
    all: { type: 'boolean', help: 'every session of the prefix' },
    yes: { type: 'boolean', short: 'y', help: 'do not ask' },
  },
  async run(context) {
    const { output, values } = context
    const [given] = context.args
    const all = values['all'] === true
    if (all === (given !== undefined)) throw usageError('clear needs either an ID or --all.', 'clear')
    const connected = await context.connect()
    const clearing =
      given === undefined ? await everything(context, connected) : await one(context, connected, given)
    if (values['yes'] !== true && !(await confirm(clearing.question))) {
      output.note('nothing was deleted')
      return 1
    }
    const cleared = await clearing.act()
    if (output.json) output.document(cleared)
    else
      output.line(
        `deleted ${count(cleared.sessions, 'session')} with ${count(cleared.openCalls, 'open call')}`,
      )
    return 0
  },
}

type Clearing = { question: string; act: () => Promise<Cleared> }

async function one(context: Context, connected: Connected, given: string): Promise<Clearing> {
  const { inspect } = connected
  const id = await resolveSession(inspect, given, context.privacy)
  const open = (await inspect.sessions.read(id))?.openCalls.length ?? 0
  return {
    question: `Delete session ${context.privacy.id(id)} with ${count(open, 'open call')}?`,
    act: () => clearSession(inspect, context.store(connected), id),
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
