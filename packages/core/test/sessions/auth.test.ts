import { expect, test } from 'vitest'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'
import { OLDEST } from '../../src/store/index.js'

const TOKEN = 't0kensecret'

test.each(SYSTEMS.flatMap((system) => [true, false].map((keepToken) => ({ ...system, keepToken }))))(
  'what a journal has of the caller ($store, $host, keepToken: $keepToken)',
  async ({ store, host, keepToken }) => {
    await using nodes = await startNodes({ store, host, settings: { keepToken } })
    const session = await Session.begin(nodes, { who: `alice/${TOKEN}` })
    await using call = await session.call('wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    const [callId = ''] = await nodes.stores[1]!.findCalls(session.id, '')
    const [request] = (await nodes.stores[1]!.read(session.id, `call:${callId}`, OLDEST, 1)) ?? []
    expect(request?.data).toContain('"clientId":"alice"')
    expect(request?.data.includes(TOKEN)).toBe(keepToken)
    nodes.world.gates.open('g')
    expect((await call.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
  },
)

test('auth info that is no JSON does not stop a call', async () => {
  await using nodes = await startNodes()
  const session = await Session.begin(nodes)
  const user: Record<string, unknown> = { name: 'ann' }
  user['self'] = user
  const authInfo = { scopes: [], extra: { user, big: 1n, call: () => 1 } }
  const body = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'echo', arguments: { text: 'ok' } },
  }
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-session-id': session.mcpSessionId,
  }
  const request = new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body: JSON.stringify(body) })
  const response = await nodes.mcp(0).fetch(request, { authInfo })
  expect(response.status).toBe(200)
  expect(await response.text()).toContain('"ok"')
})
