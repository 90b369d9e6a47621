import { decodeStored, scopeOfPrincipal } from '@mcp-durable/core/inspect'
import type { Command } from '../command.js'
import { usageError } from '../errors.js'
import { resolveSession } from '../look/resolve.js'

export const state: Command = {
  name: 'state',
  args: 'ID|--principal NAME [KEY]',
  arity: [0, 2],
  summary: 'the state that tools keep in a session, or of a principal where there is none (ctx.state)',
  options: {
    principal: { type: 'string', value: 'NAME', help: 'of calls without a session (2026-07-28)' },
  },
  async run(context) {
    const { output, privacy, values: options } = context
    const { principal } = options
    const isOfPrincipal = typeof principal === 'string'
    const [key, ...more] = isOfPrincipal ? context.args : context.args.slice(1)
    if (more.length > 0 || (!isOfPrincipal && context.args.length === 0))
      throw usageError('state needs one of: an ID, --principal NAME.', 'state')
    const { inspect } = await context.connect()
    const id = isOfPrincipal
      ? scopeOfPrincipal(principal)
      : await resolveSession(inspect, context.arg(0), privacy)
    const all = await inspect.sessions.values(id)
    const values = all
      .filter((value) => key === undefined || value.key === key)
      .map(({ data, ...value }) => ({ ...value, value: decodeStored(data) }))
    if (output.json) {
      const shown = values.map(({ value, ...rest }) => ({ ...rest, value: privacy.payloadValue(value) }))
      return output.document({
        ...(isOfPrincipal ? { principal } : { session: privacy.id(id) }),
        values: shown,
      })
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
