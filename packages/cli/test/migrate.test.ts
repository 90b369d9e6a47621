import { stat } from 'node:fs/promises'
import { redisStore } from '@mcp-durable/redis-store'
import { transferRedis } from '@mcp-durable/redis-store/transfer'
import { file } from '@mcp-durable/sqlite-store'
import { openReadOnly } from '@mcp-durable/sqlite-store/inspect'
import { openTarget, transferSqlite } from '@mcp-durable/sqlite-store/transfer'
import { expect, test } from 'vitest'
import { fill } from '../../redis-store/test/filled-store.js'
import { spawnNode } from '../../../test-support/index.js'
import { Tally } from '../src/migrate/tally.js'
import { RawSession } from '../../../tests/support/raw.js'
import { cli, json, out, startCli } from './support/cli.js'
import { Booking, named } from './support/demo.js'
import { Gate } from './support/gate.js'
import { twoRedises } from './support/two-redises.js'

const { url, client, inFolder } = twoRedises()
const ways = () => ['--from', url(0), '--to', url(1)]
const move = (...more: string[]) => cli(url(0), 'migrate', ...ways(), ...more)

/** Without what the clock changes. */
async function sessionsOf(which: 0 | 1) {
  const { sessions } = await json<{ sessions: object[] }>(url(which), 'sessions', '--full-ids')
  return sessions.map((session) => ({ ...session, ageMs: 0, expiresInMs: 0 }))
}

async function tallyOf(which: 0 | 1) {
  const tally = new Tally()
  for await (const piece of transferRedis(client(which)).pieces()) tally.add(piece)
  return [tally.counts, tally.digest]
}

async function filled(name?: string) {
  const store = redisStore(client(0))
  await fill(name === undefined ? store : store.open({ name }))
  await store.close()
}

test('everything is moved, of all names, and the source stays as it was', async () => {
  await filled()
  await filled('shop')
  const before = await sessionsOf(0)
  const { moved } = await json<{ moved: Record<string, number> }>(url(0), 'migrate', ...ways())
  expect(moved).toMatchObject({ sessions: 6, calls: 10, maps: 902 })
  expect(await sessionsOf(1)).toEqual(before)
  expect(await out(url(1), 'map', '--name', 'shop', '--show-payloads')).toContain('stock')
  expect(await out(url(1), 'map')).not.toContain('unfinished')
  expect(await client(0).dbsize()).toBeGreaterThan(60)
  const again = await move()
  expect(again.code).toBe(1)
  expect(again.stderr).toMatch(/^error: 127\.0\.0\.1:\d+, prefix mcp is not empty: it holds /)
})

test('to a file and back nothing is changed', async () => {
  await filled()
  await filled('shop')
  const path = inFolder('mcp.db')
  const there = await json<{ moved: object }>(url(0), 'migrate', '--from', url(0), '--to', `sqlite:${path}`)
  const back = await json<{ moved: object }>(url(0), 'migrate', '--from', `sqlite:${path}`, '--to', url(1))
  expect(back.moved).toEqual(there.moved)
  expect(await tallyOf(1)).toEqual(await tallyOf(0))
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await out(url(1), 'map', '--sqlite', path, '--name', 'shop')).toContain('stock')
  // Whose a history is stays known, also of a session that is over.
  const store = redisStore(client(1))
  expect(await store.history('over', { limit: 9 })).toHaveLength(1)
  await store.forget({ principal: 'ann' })
  expect(await store.history('over', { limit: 9 })).toEqual([])
  await store.close()
})

test('a file that was filled from Redis forgets a principal as it would have there', async () => {
  await filled()
  const path = inFolder('other.db')
  await out(url(0), 'migrate', '--from', url(0), '--to', `sqlite:${path}`)
  const store = file(path)
  expect(await store.history('over', { limit: 9 })).toHaveLength(1)
  await store.forget({ principal: 'ann' })
  expect(await store.history('over', { limit: 9 })).toEqual([])
  await store.close()
})

test('a call of a node that was killed over a file goes on over Redis, for the same client', async () => {
  const path = inFolder('running.db')
  const start = (...store: string[]) =>
    spawnNode('examples/dist/demo/node.js', [...store, '--ledger', inFolder('ledger')])
  const before = await start('--file', path)
  const session = await RawSession.begin(named(before), '2025-11-25', { elicitation: {} })
  const stream = await session.call(named(before), 'book_table')
  const asked = await stream.events.first(({ data }) => data.includes('elicitation/create'))
  await before.kill('SIGKILL')
  // It is dead for sure, so nobody has to wait for its lease.
  await out(url(0), 'migrate', '--from', `sqlite:${path}`, '--to', url(1), '--lease', '1')
  const after = await start('--redis', url(1))
  const booking = new Booking(session, stream, asked)
  await booking.answer(after, 'Ann')
  const resumed = await session.get(named(after), asked.id)
  const { data } = await resumed.events.first(({ data: text }) => text.includes('"result"'))
  expect(JSON.parse(data)).toMatchObject({ id: 1, result: { content: [{ type: 'text' }] } })
  expect(data).toContain('Ann')
  await after.kill('SIGKILL')
})

