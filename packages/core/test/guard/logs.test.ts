import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { initialize, Session } from '../support/session.js'
import { Weather } from '../support/weather.js'
import type { ServerObject } from '../../src/sdk.js'

const SECRET = 'p4yl0ad-secret'
const TOKEN = 't0kensecret'

// Everything that writes a line: failures of the store, of the factory, of handlers, of the client.
test('no line shows a session id, a token or a payload', async () => {
  const weather = new Weather()
  await using nodes = await startNodes({
    wrap: (store) => weather.wrap(store),
    settings: { serverIdleMs: 200 },
  })
  const who = `alice/${TOKEN}`
  const session = await Session.begin(nodes, { who })
  await session.result('fail', { message: SECRET })
  await session.result('echo', { text: SECRET }, { node: 1 })
  const requests = [
    () => session.request('tools/call', { name: 'echo', arguments: { text: SECRET } }),
    () => session.request('resources/subscribe', { uri: `test://${SECRET}` }),
    () => session.request('ping', { secret: SECRET }, { node: 1 }),
    () =>
      session.post({
        jsonrpc: '2.0',
        method: 'notifications/roots/list_changed',
        params: { secret: SECRET },
      }),
    () => session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: SECRET } }),
    () => session.post({ jsonrpc: '2.0', id: SECRET, result: { secret: SECRET } }),
    () => session.post({ jsonrpc: '2.0', secret: SECRET }),
    () => session.post(SECRET),
    () => session.get(`out.${SECRET}`),
    () => initialize(nodes, { who }),
  ]
  for (const only of [
    undefined,
    ['putState'],
    ['readSession', 'readState'],
    ['append'],
    ['watch'],
  ] as const) {
    for (const send of requests) {
      weather.set('away', { ...(only && { only }), times: 3 })
      await (await send()).body?.cancel()
      weather.fine()
    }
  }
  const lines = inspect(nodes.logs, { depth: Infinity, maxStringLength: Infinity, maxArrayLength: Infinity })
  expect(nodes.logs.length).toBeGreaterThan(5)
  for (const hidden of [session.mcpSessionId, session.id, SECRET, TOKEN]) expect(lines).not.toContain(hidden)
})

test('a factory that fails: 500, a line that says so, and nothing of the request in it', async () => {
  const broken = (): ServerObject => {
    throw new Error('the application is broken')
  }
  await using nodes = await startNodes({ settings: { server: broken } })
  const response = await initialize(nodes, { who: `alice/${TOKEN}` })
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain('the application is broken')
  const lines = inspect(nodes.logs, { depth: Infinity })
  expect(lines).toContain('the application is broken')
  expect(lines).not.toContain(TOKEN)
})
