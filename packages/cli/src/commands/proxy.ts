import { hash } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { RequestListener, ServerResponse } from 'node:http'
import { delimiter, join } from 'node:path'
import type { CommonOptions, Durable, DurableOptions, Served } from '@mcp-durable/core'
import type { Command } from '../command.js'
import { numberOption, timeOption } from '../command-line.js'
import type { Context } from '../context.js'
import { CliError, usageError } from '../errors.js'
import { listening } from '../listen.js'

const GRACE_MS = 10_000

export const proxy: Command = {
  name: 'proxy',
  args: '(--upstream URL | --stdio -- COMMAND [ARGS…])',
  arity: [0, Number.POSITIVE_INFINITY],
  summary: 'stand before an MCP server in any language, and make it durable',
  details:
    'The server is behind a URL, or is a command that speaks stdio: that is run once for each session, and again when it has ended.\n' +
    'Serves at every path but two: /healthz answers 200 while it is ready, else 503, and /livez while it lives. Start as\n' +
    'many as you like on one Redis, or one file (mcp.db, where neither is named), behind any load balancer. A server behind a\n' +
    'URL should give its events ids; without them, a call that is interrupted may have to end without its result.',
  options: {
    upstream: { type: 'string', value: 'URL', help: 'the MCP endpoint of the server' },
    stdio: { type: 'boolean', help: 'the server is the command behind --, and speaks stdio' },
    port: { type: 'string', value: 'N', help: 'port to listen on; 0 takes a free one (default: 3000)' },
    host: { type: 'string', value: 'ADDRESS', help: 'address to bind (default: 127.0.0.1)' },
    'pass-headers': {
      type: 'string',
      value: 'NAMES',
      help: 'headers of the client that the server gets, with commas between them, such as authorization',
    },
    principal: {
      type: 'string',
      value: 'WHO',
      help:
        'whose a session is: subject (of the bearer token), header:NAME (its whole value), or none: whoever has its id\n' +
        '(default: subject if authorization is passed on, else header:authorization)',
    },
    'max-processes': {
      type: 'string',
      value: 'N',
      help: 'with --stdio: processes of sessions, and of requests without one, at once (default: 100)',
    },
    idle: {
      type: 'string',
      value: 'TIME',
      help: 'with --stdio: how long a process that nobody uses lives, as in 30s, 10m or 2h (default: 10m)',
    },
    eras: {
      type: 'string',
      value: 'LIST',
      help: 'versions of the protocol that are served: 2025-11-25 (sessions), 2026-07-28 (none), or both (default)',
    },
    'max-answer-bytes': {
      type: 'string',
      value: 'N',
      help: 'largest message that is taken from the server (default: 16777216)',
    },
  },
  async run(context) {
    const port = numberOption(context.values, 'port', 3000)
    const maxAnswerBytes = numberOption(context.values, 'max-answer-bytes', 16 * 1024 * 1024, 1)
    const names = textOption(context, 'pass-headers')
      ?.split(',')
      .map((name) => name.trim())
    const served = servedOf(context)
    const principal = principalOf(context, names)
    const limits = limitsOf(context)
    const eras = erasOf(context)
    const { store, file } = await context.nodeStore()
    // Loaded here alone: every other command starts in half the time without.
    const [{ durable }, { node }] = await Promise.all([
      import('@mcp-durable/core'),
      import('@mcp-durable/core/node'),
    ])
    const mcp = durable({
      ...served,
      ...limits,
      store,
      maxAnswerBytes,
      ...(eras && { eras }),
      ...(names && { passHeaders: names }),
      ...(principal && { principal }),
    })
    const http = createServer(withHealth(mcp, node(mcp)))
    const host = textOption(context, 'host') ?? '127.0.0.1'
    const url = await listening(http, port, host).catch(async (error: unknown) => {
      await mcp.close({ graceMs: 0 })
      throw error
    })
    const kept = file === undefined ? '' : `; what it keeps is in ${file}`
    context.output.line(`listening on ${url}, before ${shownOf(served)}${kept}`)
    await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
    http.close()
    await mcp.close({ graceMs: GRACE_MS })
    http.closeAllConnections()
  },
}

/** 200 or 503, for a load balancer, and for whoever restarts what does not live. */
const HEALTH = new Map([
  ['/healthz', 'ready'],
  ['/livez', 'live'],
] as const)

function withHealth(mcp: Durable, serve: RequestListener): RequestListener {
  return (request, response) => {
    const asked = request.method === 'GET' ? HEALTH.get(request.url as '/healthz' | '/livez') : undefined
    if (asked === undefined) serve(request, response)
    else void tellHealth(mcp, asked, response)
  }
}

