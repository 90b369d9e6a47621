import { hash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { RequestListener, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { durable } from '@mcp-durable/core'
import type { Durable, DurableOptions } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import type { Command } from '../command.js'
import { numberOption } from '../command-line.js'
import type { Context } from '../context.js'
import { CliError, messageOf, usageError } from '../errors.js'

const GRACE_MS = 10_000

export const proxy: Command = {
  name: 'proxy',
  arity: [0, 0],
  summary: 'stand before an MCP server in any language, and make it durable',
  details:
    'Serves at every path but two: /healthz answers 200 while it is ready, else 503, and /livez while it lives. Start as\n' +
    'many as you like on one Redis, behind any load balancer. The server behind them should give its events ids; without\n' +
    'them, a call that is interrupted may have to end without its result.',
  options: {
    upstream: { type: 'string', value: 'URL', help: 'the MCP endpoint of the server' },
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
    'max-answer-bytes': {
      type: 'string',
      value: 'N',
      help: 'largest message that is taken from the server (default: 16777216)',
    },
  },
  async run(context) {
    const port = numberOption(context.values, 'port', 3000)
    const maxAnswerBytes = numberOption(context.values, 'max-answer-bytes', 16 * 1024 * 1024, 1)
    const upstream = upstreamOf(context)
    const names = textOption(context, 'pass-headers')
      ?.split(',')
      .map((name) => name.trim())
    const principal = principalOf(context, names)
    const connected = await context.connect({ patient: true })
    const mcp = durable({
      store: context.store(connected),
      upstream,
      maxAnswerBytes,
      ...(names && { passHeaders: names }),
      ...(principal && { principal }),
    })
    const http = createServer(withHealth(mcp))
    await listening(http, port, textOption(context, 'host') ?? '127.0.0.1')
    const { address, family, port: taken } = http.address() as AddressInfo
    const name = family === 'IPv6' ? `[${address}]` : address
    context.output.line(`listening on http://${name}:${taken}, before ${upstream}`)
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

function withHealth(mcp: Durable): RequestListener {
  const serve = node(mcp)
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

function upstreamOf(context: Context): string {
  const text = textOption(context, 'upstream')
  if (text === undefined) throw usageError('proxy needs --upstream URL.', 'proxy')
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text
  throw usageError(`--upstream must be a URL like http://HOST:PORT/mcp, not '${text}'.`, 'proxy')
}

/** `undefined`: as the library decides, which is by subject if the upstream gets the token, and else by the whole header. */
function principalOf(context: Context, passed: readonly string[] = []): DurableOptions['principal'] {
  const who = textOption(context, 'principal')
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

async function listening(http: Server, port: number, host: string) {
  try {
    http.listen(port, host)
    await once(http, 'listening')
  } catch (error) {
    throw new CliError(
      `cannot listen on ${host}:${port} (${messageOf(error)}).`,
      ['Choose another --port; 0 takes a free one'],
      { cause: error },
    )
  }
}
