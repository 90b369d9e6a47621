import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { identifyBy } from '../../src/http/principal.js'
import type { AuthInfo, DurableOptions } from '../../src/index.js'
import { consoleLogger } from '../../src/logger.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { BOTH, expectRefused, headersOf, initialize, Session } from '../support/session.js'
import { STORES } from '../support/stores.js'

type Principal = NonNullable<DurableOptions['principal']>
const answering = (answer: () => unknown) => startNodes({ settings: { principal: answer as Principal } })
const errorsOf = ({ logs }: Nodes) => logs.filter(({ level }) => level === 'error')

const WRONG: [name: string, answer: () => unknown, says: string][] = [
  ['null', () => null, 'null'],
  ['an empty string', () => '', 'an empty string'],
  ['a number', () => 42, 'a value of type number'],
  ['an object', () => ({ id: 'ann' }), 'a value of type object'],
  ['a function', () => () => 'ann', 'a value of type function'],
  ['half a character', () => 'ann\ud83d', 'not well-formed Unicode'],
  ['a promise of null', async () => null, 'null'],
  ['a promise of an object', async () => ({ id: 'ann' }), 'a value of type object'],
  ['an error', () => expect.fail('no such user'), 'threw'],
  ['a rejection', () => Promise.reject(new Error('no such user')), 'threw'],
]
test.each(WRONG)('%s as principal is refused, and the log says why', async (_name, answer, says) => {
  await using nodes = await answering(answer)
  const body = await expectRefused(await initialize(nodes), 500, -32603)
  expect(body.error.message).not.toContain('no such user')
  expect(errorsOf(nodes)).toEqual([expect.objectContaining({ message: expect.stringContaining(says) })])
  expect(errorsOf(nodes)[0]?.message).toContain('`principal`')
  if (says === 'threw') expect(errorsOf(nodes)[0]?.fields).toEqual({ error: expect.any(Error) })
})

test('a principal may be looked up', async () => {
  const principal: Principal = async (_request, authInfo) => {
    await new Promise((resolve) => setImmediate(resolve))
    return authInfo && `user of ${authInfo.clientId}`
  }
  await using nodes = await startNodes({ settings: { principal } })
  const session = await Session.begin(nodes, { who: 'ann/1' })
  expect((await nodes.stores[0]?.readSession(session.id))?.principal).toBe('user of ann')
  expect(await session.result('echo', { text: 'mine' })).toBe('mine')
  for (const who of ['bob/1', undefined]) {
    await expectRefused(await session.request('ping', undefined, { who }), 404)
    await expectRefused(await session.get(undefined, { who }), 404)
    await expectRefused(await session.delete({ who }), 404)
  }
})

test.each([[null], [''], [7]])('%j as the clientId of auth info is refused', async (clientId) => {
  await using nodes = await startNodes()
  const response = await nodes
    .mcp(0)
    .fetch(post(INITIALIZE), { authInfo: { clientId } as unknown as AuthInfo })
  await expectRefused(response, 500, -32603)
  expect(errorsOf(nodes)).toEqual([
    expect.objectContaining({ message: expect.stringContaining('`clientId`') }),
  ])
})

test('auth info without a clientId is warned of, once', async () => {
  await using nodes = await startNodes()
  for (let n = 0; n < 2; n++)
    expect((await nodes.mcp(0).fetch(post(INITIALIZE), { authInfo: { sub: 'ann' } })).status).toBe(200)
  expect(nodes.logs.filter(({ message }) => message.includes('without a `clientId`'))).toHaveLength(1)
})

test('a principal that never comes is waited for 30 s', async () => {
  vi.useFakeTimers()
  try {
    const identify = identifyBy(() => new Promise(() => undefined), consoleLogger)
    const identified = Promise.resolve(identify(post(INITIALIZE), undefined))
    const failed = identified.catch((error: Error) => error.message)
    await vi.advanceTimersByTimeAsync(30_000)
    expect(await failed).toContain('did not answer within 30 s')
  } finally {
    vi.useRealTimers()
  }
})

describe.each(STORES)('whatever `principal` answers, %s', (store) => {
  test('nobody gets the session of another principal', async () => {
    const answers = new Map<string, unknown>()
    const principal = ((request: Request) => answers.get(request.headers.get('x-who') ?? '')) as Principal
    await using nodes = await startNodes({ store, count: 1, settings: { principal } })
    const send = (who: string, method: string, body?: object, id?: string) =>
      nodes.endpoint(0).fetch({
        method,
        headers: headersOf({ ...POST, 'x-who': who, 'mcp-session-id': id }),
        ...(body && { body: JSON.stringify(body) }),
      })
    const property = fc.asyncProperty(answer, answer, async (owner, other) => {
      answers.set('owner', owner).set('other', other)
      const begun = await send('owner', 'POST', INITIALIZE)
      expect(begun.status).toBe(isPrincipal(await owner) ? 200 : 500)
      const id = begun.headers.get('mcp-session-id') ?? undefined
      if (!id) return
      const same = (await owner) === (await other)
      const refused = isPrincipal(await other) ? 404 : 500
      const ping = await send('other', 'POST', { jsonrpc: '2.0', id: 1, method: 'ping' }, id)
      expect(ping.status).toBe(same ? 200 : refused)
      const call = await send('other', 'POST', { ...CALL, id: 2 }, id)
      expect([call.status, (await call.text()).includes('heard')]).toEqual(
        same ? [200, true] : [refused, false],
      )
      if (!same) expect((await send('other', 'GET', undefined, id)).status).toBe(refused)
      expect((await send('other', 'DELETE', undefined, id)).status).toBe(same ? 200 : refused)
    })
    await fc.assert(property, { numRuns: 60, seed: 20_251_125 })
  })
})

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
}
const CALL = { jsonrpc: '2.0', method: 'tools/call', params: { name: 'echo', arguments: { text: 'heard' } } }
const POST = { 'content-type': 'application/json', accept: BOTH }
const post = (body: object) =>
  new Request('http://127.0.0.1/mcp', { method: 'POST', headers: POST, body: JSON.stringify(body) })

const isPrincipal = (value: unknown) =>
  value === undefined || (typeof value === 'string' && value !== '' && !/\p{Surrogate}/u.test(value))

/** Texts that some conversion makes the same, and everything that a mistake may be. */
const plain = fc.oneof(
  fc.constantFrom(
    undefined,
    null,
    '',
    '-',
    '=',
    '=-',
    'null',
    'undefined',
    '[object Promise]',
    '\0',
    'a',
    'a\0',
  ),
  fc.constantFrom(
    '1',
    1,
    0,
    '0',
    true,
    'true',
    Number.NaN,
    '[object Object]',
    {},
    [],
    'Ann',
    'ann',
    'ａｎｎ',
    ' ann',
  ),
  fc.constantFrom('\ud83d', '\ud83e', '\ufffd', 'e\u0301', '\u00e9', '__proto__'),
  fc.string({ unit: 'binary', maxLength: 3 }),
  fc
    .array(fc.integer({ min: 0xd7fe, max: 0xe001 }), { maxLength: 3 })
    .map((units) => String.fromCharCode(...units)),
)
const answer = fc.oneof(
  plain,
  plain.map((value) => Promise.resolve(value)),
)