test('from one file to another one', async () => {
  const [from, to] = [inFolder('from.db'), inFolder('to.db')]
  const store = file(from)
  await fill(store)
  await store.close()
  const both = ['--from', `sqlite:${from}`, '--to', `sqlite:${to}`]
  expect(await out(url(0), 'migrate', ...both)).toContain('moved 3 sessions, 5 calls')
  expect((await cli(url(0), 'migrate', ...both)).stderr).toContain('to.db is not empty')
  const nothing = await cli(url(0), 'migrate', '--from', `sqlite:${inFolder('none.db')}`, '--to', url(1))
  expect(nothing.stderr).toContain('there is no file')
  const others = inFolder('others.db')
  const database = openTarget(others)
  database.exec('PRAGMA user_version = 0')
  database.close()
  const beside = await cli(url(0), 'migrate', '--from', `sqlite:${from}`, '--to', `sqlite:${others}`)
  expect(beside.stderr).toContain('of another program')
  const noFolder = `sqlite:${inFolder('none/to.db')}`
  expect((await cli(url(0), 'migrate', '--from', `sqlite:${from}`, '--to', noFolder)).stderr).toContain(
    'there is no folder',
  )
})

test('while a node may run, on either side, nothing is moved', async () => {
  await filled()
  for (const which of [0, 1] as const) {
    const store = redisStore(client(which))
    await store.beat('alive', '{"host":"here","pid":7,"clock":0,"startedAt":0}')
    const { code, stderr } = await move()
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^error: 1 node of 127\.0\.0\.1:\d+, prefix mcp may be running: here:7\.\n {2}Stop every process/,
    )
    await store.leave('alive')
    await store.removeNode('alive', 0)
    await store.close()
  }
  expect(await client(1).dbsize()).toBe(0)
})

test('what was interrupted is finished when it is begun again, from the same source only', async () => {
  await filled()
  const target = redisStore(client(1))
  const where = `127.0.0.1:${new URL(url(0)).port}, prefix mcp`
  await target.changeMap('mcp-durable:unfinished-migration', { set: [['from', where]], remove: [] })
  const source = transferRedis(client(0))
  let pieces = 0
  for await (const piece of source.pieces()) if (pieces++ % 2 === 0) await transferRedis(client(1)).put(piece)
  const other = await cli(url(0), 'migrate', '--from', url(0), '--to', url(1), '--prefix', 'other')
  expect(other.code).toBe(0)
  const back = await cli(url(0), 'migrate', '--from', url(1), '--to', url(0))
  expect(back.stderr).toContain('is itself the target of a migration that was not finished')

  expect(await move()).toMatchObject({ code: 0, stderr: '' })
  expect(await target.readMap('mcp-durable:unfinished-migration', ['from'])).toEqual([undefined])
  expect(await target.readMap('stock', ['key 9'])).toEqual(['value 9'])
  await target.close()
})

/** All that is under any name, and what keeps it. */
async function contentsOf(which: 0 | 1 | string) {
  const tally = new Tally()
  if (typeof which !== 'string') {
    for (const name of NAMES)
      for await (const piece of transferRedis(client(which), { name }).pieces()) tally.add(piece)
    return [tally.counts, tally.digest, (await client(which).keys('*')).toSorted()]
  }
  const database = openReadOnly(which)
  try {
    for (const name of NAMES)
      for await (const piece of transferSqlite(database, { name }).pieces()) tally.add(piece)
    return [tally.counts, tally.digest]
  } finally {
    database.close()
  }
}
const NAMES = [undefined, 'shop']

/** All that it holds; of a Redis also until when. */
async function sourceAsItIs(source: 0 | string) {
  if (typeof source === 'string') return contentsOf(source)
  const keys = (await client(source).keys('*')).toSorted()
  const until = await Promise.all(keys.map((key) => client(source).call('PEXPIRETIME', key)))
  return [await contentsOf(source), until]
}

