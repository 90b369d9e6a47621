import { createHmac } from 'node:crypto'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { durable } from '../../src/index.js'
import type { Durable, Store } from '../../src/index.js'
import {
  ASKED,
  begin,
  beside,
  CALL,
  CHANGED,
  openCall,
  PING,
  post,
  resume,
  send,
  storedId,
} from '../support/asked.js'
import { contentOf } from '../support/store-content.js'
import { openStorage, STORES } from '../support/stores.js'
import { Gates, Happenings } from '../support/world.js'
import { MapOfTransports, Upstream } from '../support/wrapped.js'

// Proxies of different servers on one store, without names.

/** A server behind HTTP that calls itself by a name. */
async function behind(name: string) {
  const gates = new Gates()
  const happened = new Happenings()
  const wrapping = new MapOfTransports(
    () => {
      const mcp = new McpServer({ name, version: '1' }, { capabilities: { logging: {} } })
      mcp.registerTool('work', { annotations: { idempotentHint: true } }, async ({ signal }) => {
        happened.add(`${name} works`)
        await gates.pass('work', signal)
        return { content: [{ type: 'text', text: `done by ${name}` }] }
      })
      return mcp
    },
    { sdk: 'v1' },
  )
  const upstream = await Upstream.start(wrapping.fetch)
  return {
    name,
    gates,
    happened,
    wrapping,
    upstream,
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose](),
  }
}
type Behind = Awaited<ReturnType<typeof behind>>

type Host = 'handler' | 'upstream'
const quiet = () => undefined

/** A fresh node before the server. */
function proxy({ wrapping, upstream }: Behind, host: Host, store: Store, url = upstream.url): Durable {
  const logger = { error: quiet, warn: quiet, info: quiet, debug: quiet }
  const common = { store, logger, sweepMs: 50 }
  const mcp =
    host === 'handler'
      ? durable({ ...common, handler: wrapping.fetch })
      : durable({ ...common, upstream: url, passHeaders: ['authorization'] })
  return beside(store, mcp)
}

/** What the server has heard of messages in sessions. */
const heard = ({ upstream }: Behind) => upstream.requests.filter(({ body }) => !body.includes('"initialize"'))

const SYSTEMS = STORES.flatMap((kind) => (['handler', 'upstream'] as const).map((host) => ({ kind, host })))

describe.each(SYSTEMS)('a proxy with a $host, $kind', ({ kind, host }) => {
  test.each(['has heard', 'has not heard'])(
    'that %s what its server calls itself knows no session of another one',
    async (known) => {
      await using storage = openStorage(kind)
      await using shop = await behind('shop')
      await using admin = await behind('admin')
      const store = storage.forNode()
      const [first, other] = [proxy(shop, host, store), proxy(admin, host, storage.forNode())]
      if (known === 'has heard') await begin(other)
      const session = await begin(first)
      const id = await openCall(first, session)
      await shop.happened.until('shop works')
      const recorded = async () => JSON.stringify(await contentOf(store, [storedId(session)]))
      if (host === 'upstream')
        await waitFor(async () => (await recorded()).includes('proxy '), {
          what: 'its place at the upstream',
        })
      const link = await store.readValue(storedId(session), 'mcp-durable:upstream')
      const before = await contentOf(store, [storedId(session)])
      for (const [what, , ask] of ASKED) {
        const refused = await ask(other, session)
        expect(refused.status, what).toBe(404)
        await refused.body?.cancel()
      }
      expect((await send(other, 'GET', undefined, { ...session, 'last-event-id': id })).status).toBe(404)
      expect(await contentOf(store, [storedId(session)])).toEqual(before)
      expect(await store.readValue(storedId(session), 'mcp-durable:upstream')).toEqual(link)
      expect(
        heard(admin).every(({ method }) => method === 'DELETE'),
        'nothing but its own sessions ended',
      ).toBe(true)
      expect(await other.broadcast(CHANGED)).toBe(known === 'has heard' ? 1 : 0)
      shop.gates.open('work')
      expect(await resume(first, session, id)).toContain('done by shop')
      expect(admin.happened.all).toEqual([])
      for (const mcp of [first, other]) await mcp.close({ graceMs: 0 })
    },
  )

  test.each(ASKED)('%s is served by a node that has heard nothing yet', async (_what, status, ask) => {
    await using storage = openStorage(kind)
    await using shop = await behind('shop')
    shop.gates.open('work')
    const nodes = [proxy(shop, host, storage.forNode()), proxy(shop, host, storage.forNode())] as const
    const answer = await ask(nodes[1], await begin(nodes[0]))
    expect(answer.status).toBe(status)
    await answer.body?.cancel()
    for (const mcp of nodes) await mcp.close({ graceMs: 0 })
    const begun = shop.upstream.requests.filter(({ body }) => body.includes('"initialize"'))
    expect(begun).toHaveLength(host === 'upstream' ? 1 : 0)
  })

  test('a call whose node is gone waits for a node of its own server', async () => {
    await using storage = openStorage(kind)
    await using shop = await behind('shop')
    await using admin = await behind('admin')
    const store = storage.forNode()
    const [first, other] = [proxy(shop, host, storage.forNode()), proxy(admin, host, storage.forNode())]
    const session = await begin(first)
    const id = await openCall(first, session)
    await shop.happened.until('shop works')
    await first.close({ graceMs: 0 })
    const returned = async () => {
      const [content] = await contentOf(store, [storedId(session)])
      return JSON.stringify(content?.calls).includes('returned ')
    }
    await waitFor(returned, { what: 'the other server gives it back' })
    shop.gates.open('work')
    const next = proxy(shop, host, storage.forNode())
    expect(await resume(next, session, id)).toContain('done by shop')
    expect(admin.happened.all).toEqual([])
    for (const mcp of [other, next]) await mcp.close({ graceMs: 0 })
  })
})

