import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { freePort } from '../../../../test-support/index.js'
import { durableFetch } from '../../src/client/index.js'
import type { RetryInfo } from '../../src/client/index.js'
import { halfJson, json, never, part, reset, scripted, slowly, status, stream } from './scripted-server.js'

const call = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'pay' } }
const answer = { jsonrpc: '2.0', id: 7, result: {} }
const event = (id: string, data: unknown) => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`
const quick = { initialDelayMs: 5, maxDelayMs: 20 }

const postOf = (message: unknown, init: RequestInit = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', 'mcp-session-id': 's' },
  body: JSON.stringify(message),
  ...init,
})
const getWith = (headers: Record<string, string> = {}, signal?: AbortSignal): RequestInit => ({
  headers: { accept: 'text/event-stream', ...headers },
  ...(signal && { signal }),
})

describe('a POST is sent again', () => {
  test.each([
    ['a reset before the headers', reset],
    ['502', status(502)],
    ['503', status(503)],
    ['504', status(504)],
    ['half an answer', halfJson],
    ['a stream that breaks before anything', stream('', 'break')],
    ['a stream that breaks in its first event', stream('retry: 5\n\n: hello\n\nid: 1\ndata: {"js', 'break')],
  ])('after %s', async (_name, failure) => {
    await using server = await scripted([failure, failure, json(answer)])
    const response = await durableFetch(quick)(server.url, postOf(call))
    expect(await response.json()).toEqual(answer)
    expect(response.url).toBe(server.url)
    expect(server.received.map(({ body }) => body)).toEqual(Array(3).fill(JSON.stringify(call)))
    expect(new Set(server.received.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
  })

  test('to a server that is not there yet', async () => {
    const port = await freePort()
    const retries: RetryInfo[] = []
    const send = durableFetch({
      ...quick,
      onRetry: (retry) => void retries.push(retry),
      mayRepeat: () => false,
    })
    const response = send(`http://127.0.0.1:${port}/mcp`, postOf(call))
    while (retries.length < 2) await sleep(5)
    await using server = await scripted([json(answer)], port)
    expect(await (await response).json()).toEqual(answer)
    expect(server.received).toHaveLength(1)
    expect(retries.map(({ failed }) => failed)).toEqual(retries.map((_, index) => index + 1))
  })

  test('when no headers come', async () => {
    await using server = await scripted([never, json(answer)])
    const response = await durableFetch({ ...quick, headersWithinMs: 50 })(server.url, postOf(call))
    expect(await response.json()).toEqual(answer)
  })

  test.each([
    ['a stream', stream('', 'stay')],
    ['a stream, and a comment', stream(': here\n\n', 'stay')],
    ['JSON', part('application/json', '')],
    ['JSON, and the begin of it', part('application/json', '{"jsonrpc":')],
  ])('when nothing follows the headers of %s', async (_name, stalled) => {
    await using server = await scripted([stalled, json(answer)])
    const response = await durableFetch({ ...quick, headersWithinMs: 50 })(server.url, postOf(call))
    expect(await response.json()).toEqual(answer)
  })

  test('each with a key of its own', async () => {
    await using server = await scripted([json(answer)])
    const send = durableFetch(quick)
    await send(server.url, postOf(call))
    await send(server.url, postOf(call))
    await send(server.url, postOf({ jsonrpc: '2.0', method: 'notifications/initialized' }))
    const [first, second, notification] = server.received.map(({ headers }) => headers['idempotency-key'])
    expect(first).toMatch(/^[\da-f-]{36}$/)
    expect(second).not.toBe(first)
    expect(notification).toBeUndefined()
  })
})

describe('what has come is given out as it is', () => {
  test('a stream, from its first event on; its later break is the caller’s', async () => {
    const text = `retry: 5\n\n${event('1', {})}`
    await using server = await scripted([stream(text, 'break')])
    const response = await durableFetch(quick)(server.url, postOf(call))
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    expect(await reader.read()).toEqual({ done: false, value: text })
    await expect(reader.read()).rejects.toThrow('terminated')
    expect(server.received).toHaveLength(1)
  })

  test('a body that comes slowly, if it comes', async () => {
    const pieces = JSON.stringify(answer).match(/.{1,3}/gs)!
    await using server = await scripted([slowly(pieces, 100)])
    const response = await durableFetch({ ...quick, headersWithinMs: 1000 })(server.url, postOf(call))
    expect(await response.json()).toEqual(answer)
    expect(server.received).toHaveLength(1)
  })

  test('a stream that is silent, where mayRepeat refuses to ask again', async () => {
    await using server = await scripted([
      slowly([': here\n\n', '', '', '', event('1', answer)], 150, 'text/event-stream'),
    ])
    const options = { ...quick, headersWithinMs: 300, mayRepeat: () => false }
    const response = await durableFetch(options)(server.url, postOf(call))
    expect(await response.text()).toContain(event('1', answer))
  })

  test('what mayRepeat throws, of a body that stops', async () => {
    await using server = await scripted([part('application/json', '{"jsonrpc":')])
    const mayRepeat = () => {
      throw new Error('of the application')
    }
    const send = durableFetch({ ...quick, headersWithinMs: 50, mayRepeat })
    await expect(send(server.url, postOf(call))).rejects.toThrow('of the application')
  })

  test('a stream that ends without an event', async () => {
    await using server = await scripted([stream(': nothing\n\n', 'end')])
    const response = await durableFetch(quick)(server.url, postOf(call))
    expect(await response.text()).toBe(': nothing\n\n')
  })

  test.each([400, 404, 410, 429, 500])('status %i', async (code) => {
    await using server = await scripted([status(code, { 'retry-after': '1' })])
    const response = await durableFetch(quick)(server.url, postOf(call))
    expect([response.status, await response.text()]).toEqual([code, `status ${code}`])
    expect(server.received).toHaveLength(1)
  })
})

