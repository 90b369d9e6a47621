import { sessionState, sortedMap } from '@mcp-durable/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { waitFor } from '../../../test-support/index.js'
import { cli, json, out, startCli } from './support/cli.js'
import { Demo, named, short } from './support/demo.js'
import type { Booking } from './support/demo.js'

/** What the tool asks for, and what the tests put into state and maps: nothing of it may be seen unless asked for. */
const QUESTION = 'Which name shall the table'
const SECRET = 'correct horse'

let demo: Demo
let booking: Booking
beforeAll(async () => {
  demo = await Demo.start()
  const [a] = demo.nodes
  booking = await demo.book(a!)
  const state = sessionState(demo.store, booking.session.storedId)
  await state.set({ note: SECRET })
  await sortedMap(demo.store, 'notes').insert({ [`${SECRET} 1`]: Buffer.from(SECRET), b: Buffer.from([255]) })
})
afterAll(() => demo[Symbol.asyncDispose]())

describe('sessions', () => {
  test('lists them with client, status and open calls', async () => {
    const [head, row] = (await out(demo.url, 'sessions')).split('\n')
    expect(head).toMatch(/^SESSION +STATUS +CLIENT +PROTOCOL +PRINCIPAL +OPEN +EVENTS +AGE +ENDS IN$/)
    expect(row).toMatch(
      new RegExp(`^${short(booking.session.storedId)} +running +raw 1 +2025-11-25 +- +1 +5 `),
    )
  })

  test('as JSON, with full ids when asked', async () => {
    const { total, sessions } = await json<{
      total: number
      sessions: { id: string; openCalls: { call: string }[] }[]
    }>(demo.url, 'sessions', '--full-ids')
    expect(total).toBe(1)
    expect(sessions[0]).toMatchObject({
      id: booking.session.storedId,
      status: 'running',
      protocol: '2025-11-25',
    })
    expect(sessions[0]?.openCalls[0]?.call).toBe(booking.callId)
  })

  test('of a server with a name they are apart', async () => {
    const shop = demo.store.open({ name: 'shop' })
    const id = 'a'.repeat(22)
    const session = { id, principal: undefined, protocolVersion: '2025-11-25', ttlMs: 60_000 }
    const state = { key: 'initialize', data: '{"method":"initialize"}' }
    await shop.createSession({ ...session, state }, { maxPerPrincipal: 9 })
    expect(await json<{ sessions: { id: string }[] }>(demo.url, 'sessions', '--name', 'shop')).toMatchObject({
      sessions: [{ id: short(id) }],
    })
    expect(await out(demo.url, 'sessions')).not.toContain(short(id))
    const { stdout } = await cli(demo.url, 'doctor')
    expect(stdout).toContain('names: servers with a name, to be looked at with --name: shop')
    expect(await out(demo.url, 'clear', '--all', '--yes', '--name', 'shop')).toContain('deleted 1 session')
    expect(await out(demo.url, 'sessions', '--name', 'shop')).toBe(
      `no sessions under the prefix mcp:@shop at ${new URL(demo.url).host}\n`,
    )
    await shop.close()
  })

  test('of another prefix there are none', async () => {
    expect(await out(demo.url, 'sessions', '--prefix', 'other')).toBe(
      `no sessions under the prefix other at ${new URL(demo.url).host}\n`,
    )
  })
})

describe('session', () => {
  test('tells its history in order', async () => {
    const byClient = await out(demo.url, 'session', booking.session.id)
    expect(byClient, 'by the id that its client knows').toContain(short(booking.session.storedId))
    const text = await out(demo.url, 'session', short(booking.session.storedId))
    const order = [
      'client        initialize',
      'client        notifications/initialized',
      'tools/call book_table opened on ',
      'step hold a table done',
      'step charge the deposit begins, at most once',
      'step charge the deposit done',
      'asks elicitation/create',
    ].map((part) => text.indexOf(part))
    expect(order).not.toContain(-1)
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    expect(text).toContain('1 call kept, 1 open')
  })

  test('leaves older events out beyond the limit', async () => {
    const text = await out(demo.url, 'session', short(booking.session.storedId), '--limit', '2')
    expect(text).toContain('… 5 older events left out')
    expect(text).not.toContain('initialize\n')
  })

  test('as JSON', async () => {
    const session = await json<{ history: { source: string; kind?: string }[] }>(
      demo.url,
      'session',
      short(booking.session.storedId),
    )
    expect(session.history.map(({ source }) => source)).toEqual([
      'client',
      'client',
      ...Array(5).fill('call'),
    ])
    expect(session.history.at(-1)?.kind).toBe('question')
  })
})

