import { decodeStored } from '@mcp-durable/core/inspect'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'
import { readRecordedCall, recordedCallLines } from '../look/recorded-call.js'
import { resolveSessionOrCall } from '../look/resolve-any.js'
import { SessionLog } from '../look/session-log.js'
import { readSessionRows } from '../look/session-rows.js'
import { sessionJson } from '../show/session-events.js'
import { rowJson } from './sessions.js'

export const exportSession: Command = {
  name: 'export',
  args: 'ID',
  arity: [1, 1],
  summary: 'everything that is kept of a session, or of one call, as JSON Lines',
  details:
    'The session itself, then its events in order, then its state. Payloads are masked and ids shortened here too:\n' +
    'a whole copy is mcp-durable export ID --show-payloads --full-ids > session.jsonl\n' +
    'Of a call: what the client has told, the state that it reads, and the records of its journal, for mcp-durable replay.',
  async run(context) {
    const { output, privacy } = context
    const { inspect } = await context.connect()
    const { scope: id, callId } = await resolveSessionOrCall(inspect, context.arg(0), privacy)
    if (callId !== undefined) {
      const call = await readRecordedCall(inspect, { scope: id, callId })
      for (const line of recordedCallLines(call, privacy)) output.jsonLine(line)
      return noteMasking(context)
    }
    const log = new SessionLog(inspect, id)
    await log.findCalls()
    const [[row], events, values] = await Promise.all([
      readSessionRows(inspect, [id]),
      log.read(),
      inspect.sessions.values(id),
    ])
    if (!row || !events) throw new CliError('the session has just ended.')
    output.jsonLine({ source: 'session', ...rowJson(row, context) })
    for (const event of events) output.jsonLine(sessionJson(event, privacy))
    for (const { data, ...value } of values) {
      output.jsonLine({ source: 'state', ...value, payload: privacy.payloadValue(decodeStored(data)) })
    }
    return noteMasking(context)
  },
}

function noteMasking({ output, privacy }: Context) {
  if (!privacy.showsPayloads) output.note('payloads are masked; --show-payloads exports them')
}