test.each([
  { from: 'redis', to: 'redis' },
  { from: 'file', to: 'redis' },
  { from: 'redis', to: 'file' },
])(
  'killed at any moment and begun again it ends as if nothing had been: $from to $to',
  async ({ from, to }) => {
    const [source, whole, target] = ['source', 'whole', 'target'].map((name) =>
      inFolder(`${from}-${to}-${name}.db`),
    ) as [string, string, string]
    const filledSource = from === 'file' ? source : 0
    const store = from === 'file' ? file(source) : redisStore(client(0))
    const shop = store.open({ name: 'shop' })
    for (const part of [store, shop]) await fill(part)
    for (const part of [shop, store]) await part.close()
    const before = await sourceAsItIs(filledSource)
    await using gate = await Gate.before(url(to === 'redis' ? 1 : 0))
    const ends = (path: string) => [
      '--from',
      from === 'file' ? `sqlite:${source}` : to === 'redis' ? url(0) : gate.url,
      '--to',
      to === 'file' ? `sqlite:${path}` : gate.url,
    ]
    await out(url(0), 'migrate', ...ends(whole))
    const { bytes } = gate
    const wanted = await contentsOf(to === 'file' ? whole : 1)
    if (to === 'redis') await client(1).flushall()
    for (const part of [0.1, 0.5, 0.9]) {
      let kill = () => undefined as void
      gate.open(Math.ceil(bytes * part), () => kill())
      const child = await startCli(url(0), 'migrate', ...ends(target))
      kill = () => void child.kill('SIGKILL')
      expect(await child.exited, child.output).toEqual({ code: null, signal: 'SIGKILL' })
    }
    gate.open()
    expect(await out(url(0), 'migrate', ...ends(target))).toContain('read back and holds the same')
    expect(await contentsOf(to === 'file' ? target : 1)).toEqual(wanted)
    expect(await sourceAsItIs(filledSource)).toEqual(before)
  },
)

test('what was used before it was whole is not finished, nor is one of another source', async () => {
  await filled()
  const target = redisStore(client(1))
  const mark = (from: string) =>
    target.changeMap('mcp-durable:unfinished-migration', { set: [['from', from]], remove: [] })
  await mark('somewhere')
  expect((await move()).stderr).toContain('holds a part of what was moved from somewhere')
  await mark(`127.0.0.1:${new URL(url(0)).port}, prefix mcp`)
  await target.beat('early')
  await target.leave('early')
  expect((await move()).stderr).toContain('was used before all was moved there')
  await target.close()
})

test('a target on which nodes have come and gone is empty, also when it is begun again', async () => {
  await filled()
  const target = redisStore(client(1))
  for (const node of ['tried', 'tried again']) {
    await target.beat(node, '{"host":"here","pid":7,"clock":0,"startedAt":0}')
    await target.leave(node)
  }
  await using gate = await Gate.before(url(1))
  const ends = ['--from', url(0), '--to', gate.url]
  let kill = () => undefined as void
  gate.open(50_000, () => kill())
  const child = await startCli(url(0), 'migrate', ...ends)
  kill = () => void child.kill('SIGKILL')
  expect(await child.exited, child.output).toMatchObject({ signal: 'SIGKILL' })
  expect(await target.readMap('mcp-durable:unfinished-migration', ['from'])).not.toEqual([undefined])
  gate.open()
  expect(await cli(url(0), 'migrate', ...ends)).toMatchObject({ code: 0, stderr: '' })
  expect((await target.listNodes()).map(({ node }) => node).toSorted()).toEqual(['gone', 'left'])
  await target.close()
})

test('two databases of one server are two stores', async () => {
  await filled()
  const [first, second] = [`${url(0)}/0`, `${url(0)}/1`]
  const moved = await out(url(0), 'migrate', '--from', first, '--to', second)
  const { host } = new URL(url(0))
  expect(moved).toContain(`start the nodes on ${host}/1, prefix mcp; delete ${host}, prefix mcp when`)
  const target = redisStore(client(1))
  const from = `${host}, prefix mcp`
  await target.changeMap('mcp-durable:unfinished-migration', { set: [['from', from]], remove: [] })
  await target.close()
  const other = await cli(url(0), 'migrate', '--from', second, '--to', url(1))
  expect(other.stderr).toContain(`holds a part of what was moved from ${from}.`)
})

test('an empty store is not moved into itself, whatever it is called', async () => {
  const same = url(0).replace('127.0.0.1', 'localhost')
  const { code, stderr } = await cli(url(0), 'migrate', '--from', url(0), '--to', same)
  expect(code).toBe(1)
  expect(stderr).toContain('are the same store')
  const store = redisStore(client(0))
  expect(await store.readMap('mcp-durable:unfinished-migration', ['from'])).toEqual([undefined])
  await store.close()
})

test('a target that holds more than the source is told of', async () => {
  await filled()
  const target = redisStore(client(1))
  const from = `127.0.0.1:${new URL(url(0)).port}, prefix mcp`
  await target.changeMap('mcp-durable:unfinished-migration', { set: [['from', from]], remove: [] })
  await target.changeMap('another', { set: [['a', 'b']], remove: [] })
  const { code, stderr } = await move()
  expect(code).toBe(1)
  expect(stderr).toContain('does not hold the same as the source')
  await target.close()
})

test('a wrong command line says what is missing', async () => {
  const bad = await cli(url(0), 'migrate', '--from', url(0))
  expect(bad).toMatchObject({ code: 2 })
  expect(bad.stderr).toContain('migrate needs --from STORE and --to STORE.')
  expect((await cli(url(0), 'migrate', '--from', url(0), '--to', url(0))).stderr).toContain(
    'are the same store',
  )
  const nowhere = await cli(url(0), 'migrate', '--from', url(0), '--to', 'redis://127.0.0.1:1')
  expect(nowhere.stderr).toContain('no Redis answers at 127.0.0.1:1')
})