describe('not sent again', () => {
  test.each([
    ['a form', { body: 'grant_type=authorization_code&code=1' }],
    ['JSON that is not JSON-RPC', { body: '{"client_name":"x"}' }],
    ['a stream', { body: new Blob([JSON.stringify(call)]).stream(), duplex: 'half' }],
  ])('%s', async (_name, init) => {
    await using server = await scripted([status(503)])
    const response = await durableFetch(quick)(server.url, postOf(call, init as RequestInit))
    expect(response.status).toBe(503)
    expect(server.received).toHaveLength(1)
  })

  test('what mayRepeat refuses, where it may have been carried out', async () => {
    const asked: unknown[] = []
    const mayRepeat = (request: unknown) => {
      asked.push(request)
      return false
    }
    await using unsure = await scripted([status(502)])
    expect((await durableFetch({ ...quick, mayRepeat })(unsure.url, postOf(call))).status).toBe(502)
    expect(asked).toEqual([call])
    await using broken = await scripted([reset])
    await expect(durableFetch({ ...quick, mayRepeat })(broken.url, postOf(call))).rejects.toThrow()
    await using away = await scripted([status(503), json(answer)])
    expect((await durableFetch({ ...quick, mayRepeat })(away.url, postOf(call))).status).toBe(200)
    expect([unsure, broken, away].map(({ received }) => received.length)).toEqual([1, 1, 2])
  })

  test('a request that was cancelled meanwhile', async () => {
    await using server = await scripted([status(503, { 'retry-after': '30' }), status(202)])
    const send = durableFetch(quick)
    const response = send(server.url, postOf(call))
    await server.until(1)
    const cancel = (requestId: unknown) =>
      send(server.url, postOf({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }))
    await cancel('7')
    await cancel(7)
    expect((await response).status).toBe(503)
    expect(server.received).toHaveLength(3)
  })
})

describe('how long it goes on', () => {
  test('Retry-After in seconds, and as a date', async () => {
    const date = new Date(Date.now() + 3000).toUTCString()
    await using server = await scripted([
      status(503, { 'retry-after': '1' }),
      status(503, { 'retry-after': date }),
      json(answer),
    ])
    await durableFetch(quick)(server.url, postOf(call))
    const [first, second, third] = server.received.map(({ at }) => at)
    expect(second! - first!).toBeGreaterThanOrEqual(990)
    expect(third!).toBeGreaterThanOrEqual(Date.parse(date) - 10)
  })

  test('the answer at once, when Retry-After is longer than that', async () => {
    await using server = await scripted([status(503, { 'retry-after': '7200' })])
    const response = await durableFetch({ ...quick, giveUpAfterMs: 3_600_000 })(server.url, postOf(call))
    expect(response.status).toBe(503)
    expect(server.received).toHaveLength(1)
  })

  test('until giveUpAfterMs: the last response, or what fetch threw', async () => {
    const send = durableFetch({ ...quick, giveUpAfterMs: 1000 })
    await using server = await scripted([status(503)])
    expect(await (await send(server.url, postOf(call))).text()).toBe('status 503')
    expect(server.received.length).toBeGreaterThan(1)
    await using broken = await scripted([stream('', 'break')])
    await expect(send(broken.url, getWith({ 'last-event-id': '1' }))).rejects.toThrow('terminated')
    expect(broken.received.length).toBeGreaterThan(1)
  })

  test.each(['during a delay', 'during an attempt', 'while the stream is open'])(
    'until the signal of the caller, %s',
    async (when) => {
      const replies = { 'during a delay': status(503, { 'retry-after': '30' }), 'during an attempt': never }
      const reply = replies[when as keyof typeof replies] ?? stream(event('1', {}), 'stay')
      await using server = await scripted([reply])
      const leave = new AbortController()
      const sent = durableFetch(quick)(server.url, postOf(call, { signal: leave.signal }))
      const read = sent.then((response) => response.text())
      await server.until(1)
      if (when === 'while the stream is open') await sent
      leave.abort(new Error('enough'))
      await expect(read).rejects.toThrow('enough')
      expect(server.received).toHaveLength(1)
    },
  )
})

describe('GET and DELETE', () => {
  test('a stream is resumed from the same place until a node takes it', async () => {
    const replies = [reset, status(503), stream('', 'break'), stream(': hi\n\n', 'break')]
    await using server = await scripted([...replies, stream(event('5', answer), 'end')])
    const response = await durableFetch(quick)(server.url, getWith({ 'last-event-id': '4' }))
    expect(await response.text()).toBe(event('5', answer))
    expect(server.received.map(({ headers }) => headers['last-event-id'])).toEqual(Array(5).fill('4'))
  })

  test('a standalone stream is given out before its first event', async () => {
    await using server = await scripted([status(502), stream('', 'stay')])
    const leave = new AbortController()
    const response = await durableFetch(quick)(server.url, getWith({}, leave.signal))
    expect(response.status).toBe(200)
    leave.abort()
    await expect(response.text()).rejects.toThrow('aborted')
  })

  test('a session that an earlier attempt may have ended has ended', async () => {
    const init = { method: 'DELETE', headers: { 'mcp-session-id': 's' } }
    await using server = await scripted([reset, status(404)])
    expect((await durableFetch(quick)(server.url, init)).status).toBe(200)
    await using other = await scripted([status(503), status(404)])
    expect((await durableFetch(quick)(other.url, init)).status).toBe(404)
  })
})
