import { describe, expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { BOTH, expectRefused, Session } from '../support/session.js'
import { STORES } from '../support/stores.js'

const LEVELS = 100_000
const deep = `${'['.repeat(LEVELS)}${']'.repeat(LEVELS)}`
const request = (method: string, params: string) =>
  `{"jsonrpc":"2.0","id":7,"method":"${method}","params":${params}}`
const headers = { 'content-type': 'application/json', accept: BOTH }

describe.each(STORES)('[G-3] a message that is nested too deeply, %s', (store) => {
  test.each([
    ['tools/call', `{"name":"echo","arguments":{"text":${deep}}}`],
    ['prompts/get', `{"name":"greet","arguments":${deep}}`],
    ['resources/subscribe', `{"uri":${deep}}`],
  ])(
    '%s is refused or answered with an error at once, and the next request served',
    async (method, params) => {
      await using nodes = await startNodes({ store })
      const session = await Session.begin(nodes)
      const response = await nodes.endpoint(0).fetch({
        method: 'POST',
        headers: { ...headers, 'mcp-session-id': session.id },
        body: request(method, params),
      })
      expect(response.status).not.toBe(500)
      expect(await response.text()).toMatch(/"error"/)
      expect(await nodes.stores[0]!.listOpenCalls(session.id)).toEqual([])
      expect(await session.result('echo', { text: 'fine' })).toBe('fine')
    },
  )

  test('initialize is refused', async () => {
    await using nodes = await startNodes({ store })
    const params = `{"protocolVersion":"2025-11-25","capabilities":${deep},"clientInfo":{"name":"c","version":"1"}}`
    const body = request('initialize', params)
    await expectRefused(await nodes.endpoint(0).fetch({ method: 'POST', headers, body }), 400)
  })
})
