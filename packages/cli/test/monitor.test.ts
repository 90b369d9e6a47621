import { expect, test } from 'vitest'
import { Terminal, waitFor } from '../../../test-support/index.js'
import { MAIN, startCli } from './support/cli.js'
import { Demo, named, short } from './support/demo.js'
import { keepScreen } from './support/screens.js'

const WIDE = { columns: 120, rows: 32 }
const SMALL = { columns: 60, rows: 16 }
/** With a space, so that no id holds it by chance. */
const NAME = 'Ada Lovelace'

function monitor(url: string, size: { columns: number; rows: number }, ...args: string[]) {
  const env = { REDIS_URL: url, FORCE_COLOR: '1' }
  return Terminal.start([process.execPath, MAIN, 'monitor', '--interval', '200', ...args], { ...size, env })
}

test('a takeover on the screen, then the call to its end, then quit', async () => {
  await using demo = await Demo.start()
  const [a, b] = demo.nodes
  const booking = await demo.book(a!)
  await using terminal = await monitor(demo.url, WIDE)
  const before = await terminal.shows(/asks elicitation\/create.* ago/)
  expect(before).toMatch(/^ mcp-durable {2}127\.0\.0\.1:\d+ {2}prefix mcp +\d\d:\d\d:\d\d/)
  expect(before).toContain('2 nodes  1 session  1 open call')
  expect(before).toMatch(new RegExp(`${short(booking.callId)} +tools/call book_table .*:${a!.pid} +1 `))
  expect(before).toMatch(new RegExp(`${short(booking.session.storedId)} +running +raw 1 +2025-11-25`))

  await a!.kill('SIGKILL')
  const taken = await terminal.shows(/taken over by \S+ from .* ago/)
  expect(taken).toMatch(new RegExp(`${short(booking.callId)} +tools/call book_table .*:${b!.pid} +2 `))
  await terminal.shows(/1 takeover, the last .* ago/)
  await terminal.shows(/\bgone\b/)
  await keepScreen('monitor', terminal, WIDE)

  // The session is chosen already; it is followed.
  await terminal.press('Enter')
  await terminal.shows(/standalone|running, 8 events/)
  await booking.answer(b!, NAME)
  const ended = await terminal.shows('ends with a result')
  expect(ended).toMatch(
    /taken over by [^]*step ask for the name done[^]*step confirm done[^]*ends with a result/,
  )
  expect(ended).not.toContain(NAME)
  await keepScreen('session', terminal, WIDE)
  await terminal.press('Escape')
  await terminal.shows('no open calls')
  await terminal.press('q')
  await terminal.shows('ended with 0')
})

test('keys: tables, filter, order, help, clear one, clear all', async () => {
  await using demo = await Demo.start({ nodes: 1 })
  const [a] = demo.nodes
  const bookings = [await demo.book(a!), await demo.book(a!), await demo.book(a!)]
  await using terminal = await monitor(demo.url, WIDE)
  await terminal.shows('3 sessions  3 open calls')

  await terminal.press('?')
  await terminal.shows('C                 clear all sessions and calls: asks first')
  await terminal.press('x')
  await terminal.shows('q quit')

  const first = bookings[0]!.session.storedId.slice(0, 6)
  await terminal.press('/')
  await terminal.type(first)
  await terminal.press('Enter')
  const filtered = await terminal.shows(`filter: ${first}`)
  expect(filtered.match(/book_table/g)).toHaveLength(1)
  await terminal.press('Escape')
  await terminal.shows(/(book_table[^]*){3}/)

  // To the calls, to be ordered by another column, and one of them opened.
  await terminal.press('BTab')
  await terminal.press('s')
  await terminal.shows('OWNER↓')
  await terminal.press('r')
  await terminal.shows('OWNER↑')
  await terminal.press('Down', 'Enter')
  const open = await terminal.shows(/session \S+ {2}call \S+ {2}running, 5 events/)
  expect(open).not.toContain('notifications/initialized')
  await terminal.press('Escape', 'Tab')

  await terminal.press('c')
  await terminal.shows(/Delete session \S+ with 1 open call\? y deletes/)
  await terminal.press('n')
  await terminal.shows('nothing was deleted')
  await terminal.press('c', 'y')
  await terminal.shows('deleted 1 session with 1 open call')
  await terminal.shows('2 sessions  2 open calls')
  await terminal.press('C')
  await terminal.shows('Delete all 2 sessions, and all calls, under the prefix mcp at 127.0.0.1:')
  await terminal.press('y')
  await terminal.shows('deleted 2 sessions with 2 open calls')
  await terminal.shows(/0 sessions {2}0 open calls/)
  await terminal.shows('no sessions')
  await terminal.press('C-c')
  await terminal.shows('ended with 0')
})