test('an upstream at another URL that calls itself the same is the same', async () => {
  await using storage = openStorage('redis')
  await using shop = await behind('shop')
  await using admin = await behind('admin')
  shop.gates.open('work')
  const first = proxy(shop, 'upstream', storage.forNode())
  const session = await begin(first)
  const moved = proxy(shop, 'upstream', storage.forNode(), `${shop.upstream.url}?green`)
  expect(await (await post(moved, CALL, session)).text()).toContain('done by shop')
  expect(shop.wrapping.sessions.size, 'what was begun to ask is ended').toBe(1)
  await admin.upstream.cut()
  const [away, fresh] = [admin.upstream.url, `${shop.upstream.url}?blue`].map((url) =>
    proxy(shop, 'upstream', storage.forNode(), url),
  ) as [Durable, Durable]
  expect((await post(away, PING, session)).status, 'it can’t be asked').toBe(503)
  expect((await post(fresh, PING, session)).status).toBe(200)
  for (const mcp of [first, moved, away, fresh]) await mcp.close({ graceMs: 0 })
})

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

function token(claims: object) {
  const exp = Math.floor(Date.now() / 1000) + 3600
  const signed = `${base64url({ alg: 'HS256' })}.${base64url({ iss: 'https://issuer', sub: 'ann', exp, ...claims })}`
  return `Bearer ${signed}.${createHmac('sha256', 'the secret').update(signed).digest('base64url')}`
}

function isGenuine(authorization: string | null, audience: string) {
  const [, head = '', claims = '', signature] = /^Bearer (.+)\.(.+)\.(.+)$/.exec(authorization ?? '') ?? []
  if (createHmac('sha256', 'the secret').update(`${head}.${claims}`).digest('base64url') !== signature)
    return false
  return (JSON.parse(Buffer.from(claims, 'base64url').toString()) as { aud: string }).aud === audience
}

test.each(['has heard', 'has not heard'])(
  'a token that another server lets in is none for a session of this one; that one’s proxy %s its name',
  async (known) => {
    await using storage = openStorage('redis')
    await using shop = await behind('shop')
    await using admin = await behind('admin')
    for (const { name, upstream } of [shop, admin])
      upstream.instead = ({ headers }) =>
        isGenuine(headers.get('authorization'), name) ? undefined : new Response('', { status: 401 })
    const store = storage.forNode()
    const [first, other] = [proxy(shop, 'upstream', store), proxy(admin, 'upstream', storage.forNode())]
    const [forShop, forAdmin] = ['shop', 'admin'].map((aud) => ({ authorization: token({ aud }) })) as [
      { authorization: string },
      { authorization: string },
    ]
    if (known === 'has heard') await begin(other, forAdmin)
    const session = await begin(first, forShop)
    const callers = await store.readValue(storedId(session), 'mcp-durable:callers')
    expect((await post(other, PING, { ...session, ...forAdmin })).status).toBe(404)
    expect(await store.readValue(storedId(session), 'mcp-durable:callers')).toEqual(callers)
    expect((await post(first, PING, { ...session, ...forAdmin })).status).toBe(401)
    const again = proxy(shop, 'upstream', storage.forNode())
    expect((await post(again, PING, { ...session, ...forAdmin })).status).toBe(401)
    expect((await post(again, PING, session)).status).toBe(200)
    for (const mcp of [first, other, again]) await mcp.close({ graceMs: 0 })
  },
)
