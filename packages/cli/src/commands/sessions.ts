import type { Command } from '../command.js'
import { numberOption } from '../command-line.js'
import type { Context } from '../context.js'
import { readSessionRows } from '../look/session-rows.js'
import type { SessionRow } from '../look/session-rows.js'
import type { Style } from '../show/line.js'
import { count, span } from '../show/text.js'

export const sessions: Command = {
  name: 'sessions',
  arity: [0, 0],
  summary: 'the sessions, the last used first',
  details:
    'STATUS is new until the client has sent notifications/initialized, running while it has open calls, else idle.\n' +
    'EVENTS counts the messages that the standalone stream holds and the records of open calls.',
  options: {
    limit: { type: 'string', value: 'N', help: 'at most so many (default: 100)' },
    skip: { type: 'string', value: 'N', help: 'leave out so many of the last used ones (default: 0)' },
  },
  async run(context) {
    const { output, privacy, values } = context
    const limit = numberOption(values, 'limit', 100, 1)
    const skip = numberOption(values, 'skip', 0)
    const { inspect, area } = await context.connect()
    const [ids, total] = await Promise.all([inspect.sessions.newest(limit, skip), inspect.sessions.count()])
    const rows = await readSessionRows(inspect, ids)
    if (output.json) return output.document({ total, sessions: rows.map((row) => rowJson(row, context)) })
    if (rows.length === 0) return output.line(`no sessions ${area}`)
    output.table(
      [
        { title: 'SESSION', text: ({ id }) => privacy.id(id), style: () => 'name' },
        { title: 'STATUS', text: ({ status }) => status, style: ({ status }) => statusStyles[status] },
        { title: 'CLIENT', text: ({ client }) => clientName(client), most: 24 },
        { title: 'PROTOCOL', text: ({ protocol }) => protocol },
        {
          title: 'PRINCIPAL',
          text: ({ principal }) => (principal === undefined ? '-' : privacy.id(principal)),
        },
        { title: 'OPEN', text: ({ openCalls }) => String(openCalls.length), right: true },
        { title: 'EVENTS', text: ({ events }) => String(events), right: true },
        { title: 'AGE', text: ({ ageMs }) => (ageMs === undefined ? '-' : span(ageMs)), right: true },
        { title: 'ENDS IN', text: ({ expiresInMs }) => span(expiresInMs), right: true },
      ],
      rows,
    )
    const left = total - skip - ids.length
    if (left > 0) output.line(`… and ${count(left, 'more session')}; --limit or --skip shows them`)
  },
}

export const statusStyles: Record<SessionRow['status'], Style | undefined> = {
  new: 'dim',
  idle: undefined,
  running: 'good',
}

export function clientName(client: SessionRow['client']): string {
  return client ? `${client.name} ${client.version}`.trim() : '-'
}

export function rowJson(row: SessionRow, { privacy }: Pick<Context, 'privacy'>) {
  const { id, principal, openCalls, ...rest } = row
  return {
    id: privacy.id(id),
    principal: principal === undefined ? undefined : privacy.id(principal),
    ...rest,
    openCalls: openCalls.map(({ callId, owner }) => ({ call: privacy.id(callId), owner: privacy.id(owner) })),
  }
}
