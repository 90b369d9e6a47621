import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { ADAPTERS } from '../support/serve.js'
import { BOTH, expectRefused, Session } from '../support/session.js'

const LIMIT = 10_000
const settings = { maxBodyBytes: LIMIT }

describe.each(ADAPTERS)('the size of a body, %s', (adapter) => {
  const body = (bytes: number) => {
    const empty = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: { pad: '' } })
    return empty.replace('""', `"${'x'.repeat(bytes - empty.length)}"`)
  }

  function chunked(session: Session, bytes: number, chunk = 1000) {
    const encoded = new TextEncoder().encode(body(bytes))
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < encoded.length; at += chunk) controller.enqueue(encoded.slice(at, at + chunk))
        controller.close()
      },
    })
    const headers = {
      'content-type': 'application/json',
      accept: BOTH,
      'mcp-session-id': session.mcpSessionId,
    }
    return session.nodes.endpoint(0).fetch({ method: 'POST', headers, body: stream, duplex: 'half' })
  }

  test('up to the limit it is taken', async () => {
    await using nodes = await startNodes({ count: 1, adapter, settings })
    const session = await Session.begin(nodes)
    const headers = { 'content-type': 'application/json', accept: BOTH }
    expect((await session.send('POST', body(LIMIT), {}, headers)).status).toBe(200)
    expect((await chunked(session, LIMIT)).status).toBe(200)
  })

  test.each([LIMIT + 1, 5 * 1024 * 1024])(
    '[G-5] 413 for %i bytes, with and without Content-Length',
    async (bytes) => {
      await using nodes = await startNodes({ count: 1, adapter, settings })
      const session = await Session.begin(nodes)
      const headers = { 'content-type': 'application/json', accept: BOTH }
      await expectRefused(await session.send('POST', body(bytes), {}, headers), 413, -32000)
      await expectRefused(await chunked(session, bytes, 64 * 1024), 413, -32000)
      expect((await session.request('ping')).status).toBe(200)
    },
  )
})

describe('a body that does not come', () => {
  const open = (url: string, headers: Record<string, string | number>) =>
    request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: BOTH, ...headers },
    })

  test('413 at once when too much is announced', async () => {
    await using nodes = await startNodes({ count: 1, adapter: 'node', settings })
    const sent = open(nodes.endpoint(0).url, { 'content-length': LIMIT + 1 })
    sent.on('error', () => undefined)
    sent.flushHeaders()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(413)
    expect(JSON.parse(await text(response))).toMatchObject({ error: { code: -32000 } })
    sent.destroy()
  })

  test.each<Record<string, string | number>>([{ 'content-length': 100 }, { 'transfer-encoding': 'chunked' }])(
    'a client that goes away in the middle harms nobody: %j',
    async (headers) => {
      await using nodes = await startNodes({ count: 1, adapter: 'node', settings })
      const session = await Session.begin(nodes)
      const sent = open(nodes.endpoint(0).url, { ...headers, 'mcp-session-id': session.mcpSessionId })
      sent.on('error', () => undefined)
      sent.write('{"jsonrpc":')
      const connected = once(sent, 'socket')
      await connected
      expect((await session.request('ping')).status).toBe(200)
      sent.destroy()
      await new Promise((resolve) => sent.once('close', resolve))
      expect((await session.request('ping')).status).toBe(200)
      expect(nodes.logs.filter(({ level }) => level === 'error')).toEqual([])
    },
  )
})