/** Whether the store is there says nothing of this process. */
async function tellHealth(mcp: Durable, asked: 'ready' | 'live', response: ServerResponse) {
  const health = await mcp.health(asked === 'live' ? { timeoutMs: 0 } : {})
  response.writeHead(health[asked] ? 200 : 503, { 'content-type': 'application/json' })
  response.end(JSON.stringify(asked === 'live' ? { live: health.live } : health))
}

function servedOf(context: Context): Served {
  const { values, args } = context
  if (values['stdio'] !== true) {
    const unknown = args[0]
    if (unknown !== undefined) throw usageError(`'${unknown}' is one argument too many.`, 'proxy')
    for (const name of ['max-processes', 'idle'])
      if (values[name] !== undefined) throw usageError(`--${name} is for --stdio.`, 'proxy')
    return { upstream: upstreamOf(context) }
  }
  for (const name of ['upstream', 'pass-headers'])
    if (values[name] !== undefined) throw usageError(`--${name} is not for --stdio.`, 'proxy')
  const [command, ...rest] = args
  if (command === undefined) throw usageError('--stdio needs a command: --stdio -- COMMAND [ARGS…].', 'proxy')
  requireProgram(command)
  // What the store is reached by is no concern of the server.
  const { REDIS_URL: _, ...env } = process.env
  return { stdio: { command, args: rest, env } }
}

/** Each process belongs to a server object, and ends with it. */
function limitsOf({ values }: Context): CommonOptions {
  if (values['stdio'] !== true) return {}
  return {
    maxServers: numberOption(values, 'max-processes', 100, 1),
    serverIdleMs: timeOption(values, 'idle') ?? 10 * 60_000,
  }
}

const shownOf = ({ upstream, stdio }: Served) =>
  stdio ? [stdio.command, ...(stdio.args ?? [])].join(' ') : String(upstream)

/** A mistake shows now, and not to the first client. */
function requireProgram(command: string) {
  const isThere = (path: string) => {
    try {
      accessSync(path, constants.X_OK)
      return statSync(path).isFile()
    } catch {
      return false
    }
  }
  // There a command may be found under several names.
  if (process.platform === 'win32') return
  const places = command.includes('/') ? [''] : (process.env['PATH'] ?? '').split(delimiter)
  if (!places.some((place) => isThere(place === '' ? command : join(place, command))))
    throw new CliError(`there is no program '${command}' that can be run.`, [
      'Give its path, or install it, and start again',
    ])
}

function erasOf(context: Context): CommonOptions['eras'] {
  const eras = textOption(context, 'eras')?.split(',')
  const known = ['2025-11-25', '2026-07-28'] as const
  const unknown = eras?.find((era) => !known.some((one) => one === era))
  if (unknown !== undefined)
    throw usageError(`--eras takes ${known.join(' and ')}, not '${unknown}'.`, 'proxy')
  return eras && known.filter((era) => eras.includes(era))
}

function upstreamOf(context: Context): string {
  const text = textOption(context, 'upstream')
  if (text === undefined)
    throw usageError('proxy needs --upstream URL, or --stdio -- COMMAND [ARGS…].', 'proxy')
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text
  throw usageError(`--upstream must be a URL like http://HOST:PORT/mcp, not '${text}'.`, 'proxy')
}

/** `undefined`: as the library decides, which is by subject if the upstream gets the token, and else by the whole header. */
function principalOf(context: Context, passed: readonly string[] = []): DurableOptions['principal'] {
  const who = textOption(context, 'principal')
  if (who === 'subject' && context.values['stdio'] === true)
    throw usageError('--principal subject is not for --stdio: nobody would check whose a token is.', 'proxy')
  if (who === 'none') return () => undefined
  if (who === 'subject' && !passed.some((name) => name.toLowerCase() === 'authorization'))
    throw usageError(
      '--principal subject needs --pass-headers authorization: the server checks whose a token is.',
      'proxy',
    )
  if (who === undefined || who === 'subject') return undefined
  const name = /^header:([\w-]+)$/.exec(who)?.[1]
  if (name === undefined)
    throw usageError(`--principal must be subject, header:NAME or none, not '${who}'.`, 'proxy')
  return ({ headers }) => {
    const value = headers.get(name)
    return value === null || value === '' ? undefined : `header:${hash('sha256', value, 'base64url')}`
  }
}

function textOption({ values }: Context, name: string): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}
