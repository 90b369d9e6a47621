import { numberOption } from '../command-line.js'
import type { OptionSpec } from '../command.js'
import type { Context } from '../context.js'
import { usageError } from '../errors.js'
import { acting } from '../look/acting.js'
import { isLoopback } from './guard.js'
import { readToken, tokenNeeded } from './token.js'
import type { Token } from './token.js'

export const webOptions = {
  web: { type: 'boolean', help: 'a page for browsers instead, on this machine only unless there is a token' },
  port: {
    type: 'string',
    value: 'N',
    help: 'with --web: port to listen on; 0 takes a free one (default: 7411)',
  },
  host: { type: 'string', value: 'ADDRESS', help: 'with --web: address to bind (default: 127.0.0.1)' },
  token: {
    type: 'string',
    value: 'FILE',
    help: 'with --web: whoever looks needs what is in this file (default: the variable MCP_DURABLE_WEB_TOKEN)',
  },
  'allow-actions': {
    type: 'boolean',
    help: 'with --web: calls may be cancelled, resumed, retried and forked',
  },
  by: { ...acting.by, help: `with --allow-actions: ${acting.by.help}` },
  'read-plain': { ...acting['read-plain'], help: `with --allow-actions: ${acting['read-plain'].help}` },
} satisfies Record<string, OptionSpec>

export type WebOptions = { host: string; port: number; token: Token | undefined; acts: boolean }

/** Checked before anything is connected. `undefined`: it is not for browsers. */
export function readWebOptions({ values }: Context): WebOptions | undefined {
  if (values['web'] !== true) {
    const given = Object.keys(webOptions).find((name) => values[name] !== undefined)
    if (given !== undefined) throw usageError(`--${given} is for --web.`, 'monitor')
    return undefined
  }
  const acts = values['allow-actions'] === true
  const ofActions = Object.keys(acting).find((name) => values[name] !== undefined)
  if (ofActions !== undefined && !acts) throw usageError(`--${ofActions} is for --allow-actions.`, 'monitor')
  const text = (name: string) => (typeof values[name] === 'string' ? values[name] : undefined)
  const host = text('host') ?? '127.0.0.1'
  const token = readToken(text('token'))
  if (!token && !isLoopback(host)) throw tokenNeeded(host)
  return { host, port: numberOption(values, 'port', 7411, 0, 65_535), token, acts }
}
