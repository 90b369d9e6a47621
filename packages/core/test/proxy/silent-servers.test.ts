import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { durable } from '../../src/index.js'
import type { Durable } from '../../src/index.js'
import { META, SESSIONLESS } from '../../src/protocol.js'
import { capture } from '../support/nodes.js'
import type { LogLine } from '../support/nodes.js'
import { BOTH } from '../support/session.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => vi.useRealTimers())

type Asked = { id?: number; method: string }
const RESULTS: Record<string, object> = {
  initialize: {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'behind', version: '1' },
  },
  'tools/list': { tools: [] },
  'tools/call': { content: [{ type: 'text', text: 'fine' }] },
}

/** A node before a server that takes what it is asked, and answers one method never. */
function start(silent: string) {
  const logs: LogLine[] = []
  const handler = async (request: Request) => {
    if (request.method !== 'POST') return new Response(null, { status: 405 })
    const { id, method } = (await request.json()) as Asked
    if (id === undefined) return new Response(null, { status: 202 })
    if (method === silent) return new Promise<Response>(() => undefined)
    const result = RESULTS[method]
    const answer = result ? { result } : { error: { code: -32601, message: 'Method not found' } }
    return Response.json({ jsonrpc: '2.0', id, ...answer }, { headers: { 'mcp-session-id': 'theirs' } })
  }
  const mcp = durable({ handler, logger: capture(logs), eras: ['2025-11-25', '2026-07-28'] })
  return { mcp, logs, [Symbol.asyncDispose]: () => close(mcp) }
}

async function close(mcp: Durable) {
  vi.useRealTimers()
  await mcp.close({ graceMs: 0 })
}

const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'raw', version: '1' },
}
const META_ALONE = {
  [META.protocolVersion]: SESSIONLESS,
  [META.clientCapabilities]: {},
  [META.clientInfo]: INITIALIZE.clientInfo,
}
const CALL = { name: 'run', arguments: {}, _meta: META_ALONE }
const ALONE = { 'mcp-protocol-version': SESSIONLESS, 'mcp-method': 'tools/call', 'mcp-name': 'run' }
const ASKS: [silent: string, method: string, params: object, headers: Record<string, string>][] = [
  ['tools/list', 'tools/call', CALL, ALONE],
  ['initialize', 'tools/call', CALL, ALONE],
  ['initialize', 'initialize', INITIALIZE, {}],
]

test.each(ASKS)(
  'a server that never answers %s is named in a 502 to %s',
  async (silent, method, params, own) => {
    await using behind = start(silent)
    const headers = { 'content-type': 'application/json', accept: BOTH, ...own }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    let response: Response | undefined
    void behind.mcp
      .fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }))
      .then((came) => (response = came))
    for (let seconds = 0; seconds < 60; seconds++) await vi.advanceTimersByTimeAsync(1000)
    expect(response?.status).toBe(502)
    expect(await response?.text()).toContain(`the server behind this one did not answer ${silent} in time`)
    expect(behind.logs.map(({ message }) => message)).toContain('a request to the server failed')
  },
)
