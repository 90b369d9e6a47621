import { describe, expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { BOTH, expectRefused, initialize, LATEST, Session } from '../support/session.js'

type Headers = Record<string, string | undefined>

/** Status of a GET-free request with these headers, from whichever part of the guard answers it first. */
async function statusWith(session: Session, headers: Headers) {
  const response = await session.request('ping', undefined, { headers })
  await response.body?.cancel()
  return response.status
}

describe('Origin and Host', () => {
  const OWN: [origin: string | undefined, host: string, allowed: boolean][] = [
    [undefined, 'example.com', true],
    [undefined, 'localhost:3000', true],
    ['http://localhost:3000', 'localhost:3000', true],
    ['http://localhost:5173', '127.0.0.1:3000', true],
    ['http://[::1]:5173', '[::1]:3000', true],
    ['http://127.0.0.1', 'localhost', true],
    ['https://example.com', 'example.com', true],
    ['https://example.com:8443', 'example.com:8443', true],
    // A name that was rebound to this address.
    ['http://evil.example:3000', 'evil.example:3000', false],
    ['http://evil.example', 'localhost:3000', false],
    ['https://evil.example', '127.0.0.1:3000', false],
    ['http://localhost.evil.example', 'localhost.evil.example', false],
    ['http://127.0.0.1.evil.example', '127.0.0.1.evil.example', false],
    ['http://localhost', 'evil.example', false],
    ['https://example.com', 'example.com:8443', false],
    ['http://example.com', 'example.com', false],
    ['null', 'localhost:3000', false],
    ['file://', 'localhost:3000', false],
    ['not an origin', 'localhost:3000', false],
    ['', 'localhost:3000', false],
  ]
  test.each(OWN)('[G-1] without lists: origin %s at %s: %s', async (origin, host, allowed) => {
    await using nodes = await startNodes({ count: 1 })
    const session = await Session.begin(nodes)
    expect(await statusWith(session, { origin, host })).toBe(allowed ? 200 : 403)
  })

  test('[G-2] allowedHosts and allowedOrigins', async () => {
    const settings = { allowedHosts: ['mcp.example', '127.0.0.1'], allowedOrigins: ['https://app.example'] }
    await using nodes = await startNodes({ count: 1, settings })
    const session = await Session.begin(nodes)
    expect(await statusWith(session, { host: 'mcp.example' })).toBe(200)
    expect(await statusWith(session, { host: 'mcp.example', origin: 'https://app.example' })).toBe(200)
    expect(await statusWith(session, { host: 'mcp.example', origin: 'https://mcp.example' })).toBe(403)
    expect(await statusWith(session, { host: 'other.example' })).toBe(403)
    expect(await statusWith(session, { host: 'mcp.example:81', origin: 'https://app.example' })).toBe(403)
  })

  test('entries of the lists are compared as headers come, in whatever case they are written', async () => {
    const settings = {
      allowedHosts: ['MCP.example', 'Localhost:3000', '[::1]:3000', '127.0.0.1'],
      allowedOrigins: [
        'https://App.Example:443',
        'http://app.example:8080',
        'vscode-webview://Abc',
        'null',
        'https://bücher.example',
      ],
    }
    await using nodes = await startNodes({ count: 1, settings })
    const session = await Session.begin(nodes)
    const status = (host: string, origin?: string) => statusWith(session, { host, origin })
    for (const host of ['mcp.example', 'MCP.EXAMPLE', 'localhost:3000', '[::1]:3000'])
      expect(await status(host)).toBe(200)
    for (const host of ['mcp.example:3000', 'localhost', '[::1]']) expect(await status(host)).toBe(403)
    for (const origin of [
      'https://app.example',
      'http://app.example:8080',
      'vscode-webview://abc',
      'null',
      'https://xn--bcher-kva.example',
    ])
      expect(await status('mcp.example', origin)).toBe(200)
    for (const origin of ['http://app.example', 'https://app.example:8443', 'vscode-webview://abd'])
      expect(await status('mcp.example', origin)).toBe(403)
  })

  test('every method is guarded, and nothing of a session shows', async () => {
    await using nodes = await startNodes({ count: 1 })
    const session = await Session.begin(nodes)
    const headers = { origin: 'http://evil.example', host: 'evil.example' }
    const refused = [
      session.get(undefined, { headers }),
      session.delete({ headers }),
      session.request('ping', {}, { headers }),
    ]
    for (const response of await Promise.all(refused)) {
      expect(response.headers.get('mcp-session-id')).toBeNull()
      await expectRefused(response, 403, -32000)
    }
    expect(await statusWith(session, {})).toBe(200)
  })
})

describe('[G-4] Accept and Content-Type', () => {
  const ACCEPT: [accept: string | undefined, post: boolean, get: boolean][] = [
    [BOTH, true, true],
    ['text/event-stream;q=0.5, application/json; charset=utf-8', true, true],
    ['APPLICATION/JSON,TEXT/EVENT-STREAM', true, true],
    ['*/*', true, true],
    ['application/*, text/*', true, true],
    ['Application/* ; q=0.8 , text/event-stream;q=1', true, true],
    ['application/json, text/*;q=0.1, */*;q=0', true, true],
    ['*/*;q=0.001', true, true],
    ['text/*', false, true],
    ['application/*', false, false],
    // Not wanted, whatever a wider range says.
    ['*/*, text/event-stream;q=0', false, false],
    ['application/json, text/event-stream;q=0.0, text/*', false, false],
    ['*/*, application/*; q=0', false, true],
    ['*/*;q=0', false, false],
    ['application/json;profile="a", text/event-stream;x=1;q=0.2', true, true],
    ['*', false, false],
    ['*/json, text/event-stream', false, true],
    [',,;', false, false],
    ['application/json', false, false],
    ['text/event-stream', false, true],
    ['text/html', false, false],
    ['', false, false],
    [undefined, false, false],
  ]
  test.each(ACCEPT)('[G-3] Accept: %s', async (accept, postable, gettable) => {
    await using nodes = await startNodes({ count: 1 })
    const session = await Session.begin(nodes)
    const [post, get] = [
      await session.request('ping', undefined, { headers: { accept } }),
      await session.get(undefined, { headers: { accept } }),
    ]
    if (postable) expect(post.status).toBe(200)
    else await expectRefused(post, 406, -32000)
    if (gettable) expect(get.status).toBe(200)
    else await expectRefused(get, 406, -32000)
    for (const response of [post, get]) if (!response.bodyUsed) await response.body?.cancel()
  })

  test.each([
    ['application/json', 200],
    ['application/json; charset=utf-8', 200],
    ['application/json;Charset="UTF8"; q=1', 200],
    ['application/json; charset=iso-8859-1', 415],
    ['application/json; charset=utf-16le', 415],
    ['Application/JSON', 200],
    ['application/jsonp', 415],
    ['text/plain', 415],
    ['text/plain; application/json', 415],
    ['multipart/form-data', 415],
    ['', 415],
  ])('Content-Type: %s', async (type, status) => {
    await using nodes = await startNodes({ count: 1 })
    const session = await Session.begin(nodes)
    expect(await statusWith(session, { 'content-type': type })).toBe(status)
  })
})

describe('protocol version', () => {
  test.each([LATEST, '2025-06-18', '2025-03-26', '2024-11-05', undefined])('%s is known', async (version) => {
    await using nodes = await startNodes({ count: 1 })
    const session = await Session.begin(nodes)
    expect(await statusWith(session, { 'mcp-protocol-version': version })).toBe(200)
  })

  test.each(['1999-01-01', 'latest', '', '2025-11-25, 2025-06-18'])('[G-6] %s is not', async (version) => {
    await using nodes = await startNodes({ count: 1 })
    const session = await Session.begin(nodes)
    const headers = { 'mcp-protocol-version': version }
    for (const response of [
      session.request('ping', {}, { headers }),
      session.get(undefined, { headers }),
      session.delete({ headers }),
    ]) {
      await expectRefused(await response, 400, -32000)
    }
    expect(await statusWith(session, {})).toBe(200)
  })

  test.each(['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'])('%s is negotiated', async (version) => {
    await using nodes = await startNodes({ count: 1 })
    const text = await (await initialize(nodes, { version })).text()
    expect(text).toContain(`"protocolVersion":"${version}"`)
  })
})

describe('methods', () => {
  test.each(['PUT', 'PATCH', 'OPTIONS'])('%s: 405 with Allow', async (method) => {
    await using nodes = await startNodes({ count: 1, adapter: 'node' })
    const session = await Session.begin(nodes)
    const response = await session.send(method, undefined)
    expect(response.headers.get('allow')).toBe('GET, POST, DELETE')
    await expectRefused(response, 405, -32000)
  })

  test('HEAD opens no stream', async () => {
    await using nodes = await startNodes({ count: 1, adapter: 'node' })
    const session = await Session.begin(nodes)
    const response = await session.send('HEAD', undefined, {}, { accept: 'text/event-stream' })
    expect(response.status).toBe(405)
  })
})