describe('call', () => {
  test('shows where it runs, its steps with durations and what it waits for', async () => {
    const text = await out(demo.url, 'call', short(booking.callId))
    expect(text).toContain(`call ${short(booking.callId)}  tools/call book_table`)
    expect(text).toMatch(/open for [\d.]+ \w+.*, 1 run\n/)
    expect(text).toMatch(/\+0 ms {2}run 1 {2}tools\/call book_table opened on \S+:\d+ /)
    expect(text).toMatch(/step hold a table done in \d+ ms/)
    expect(text).toContain('elicitation/create waits for its answer')
  })

  test('as JSON: runs, steps and events', async () => {
    const call = await json<{
      attempts: unknown[]
      steps: { name: string; phase: string }[]
      events: { kind: string }[]
    }>(demo.url, 'call', short(booking.callId))
    expect(call).toMatchObject({ status: 'open', title: 'tools/call book_table' })
    expect(call.attempts).toHaveLength(1)
    expect(call.steps.map(({ name, phase }) => [name, phase])).toEqual([
      ['hold a table', 'done'],
      ['charge the deposit', 'done'],
    ])
    expect(call.events.map(({ kind }) => kind)).toEqual([
      'opened',
      'step-done',
      'step-started',
      'step-done',
      'question',
    ])
  })
})

describe('state and map', () => {
  test('state shows keys, and values when asked', async () => {
    const id = short(booking.session.storedId)
    expect(await out(demo.url, 'state', id)).toMatch(/^KEY +VERSION +VALUE\ndefault +1 +‹\d+ B›\n$/)
    expect(await out(demo.url, 'state', id, '--show-payloads')).toContain(`{"note":"${SECRET}"}`)
    expect(await out(demo.url, 'state', id, 'other')).toBe('no state under the key other\n')
  })

  test('map lists maps, and pages through one', async () => {
    expect(await out(demo.url, 'map')).toMatch(/^MAP +ENTRIES\nnotes +2\n$/)
    const all = await json<{ entries: { key: string; value: string }[] }>(
      demo.url,
      'map',
      'notes',
      '--show-payloads',
    )
    expect(all.entries).toEqual([
      { key: 'b', value: 'base64:/w==' },
      { key: `${SECRET} 1`, value: SECRET },
    ])
    const rest = await json<{ entries: unknown[] }>(
      demo.url,
      'map',
      'notes',
      '--after',
      'b',
      '--show-payloads',
    )
    expect(rest.entries).toEqual(all.entries.slice(1))
    const last = await json<{ entries: unknown[] }>(
      demo.url,
      'map',
      'notes',
      '--reverse',
      '--limit',
      '1',
      '--show-payloads',
    )
    expect(last.entries).toEqual(all.entries.slice(1))
  })
})

describe('export', () => {
  test('writes the session, its events and its state as JSON Lines', async () => {
    const text = await out(
      demo.url,
      'export',
      short(booking.session.storedId),
      '--show-payloads',
      '--full-ids',
    )
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { source: string; payload?: unknown })
    expect(lines.map(({ source }) => source)).toEqual([
      'session',
      'client',
      'client',
      ...Array(5).fill('call'),
      'state',
    ])
    expect(lines[0]).toMatchObject({ id: booking.session.storedId })
    expect(lines.at(-1)?.payload).toEqual({ note: SECRET })
  })
})

describe('what is shown of the users', () => {
  const commands = () => {
    const session = short(booking.session.storedId)
    return [
      ['sessions'],
      ['session', session],
      ['call', short(booking.callId)],
      ['state', session],
      ['map', 'notes'],
      ['export', session],
      ['doctor'],
      ['monitor', '--count', '2', '--interval', '100'],
    ]
  }

  test('no payload and no whole id without being asked', async () => {
    for (const command of commands()) {
      for (const args of [command, [...command, '--json']]) {
        const { stdout, stderr } = await cli(demo.url, ...args)
        const shown = { args, text: stdout + stderr }
        expect(shown.text).not.toBe('')
        for (const secret of [QUESTION, SECRET, booking.session.storedId, booking.callId]) {
          expect({ ...shown, leaks: shown.text.includes(secret) ? secret : undefined }).toMatchObject({
            leaks: undefined,
          })
        }
      }
    }
  })

  test('payloads and whole ids when asked', async () => {
    const text = await out(
      demo.url,
      'session',
      short(booking.session.storedId),
      '--show-payloads',
      '--full-ids',
    )
    expect(text).toContain(QUESTION)
    expect(text).toContain(booking.callId)
  })
})

