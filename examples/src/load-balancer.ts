import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http'
import { pipeline } from 'node:stream'
import { readReplayable, type Body } from './replayable-body.js'

export interface LoadBalancerOptions {
  backends: readonly URL[]
  /** The largest request body, in bytes, that can be sent to a second backend. */
  replayLimit?: number
  /** How long, in milliseconds, a backend may take to accept a connection. */
  connectTimeoutMs?: number
}

/** Why a backend gave no response. `reached` tells a node that refused from one that died over the request. */
interface Failure {
  reached: boolean
  reason: string
}

// RFC 9110, section 7.6.1: these concern one connection, not the message. `expect` was answered here already.
const hopByHop = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * An HTTP proxy that gives every request to the next backend in turn, whatever session it is for.
 *
 * A backend that refuses, or dies before the first byte of its response, is followed by the next one. That may
 * deliver a request twice, which is safe here: a node attaches a repeated call to the one that is running.
 */
export function createLoadBalancer({
  backends,
  replayLimit = 8 * 1024 * 1024,
  connectTimeoutMs = 2000,
}: LoadBalancerOptions): Server {
  let turn = 0

  const handle = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const body = await readReplayable(req, replayLimit)
    const start = turn++
    const failures: Failure[] = []
    for (let attempt = 0; attempt < backends.length && !res.destroyed; attempt++) {
      const backend = backends[(start + attempt) % backends.length]!
      const failure = await forward(req, res, { backend, body, connectTimeoutMs })
      if (failure === undefined) return
      failures.push(failure)
      if (body.spent) break
    }
    if (!res.destroyed) refuse(res, failures)
  }

  return createServer((req, res) => {
    handle(req, res).catch(() => res.destroy())
  })
}

/** Resolves with nothing once a response began, or the client left; with a failure when another backend may try. */
function forward(
  req: IncomingMessage,
  res: ServerResponse,
  { backend, body, connectTimeoutMs }: { backend: URL; body: Body; connectTimeoutMs: number },
): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    let reached = false
    const upstream = httpRequest({
      host: backend.hostname.replace(/^\[|\]$/g, ''),
      port: backend.port || 80,
      method: req.method,
      path: req.url,
      headers: requestHeaders(req, body),
      // A pooled connection may be closed by the node at the very moment it is used again.
      agent: false,
    })
    const timer = setTimeout(() => upstream.destroy(new Error('connection timed out')), connectTimeoutMs)
    const leave = (): void => void upstream.destroy()
    const settle = (failure?: Failure): void => {
      clearTimeout(timer)
      res.off('close', leave)
      resolve(failure)
    }
    res.once('close', leave)
    upstream.on('socket', (socket) =>
      socket.once('connect', () => {
        reached = true
        clearTimeout(timer)
        body.sendTo(upstream)
      }),
    )
    upstream.on('error', (error) => settle({ reached, reason: `${backend.host}: ${error.message}` }))
    upstream.on('response', (response) => {
      settle()
      res.writeHead(response.statusCode ?? 502, responseHeaders(response, backend))
      // An SSE stream may stay silent for long: its headers must not wait for the first event.
      res.flushHeaders()
      // pipeline passes an abrupt end on, in both directions; a clean end would tell a client that all has arrived.
      pipeline(response, res, () => {})
    })
  })
}

function requestHeaders(req: IncomingMessage, body: Body): OutgoingHttpHeaders {
  // Host stays as the client sent it: the nodes guard against DNS rebinding by it.
  const headers = endToEnd(req)
  const forwarded = [req.headers['x-forwarded-for'], req.socket.remoteAddress].flat().filter(Boolean)
  headers['x-forwarded-for'] = forwarded.join(', ')
  if (body.length !== undefined) headers['content-length'] = body.length
  return headers
}

function responseHeaders(response: IncomingMessage, backend: URL): OutgoingHttpHeaders {
  return { ...endToEnd(response), 'x-served-by': backend.origin }
}

function endToEnd(message: IncomingMessage): OutgoingHttpHeaders {
  const named = (message.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  const kept = Object.entries(message.headers).filter(
    ([name]) => !hopByHop.has(name) && !named.includes(name),
  )
  return Object.fromEntries(kept)
}

/** 503 while no node accepts connections, 502 when a node broke off: then the request may have had an effect. */
function refuse(res: ServerResponse, failures: readonly Failure[]): void {
  const broken = failures.some(({ reached }) => reached)
  const message = `No backend answered (${failures.map(({ reason }) => reason).join('; ')})`
  res.writeHead(broken ? 502 : 503, {
    'content-type': 'application/json',
    ...(!broken && { 'retry-after': '1' }),
  })
  res.end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32000, message }, id: null }))
}
