import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { freePort, waitFor } from '../../test-support/index.js'
import { listen } from '../src/listen.js'
import { createLoadBalancer, type LoadBalancerOptions } from '../src/load-balancer.js'

type Started = AsyncDisposable & { url: string }

async function start(server: ReturnType<typeof createServer>): Promise<Started> {
  const listening = await listen(server, '127.0.0.1', 0)
  return { url: listening.url, [Symbol.asyncDispose]: () => listening.close() }
}
const backend = (handle: RequestListener): Promise<Started> => start(createServer(handle))
const balancer = (backends: string[], options: Partial<LoadBalancerOptions> = {}): Promise<Started> =>
  start(createLoadBalancer({ backends: backends.map((url) => new URL(url)), ...options }))
const named = (name: string): Promise<Started> => backend((_req, res) => res.end(name))

/** A backend that accepts the connection, reads what comes and breaks off. */
async function breaker(): Promise<Started & { connections: () => number }> {
  let connections = 0
  const server = createTcpServer((socket) => {
    connections++
    socket.on('error', () => {})
    socket.once('data', () => socket.resetAndDestroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const close = async (): Promise<void> => void server.close()
  return { url, connections: () => connections, [Symbol.asyncDispose]: close }
}

const post = (url: string, body: string): Promise<Response> => fetch(url, { method: 'POST', body })
const text = async (url: string): Promise<string> => (await fetch(url)).text()

describe('choosing a backend', () => {
  test('takes them in turn', async () => {
    await using a = await named('a')
    await using b = await named('b')
    await using front = await balancer([a.url, b.url])
    const seen = [await text(front.url), await text(front.url), await text(front.url)]
    expect(seen).toEqual(['a', 'b', 'a'])
  })

  test('[E-2] sends the body to the next one when the first refuses, or breaks off before it answers', async () => {
    await using broken = await breaker()
    await using echo = await backend((req, res) => void req.pipe(res))
    const refusing = `http://127.0.0.1:${await freePort()}`
    await using front = await balancer([refusing, broken.url, echo.url])
    for (let call = 0; call < 3; call++) {
      const response = await post(front.url, 'x'.repeat(100_000))
      expect(await response.text()).toHaveLength(100_000)
      expect(response.headers.get('x-served-by')).toBe(echo.url)
    }
    expect(broken.connections()).toBeGreaterThan(0)
  })

  test('503 while none accepts, 502 when one broke off, both as JSON-RPC errors', async () => {
    await using down = await balancer([`http://127.0.0.1:${await freePort()}`])
    const unavailable = await post(down.url, '{}')
    expect(unavailable.status).toBe(503)
    expect(unavailable.headers.get('retry-after')).toBe('1')
    expect(await unavailable.json()).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32000 } })

    await using broken = await breaker()
    await using front = await balancer([broken.url])
    const badGateway = await post(front.url, '{}')
    expect(badGateway.status).toBe(502)
    expect(await badGateway.json()).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32000 } })
  })

  test('passes on a body that is too long to keep, and sends it only once', async () => {
    await using echo = await backend((req, res) => void req.pipe(res))
    await using broken = await breaker()
    await using front = await balancer([echo.url, broken.url], { replayLimit: 1000 })
    expect(await (await post(front.url, 'x'.repeat(500_000))).text()).toHaveLength(500_000)
    expect((await post(front.url, 'x'.repeat(500_000))).status).toBe(502)
    expect(broken.connections()).toBe(1)
  })
})

describe('the messages', () => {
  test('keep their headers, except those that concern one connection', async () => {
    await using mirror = await backend((req, res) => {
      res.setHeader('connection', 'x-private')
      res.setHeader('x-private', 'for the balancer only')
      res.setHeader('mcp-session-id', 's')
      res.end(JSON.stringify({ headers: req.headers, url: req.url }))
    })
    await using front = await balancer([mirror.url])
    const response = await raw(front.url, '//elsewhere.example/mcp?q=1', {
      host: 'some.example',
      connection: 'close, x-hop',
      'x-hop': '1',
      te: 'trailers',
      'last-event-id': '7-1',
      'x-forwarded-for': '192.0.2.1',
    })
    const got = JSON.parse(response.body) as { headers: Record<string, string>; url: string }
    expect(got.url).toBe('//elsewhere.example/mcp?q=1')
    expect(got.headers).toMatchObject({
      host: 'some.example',
      'last-event-id': '7-1',
      'x-forwarded-for': '192.0.2.1, 127.0.0.1',
    })
    expect(Object.keys(got.headers)).not.toEqual(expect.arrayContaining(['x-hop']))
    expect(Object.keys(got.headers)).not.toEqual(expect.arrayContaining(['te']))
    expect(response.headers['mcp-session-id']).toBe('s')
    expect(response.headers['x-private']).toBeUndefined()
  })

  test('arrive as they are written: headers before the first event, each event at once', async () => {
    let write: (chunk: string) => void = () => {}
    await using sse = await backend((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.flushHeaders()
      write = (chunk) => res.write(chunk)
    })
    await using front = await balancer([sse.url])
    const response = await fetch(front.url)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      write(event)
      expect(await reader.read()).toEqual({ done: false, value: event })
    }
    await reader.cancel()
  })

  test('break off towards the client when the backend dies', async () => {
    await using dying = await backend((_req, res) => {
      res.write('data: 1\n\n')
      setImmediate(() => res.destroy())
    })
    await using front = await balancer([dying.url])
    const response = await fetch(front.url)
    await expect(response.text()).rejects.toThrow('terminated')
  })

  test('break off towards the backend when the client leaves, before and after the headers', async () => {
    const open = new Set<IncomingMessage>()
    await using slow = await backend((req, res) => {
      open.add(req)
      res.once('close', () => open.delete(req))
      if (req.url === '/headers') res.flushHeaders()
    })
    await using front = await balancer([slow.url])
    for (const path of ['/', '/headers']) {
      const leave = new AbortController()
      const response = fetch(new URL(path, front.url), { signal: leave.signal }).catch(() => {})
      await waitFor(() => open.size === 1)
      if (path === '/headers') await response
      leave.abort()
      await waitFor(() => open.size === 0)
    }
  })
})

/** `fetch` refuses to send some of these headers. */
function raw(url: string, path: string, headers: Record<string, string>) {
  return new Promise<{ headers: IncomingMessage['headers']; body: string }>((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const req = request({ hostname, port, path, headers, agent: false }, (res) => {
      let body = ''
      res.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
      res.once('end', () => resolve({ headers: res.headers, body }))
    })
    req.once('error', reject).end()
  })
}