describe('tail', () => {
  test('follows a call over its answer to its end', async () => {
    const [a, b] = demo.nodes
    const other = await demo.book(a!)
    await using tail = await startCli(demo.url, 'tail', short(other.callId), '-n', '1')
    await waitFor(() => tail.output.includes('asks elicitation/create'), { what: 'the last event' })
    expect(tail.output).not.toContain('opened')
    await other.answer(b!, 'Ada')
    await tail.exited
    expect(tail.output).toMatch(/the answer to question|step ask for the name done/)
    expect(tail.output).toMatch(/step confirm done[^]*ends with a result after/)
    expect((await tail.exited).code).toBe(0)
    expect(await out(demo.url, 'call', short(other.callId))).toMatch(/\ndone with result after .*, 1 run\n/)
    await (await other.session.delete(named(a!))).text()
  })

  test('ends with its session', async () => {
    const [a] = demo.nodes
    const session = await demo.begin(a!)
    await using tail = await startCli(demo.url, 'tail', short(session.storedId), '--json')
    await waitFor(() => tail.output.includes('notifications/initialized'), { what: 'the history' })
    await (await session.delete(named(a!))).text()
    expect((await tail.exited).code).toBe(0)
    expect(tail.output).toContain('the session has ended')
  })
})

describe('errors say what to do next', () => {
  test('no Redis there', async () => {
    const { code, stderr } = await cli('redis://127.0.0.1:1', 'sessions')
    expect(code).toBe(1)
    expect(stderr).toContain('error: no Redis answers at 127.0.0.1:1')
    expect(stderr).toContain('--redis redis://HOST:PORT')
  })

  test('a wrong password, and none of it on the screen', async () => {
    await demo.client.config('SET', 'requirepass', 'letmein')
    const asked = demo.url.replace('//', '//:wrongpass@')
    const { code, stderr } = await cli(asked, 'sessions')
    await demo.client.config('SET', 'requirepass', '')
    expect(code).toBe(1)
    expect(stderr).toContain('redis://USER:PASSWORD@HOST:PORT')
    expect(stderr).not.toContain('wrongpass')
  })

  test('an unknown session and an unknown call', async () => {
    const session = await cli(demo.url, 'session', 'nothing')
    expect(session).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("there is no session 'nothing'") as string,
    })
    expect(session.stderr).toContain('mcp-durable sessions lists')
    expect((await cli(demo.url, 'call', 'nothing')).stderr).toContain("there is no call 'nothing'")
  })

  test('a short id that may be several', async () => {
    const state = { key: 'initialize', data: '{}' }
    const ids = ['twins-one', 'twins-two']
    for (const id of ids) {
      await demo.store.createSession(
        { id, principal: undefined, protocolVersion: '2025-11-25', state, ttlMs: 60_000 },
        { maxPerPrincipal: 9 },
      )
    }
    const { code, stderr } = await cli(demo.url, 'session', 'twins')
    expect(code).toBe(1)
    expect(stderr).toMatch(/'twins' may be any of 2 sessions: twins-.*, twins-.*\n {2}Give more of the id\./)
    expect(await out(demo.url, 'session', 'twins-o')).toContain('session twins-…')
    for (const id of ids) await demo.store.deleteSession(id, undefined)
  })

  test('a wrong command line', async () => {
    for (const args of [
      ['nothing'],
      ['session'],
      ['sessions', '--limit', 'x'],
      ['sessions', '--nothing'],
      ['call', 'a', 'b'],
    ]) {
      const { code, stderr } = await cli(demo.url, ...args)
      expect({ args, code }).toEqual({ args, code: 2 })
      expect(stderr).toContain('--help')
    }
  })

  test('help and version', async () => {
    const help = await out(demo.url, '--help')
    for (const command of [
      'monitor',
      'sessions',
      'session ID',
      'call ID',
      'tail ID',
      'state ID',
      'map',
      'export ID',
      'replay CALL… --code FILE',
      'clear',
      'doctor',
    ]) {
      expect(help).toContain(`  ${command}`)
    }
    expect(await out(demo.url, 'doctor', '--help')).toContain('usage: mcp-durable doctor [options]')
    expect(await out(demo.url, '--version')).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})
