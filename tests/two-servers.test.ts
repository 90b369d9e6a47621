import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { spawnNode } from '../test-support/index.js'

// Processes with two servers each, on one Redis, without names.

const SERVERS = ['shop', 'admin'] as const

const start = (prefix: string) =>
  spawnNode('tests/dist/two-servers.js', [process.env['REDIS_URL'] ?? '', prefix])

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

const post = (url: string, message: object, headers = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { ...HEADERS, ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', ...message }),
  })

async function begin(url: string) {
  const clientInfo = { name: 'c', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const begun = await post(url, { id: 0, method: 'initialize', params })
  await begun.text()
  return { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
}

/** Resolves to the id of its first event; its stream breaks with the process. */
async function openCall(url: string, name: string, session: Record<string, string>) {
  const called = await post(url, { id: name, method: 'tools/call', params: { name, arguments: {} } }, session)
  const reader = called.body!.pipeThrough(new TextDecoderStream()).getReader()
  const { value = '' } = await reader.read()
  reader.read().catch(() => undefined)
  return /^id: (\S+)$/m.exec(value)?.[1] ?? ''
}

test('what killed processes ran goes on at its own server, whoever looks first; sessions are known there alone', async () => {
  const prefix = `test-${randomUUID()}`
  await using first = await start(prefix)
  const running = await Promise.all(
    SERVERS.flatMap((server) =>
      ['work', `work of ${server}`, 'work'].map(async (tool) => {
        const url = `${first.url}/${server}`
        const session = await begin(url)
        return { server, session, id: await openCall(url, tool, session) }
      }),
    ),
  )
  await using next = await start(prefix)
  await using another = await start(prefix)
  await first.kill('SIGKILL')
  const results = await Promise.all(
    running.map(async ({ server, session, id }, place) => {
      const { url } = place % 2 === 0 ? next : another
      const headers = { ...session, accept: 'text/event-stream', 'last-event-id': id }
      return (await fetch(`${url}/${server}`, { headers })).text()
    }),
  )
  for (const [place, { server, session }] of running.entries()) {
    expect(results[place]).toContain(`done by ${server}`)
    for (const { url } of [next, another])
      for (const at of SERVERS)
        expect((await post(`${url}/${at}`, { id: 9, method: 'ping' }, session)).status).toBe(
          at === server ? 200 : 404,
        )
  }
})
