import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { STORES } from '../support/stores.js'
import { BOTH, LATEST, Session } from '../support/session.js'
import { startNodes } from '../support/nodes.js'

/** A connection that says whether it holds back what is written. */
function connection() {
  let corked = 0
  const socket = { cork: () => void corked++, uncork: () => void corked-- }
  return { outgoing: { destroy: () => undefined, socket }, holdsBack: () => corked > 0 }
}

test.each(STORES)('the head of an answer and its first event go out in one write, %s', async (store) => {
  await using nodes = await startNodes({ store })
  const session = await Session.begin(nodes)
  const { outgoing, holdsBack } = connection()
  const call = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'echo', arguments: { text: 'hi' } },
  }
  const headers = {
    'content-type': 'application/json',
    accept: BOTH,
    'mcp-session-id': session.mcpSessionId,
    'mcp-protocol-version': LATEST,
  }
  const request = new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body: JSON.stringify(call) })
  const response = await nodes.mcp(0).fetch(request, { outgoing })
  expect(holdsBack()).toBe(true)
  expect(await response.text()).toContain('hi')
  await nextTurn()
  expect(holdsBack()).toBe(false)
})