test('a small terminal has the same with fewer columns, and a resize draws anew', async () => {
  await using demo = await Demo.start()
  const [a] = demo.nodes
  for (let i = 0; i < 8; i++) await demo.begin(a!)
  const booking = await demo.book(a!)
  await using terminal = await monitor(demo.url, SMALL)
  const small = await terminal.shows(/RUN[^]*asks elicit/)
  const lines = small.trimEnd().split('\n')
  expect(lines).toHaveLength(SMALL.rows)
  expect(lines.at(-1)).toMatch(/^q quit.*…$/)
  expect(small).toContain(short(booking.session.storedId))
  expect(small).toMatch(/\(\d+ more\)/)
  expect(small).not.toContain('PROTOCOL')
  await keepScreen('monitor-small', terminal, SMALL)

  await terminal.resize(WIDE.columns, WIDE.rows)
  const wide = await terminal.shows('PROTOCOL')
  expect(wide.trimEnd().split('\n')).toHaveLength(WIDE.rows)
  expect(wide).not.toContain('more)')
  await terminal.resize(40, 8)
  const tiny = await terminal.shows(/^ mcp-durable.*\n9|^ mcp-durable.*\n2 nodes/)
  expect(tiny.trimEnd().split('\n').length).toBeLessThanOrEqual(8)
  await terminal.press('q')
  await terminal.shows('ended with 0')
})

test('while Redis is away the screen says so, and goes on when it is back', async () => {
  await using demo = await Demo.start({ nodes: 1, aof: 'always' })
  await demo.begin(demo.nodes[0]!)
  await using terminal = await monitor(demo.url, WIDE)
  await terminal.shows('1 session')
  await demo.redis.kill()
  const away = await terminal.shows('the store is away')
  expect(away).toContain('idle')
  await demo.redis.restart()
  await terminal.shows(/^.*\n1 node {2}1 session/)
  await terminal.press('q')
  await terminal.shows('ended with 0')
})

test('without a terminal: a line for each change', async () => {
  await using demo = await Demo.start()
  const [a, b] = demo.nodes
  await using lines = await startCli(demo.url, 'monitor', '--interval', '100')
  await waitFor(() => lines.output.match(/is alive/g)?.length === 2, { what: 'two nodes' })
  const booking = await demo.book(a!)
  await waitFor(() => /call \S+ .*asks elicitation\/create/.test(lines.output), { what: 'the call' })
  expect(lines.output).toContain(`session ${short(booking.session.storedId)} is there`)
  await a!.kill('SIGKILL')
  await waitFor(() => lines.output.includes('tools/call book_table was taken over by'), {
    what: 'the takeover',
  })
  await booking.answer(b!, 'Ada')
  await waitFor(() => lines.output.includes('tools/call book_table has ended after'), { what: 'the end' })
  await (await booking.session.delete(named(b!))).text()
  await waitFor(() => lines.output.includes('has ended or is not among'), { what: 'the end of the session' })
  expect((await lines.kill('SIGTERM')).code).toBe(0)
})

test('as JSON Lines', async () => {
  await using demo = await Demo.start({ nodes: 1 })
  const booking = await demo.book(demo.nodes[0]!)
  await using lines = await startCli(demo.url, 'monitor', '--json', '--count', '3', '--interval', '100')
  expect((await lines.exited).code).toBe(0)
  const snapshots = lines.output
    .trim()
    .split('\n')
    .map(
      (line) => JSON.parse(line) as { nodes: object[]; calls: object[]; sessions: object[]; rates: object },
    )
  expect(snapshots).toHaveLength(3)
  expect(snapshots.at(-1)).toMatchObject({
    nodes: [{ state: 'alive', calls: 1 }],
    calls: [{ call: short(booking.callId), title: 'tools/call book_table', attempt: 1, waits: true }],
    sessions: [{ id: short(booking.session.storedId), status: 'running' }],
    rates: { takeovers: 0 },
  })
})

test('other commands on a screen', async () => {
  await using demo = await Demo.start({ config: { 'maxmemory-policy': 'allkeys-lru' } })
  const [a, b] = demo.nodes
  const booking = await demo.book(a!)
  await a!.kill('SIGKILL')
  await waitFor(async () =>
    (await demo.store.listOpenCalls(booking.session.storedId)).every(({ owner }) => owner !== ''),
  )
  await booking.answer(b!, 'Ada')
  await waitFor(async () => (await demo.store.listOpenCalls(booking.session.storedId)).length === 0)
  for (const [name, args, rows, shown] of [
    ['call', ['call', short(booking.callId)], 17, 'taken over'],
    ['doctor', ['doctor'], 30, 'noeviction'],
  ] as const) {
    const env = { REDIS_URL: demo.url, FORCE_COLOR: '1' }
    const size = { columns: 130, rows }
    await using terminal = await Terminal.start([process.execPath, MAIN, ...args], { ...size, env })
    await terminal.shows(shown)
    await terminal.shows('ended with')
    await keepScreen(name, terminal, size)
  }
})
