import type { Command } from '../command.js'
import { acting, toldOf } from '../look/acting.js'
import { resolveCall } from '../look/resolve.js'

export const cancel: Command = {
  name: 'cancel',
  args: 'CALL',
  arity: [1, 1],
  summary: 'cancel an open call, in a session or without, as its client would',
  details:
    'The node that runs it aborts its handler; if that is gone, the next one does that takes the call over. What its steps have\n' +
    'done stays done.',
  options: {
    ...acting,
    reason: { type: 'string', value: 'TEXT', help: 'for the handler of the tool, and in the journal' },
  },
  async run(context) {
    const { output, privacy, values } = context
    const { reason } = values
    const connected = await context.connect()
    const place = await resolveCall(connected.inspect, context.arg(0), privacy)
    const done = await context.runs(connected).cancel(place, typeof reason === 'string' ? { reason } : {})
    const call = privacy.id(place.callId)
    if (output.json) return output.document({ call, ...done })
    output.line(`call ${call} is asked to end; mcp-durable call ${call} shows when it has`)
    toldOf(done, output)
  },
}
