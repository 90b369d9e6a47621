import type { Command } from '../command.js'
import { numberOption } from '../command-line.js'
import { readNodeNames } from '../look/node-names.js'
import { resolveSession } from '../look/resolve.js'
import { SessionLog } from '../look/session-log.js'
import { readSessionRows } from '../look/session-rows.js'
import { CliError } from '../errors.js'
import { styled } from '../show/line.js'
import { sessionJson, sessionLine } from '../show/session-events.js'
import { count, span } from '../show/text.js'
import { clientName, rowJson } from './sessions.js'

export const session: Command = {
  name: 'session',
  args: 'ID',
  arity: [1, 1],
  summary: 'the history of a session in order: client messages, calls with their steps, standalone messages',
  details:
    'Of client messages that replace each other (setting the log level, subscribing to one resource) the newest is kept.\n' +
    'Calls are kept for a while after their response (resumeWindowMs).',
  options: {
    limit: { type: 'string', value: 'N', help: 'the newest N events (default: 1000)' },
  },
  async run(context) {
    const { output, privacy, values } = context
    const limit = numberOption(values, 'limit', 1000, 1)
    const { inspect } = await context.connect()
    const id = await resolveSession(inspect, context.arg(0), privacy)
    const log = new SessionLog(inspect, id)
    await log.findCalls()
    const [[row], all = [], nodeName] = await Promise.all([
      readSessionRows(inspect, [id]),
      log.read(),
      readNodeNames(inspect, privacy),
    ])
    if (!row) throw new CliError('the session has just ended.')
    const events = all.slice(-limit)
    if (output.json) {
      const history = events.map((event) => sessionJson(event, privacy))
      return output.document({ ...rowJson(row, context), calls: log.calls.size, history })
    }
    const age = row.ageMs === undefined ? '' : `, ${span(row.ageMs)} old`
    const life = `  ${row.status}${age}, ends in ${span(row.expiresInMs)}`
    output.line('session ', styled('bold', privacy.id(id)), life)
    const who = row.principal === undefined ? 'no principal' : `principal ${privacy.id(row.principal)}`
    output.line(`${clientName(row.client)}, protocol ${row.protocol}, ${who}`)
    output.line(`${count(log.calls.size, 'call')} kept, ${row.openCalls.length} open`)
    output.line()
    if (all.length > limit)
      output.line(`… ${count(all.length - limit, 'older event')} left out; --limit shows them`)
    for (const event of events) output.line(...sessionLine(event, { privacy, nodeName }))
  },
}
