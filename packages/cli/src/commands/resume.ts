import type { Command } from '../command.js'
import { acting, toldOf } from '../look/acting.js'
import { resolveCall } from '../look/resolve.js'

export const resume: Command = {
  name: 'resume',
  args: 'CALL',
  arity: [1, 1],
  summary: 'end now what a call sleeps (ctx.sleep), whichever node holds it, or none',
  details:
    'Its steps that sleep end as if their time had come; later ones sleep as ever. Also hands a call to the nodes that retry or fork\n' +
    'has opened, and was killed before it could.',
  options: acting,
  async run(context) {
    const { output, privacy } = context
    const connected = await context.connect()
    const place = await resolveCall(connected.inspect, context.arg(0), privacy)
    const done = await context.runs(connected).resume(place)
    const call = privacy.id(place.callId)
    if (output.json) return output.document({ call, ...done })
    output.line(`call ${call} goes on; mcp-durable call ${call} shows how`)
    toldOf(done, output)
  },
}
