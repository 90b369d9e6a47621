import type { Command } from '../command.js'
import { numberOption } from '../command-line.js'
import { callOf, follow, untilInterrupted } from '../look/follow.js'
import { readNodeNames } from '../look/node-names.js'
import { resolveSessionOrCall } from '../look/resolve-any.js'
import { SessionLog } from '../look/session-log.js'
import type { SessionEvent } from '../look/session-log.js'
import { sessionJson, sessionLine } from '../show/session-events.js'

export const tail: Command = {
  name: 'tail',
  args: 'ID',
  arity: [1, 1],
  summary: 'the last events of a session or call, and then what happens, until Ctrl-C or its end',
  details: 'With --json a line of JSON for each event.',
  options: {
    lines: { type: 'string', short: 'n', value: 'N', help: 'begin with the last N events (default: 10)' },
  },
  async run(context) {
    const { output, privacy, values } = context
    const lines = numberOption(values, 'lines', 10)
    const connected = await context.connect({ patient: true })
    const { inspect } = connected
    const { scope, callId } = await resolveSessionOrCall(inspect, context.arg(0), privacy)
    const log = new SessionLog(inspect, scope)
    if (callId === undefined) await log.findCalls()
    else log.noteCall(callId)

    let first = true
    const print = async (events: readonly SessionEvent[]) => {
      const shown = events.filter((event) => callId === undefined || isOf(event, callId))
      const nodeName = await readNodeNames(inspect, privacy)
      for (const event of first ? shown.slice(lines === 0 ? shown.length : -lines) : shown) {
        if (output.json) output.jsonLine(sessionJson(event, privacy))
        else output.line(...sessionLine(event, { privacy, nodeName }))
      }
      first = false
    }
    const look = async () => {
      const events = await log.read()
      if (!events) {
        output.note('the session has ended')
        return false
      }
      if (events.length > 0) await print(events)
      if (callId === undefined) return true
      const timeline = log.calls.get(callId)?.timeline
      // Its records don't tell without the key.
      if (timeline?.sealed !== undefined)
        return (await inspect.calls.read({ scope, callId }))?.owner !== undefined
      return timeline?.status === 'open'
    }
    const heard = (topic: string) => {
      const heardOf = callOf(topic)
      if (heardOf !== undefined) log.noteCall(heardOf)
    }
    await follow(context.store(connected), scope, { heard, look, signal: untilInterrupted() })
  },
}

const isOf = (event: SessionEvent, callId: string) => event.source === 'call' && event.callId === callId
