import { decodeStored } from '@mcp-durable/core/inspect'
import type { Command } from '../command.js'
import { resolveSession } from '../look/resolve.js'

export const state: Command = {
  name: 'state',
  args: 'ID [KEY]',
  arity: [1, 2],
  summary: 'the state that tools keep in a session (ctx.state)',
  async run(context) {
    const { output, privacy } = context
    const { inspect } = await context.connect()
    const id = await resolveSession(inspect, context.arg(0), privacy)
    const key = context.args[1]
    const all = await inspect.sessions.values(id)
    const values = all
      .filter((value) => key === undefined || value.key === key)
      .map(({ data, ...value }) => ({ ...value, value: decodeStored(data) }))
    if (output.json) {
      const shown = values.map(({ value, ...rest }) => ({ ...rest, value: privacy.payloadValue(value) }))
      return output.document({ session: privacy.id(id), values: shown })
    }
    if (values.length === 0)
      return output.line(key === undefined ? 'no state' : `no state under the key ${key}`)
    output.table(
      [
        { title: 'KEY', text: (row) => row.key, style: () => 'name' },
        { title: 'VERSION', text: ({ version }) => String(version), right: true },
        { title: 'VALUE', text: ({ value }) => privacy.payload(value), most: 2000 },
      ],
      values,
    )
  },
}
