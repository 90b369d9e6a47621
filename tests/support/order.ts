const META = 'io.modelcontextprotocol'
const VERSION = '2026-07-28'

/** Begins a call of the tool `order`, without a session, and leaves it running. Resolves to its id. */
export async function order(url: string) {
  const _meta = {
    [`${META}/protocolVersion`]: VERSION,
    [`${META}/clientCapabilities`]: {},
    [`${META}/clientInfo`]: { name: 'someone', version: '1' },
  }
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': VERSION,
    'mcp-method': 'tools/call',
    'mcp-name': 'order',
  }
  const params = { name: 'order', arguments: {}, _meta }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
  const response = await fetch(new URL('/mcp', url), { method: 'POST', headers, body })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const { value = '' } = await reader.read()
  const rest = async () => {
    while (!(await reader.read()).done);
  }
  rest().catch(() => undefined)
  return /^id: ([\w-]{22})\./m.exec(value)?.[1] ?? ''
}
