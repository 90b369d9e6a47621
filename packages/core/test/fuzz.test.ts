import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { anything, isHeader, message, usually } from './support/arbitrary.js'
import { EventReader, messagesOf } from './support/event-reader.js'
import { untilRemembered } from './support/expect-stream.js'
import { startNodes } from './support/nodes.js'
import type { Nodes } from './support/nodes.js'
import { BOTH, headersOf, LATEST, Session } from './support/session.js'
import { contentOf } from './support/store-content.js'
import { within } from './support/within.js'

const SEED = Number(process.env['FUZZ_SEED'] ?? 20_251_125)
const BUDGET_MS = Number(process.env['FUZZ_MS'] ?? 3_500)
const RUNS = BUDGET_MS
const SHRINK_MS = 20_000
const ANSWER_MS = 3_000
const SECRET = 'of another session'
const POST = { 'content-type': 'application/json', accept: BOTH }
const REFUSALS = new Set([400, 403, 404, 405, 406, 410, 413, 415, 429])

/**
 * On failure fast-check prints seed and path; `FUZZ_SEED` and `FUZZ_MS` run it again or longer. Past its budget
 * a property does nothing more; fast-check's own limit would leave a run that hangs, and count it as passed.
 */
function run<T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => Promise<void>) {
  const until = Date.now() + BUDGET_MS
  let failing = false
  const property = fc.asyncProperty(arbitrary, async (value) => {
    if (Date.now() > until + (failing ? SHRINK_MS : 0)) return
    // Else the timers of the nodes, heartbeats among them, would have to wait until the end.
    await new Promise((resolve) => setImmediate(resolve))
    try {
      await holds(value)
    } catch (error) {
      failing = true
      throw error
    }
  })
  return fc.assert(property, { seed: SEED, numRuns: RUNS })
}

let nodes: Nodes
let session: Session
let victim: Session
/** Ids of events of the session, and of one that is none of its business. */
let own: string[]
let foreign: string[]
const rejections: unknown[] = []
const note = (reason: unknown) => void rejections.push(reason)

beforeAll(async () => {
  process.on('unhandledRejection', note)
  nodes = await startNodes({ settings: { maxBodyBytes: 100_000 } })
  victim = await Session.begin(nodes, { who: 'victim/1' })
  session = await Session.begin(nodes, { version: '2025-03-26' })
  foreign = await eventIds(victim, SECRET)
  own = await eventIds(session, 'mine')
})

afterAll(async () => {
  await nodes[Symbol.asyncDispose]()
  process.off('unhandledRejection', note)
  expect(rejections).toEqual([])
})

async function eventIds(of: Session, text: string) {
  await nodes.mcp(0).notify(of.id, { method: 'notifications/message', params: { level: 'info', data: text } })
  await using call = await of.call('echo', { text })
  await using standalone = await of.stream()
  await standalone.nextMessage()
  await untilRemembered(nodes.stores[0], of, standalone)
  return [...(await call.rest()), ...standalone.seen].map(({ id = '' }) => id)
}

/** Sends one request and holds it to what holds for all: an end, never a 500, nothing of others, and no trace of what was refused. */
async function expectDecent(send: (node: number) => Promise<Response>) {
  for (const node of [0, 1]) {
    const before = await contentOf(nodes.stores[0]!)
    const response = await within(send(node), 'an answer', ANSWER_MS)
    if (response.status >= 400) {
      expect(REFUSALS).toContain(response.status)
      const body = JSON.parse(await response.text()) as { error: { code: number } }
      expect(body).toMatchObject({ jsonrpc: '2.0', error: { code: expect.any(Number) as number } })
      expect(await contentOf(nodes.stores[0]!)).toEqual(before)
    } else {
      expect([200, 202, 204]).toContain(response.status)
      expect(await shown(response)).not.toContain(SECRET)
    }
  }
  expect(rejections).toEqual([])
  expect(nodes.logs.filter(({ level }) => level === 'error')).toEqual([])
}

/** What the client gets to see. */
async function shown(response: Response): Promise<string> {
  if (response.headers.get('content-type') !== 'text/event-stream') return response.text()
  await using reader = new EventReader(response)
  return JSON.stringify(messagesOf(await within(untilQuiet(reader), 'the rest of a stream', ANSWER_MS)))
}

/** A stream that ends, or one that has said what it has to say: a message sent to it by us comes after all of that. */
async function untilQuiet(reader: EventReader) {
  const mark = `mark ${Math.random()}`
  await nodes
    .mcp(0)
    .notify(session.id, { method: 'notifications/message', params: { level: 'info', data: mark } })
  for (;;) {
    const event = await reader.next()
    if (!event || event.data.includes(mark)) return reader.seen
  }
}

const LIMIT = { timeout: BUDGET_MS + SHRINK_MS + 30_000 }

describe('[B-2] never a 500, a hang, a crash, or what belongs to others', () => {
  test('bodies that are messages, nearly', LIMIT, async () => {
    await run(message, (body) => expectDecent((node) => session.post(body, { node })))
  })

  test('batches', LIMIT, async () => {
    const batch = fc.array(usually(message, anything), { maxLength: 5 })
    await run(batch, (body) => expectDecent((node) => session.post(body, { node })))
  })

  test('bodies that are anything, and broken messages', LIMIT, async () => {
    const valid = message.map((one) => JSON.stringify(one))
    const cut = fc.tuple(valid, fc.nat(), fc.string()).map(([text, at, junk]) => {
      const where = at % (text.length + 1)
      return text.slice(0, where) + junk + text.slice(where + junk.length)
    })
    const body = fc.oneof(fc.string(), fc.json(), cut, fc.uint8Array({ maxLength: 200 }))
    await run(body, (raw) => expectDecent((node) => session.send('POST', raw as string, { node }, POST)))
  })

  test('Last-Event-ID', LIMIT, async () => {
    const anEntry = fc.tuple(fc.nat(), fc.nat()).map(([time, seq]) => `${time}-${seq}`)
    const known = fc.nat().map((n) => [...own, ...foreign][n % (own.length + foreign.length)] ?? '')
    const logName = fc.oneof(
      known.map((id) => id.split('.')[0] ?? ''),
      fc.constantFrom('out', 'A'.repeat(22)),
      fc.string(),
    )
    const entry = fc.oneof(
      known.map((id) => id.split('.')[1] ?? ''),
      anEntry,
      fc.constantFrom('0-0', '-', '+', '$', '*', '9999999999999999-0'),
      fc.string(),
    )
    const made = fc
      .tuple(logName, entry, fc.constantFrom('', '.end', '.x'))
      .map(([log, id, end]) => `${log}.${id}${end}`)
    const cursor = fc.oneof(known, made, fc.string()).filter(isHeader)
    await run(cursor, (id) => expectDecent((node) => session.get(id, { node })))
  })

  test('session ids', LIMIT, async () => {
    const id = fc.oneof(
      fc.string(),
      fc.constant(victim.mcpSessionId),
      fc.stringMatching(/^[\w-]{22}$/),
      fc.constantFrom(
        `${victim.mcpSessionId} `,
        victim.mcpSessionId.toLowerCase(),
        `${victim.mcpSessionId},${session.mcpSessionId}`,
        victim.id,
        '../x',
        '*',
        '{x}',
      ),
    )
    const use = fc.constantFrom('POST', 'GET', 'DELETE', 'RESUME')
    await run(fc.tuple(id.filter(isHeader), use), async ([mcpSessionId, how]) => {
      const stranger = new Session(nodes, { mcpSessionId, version: LATEST, who: undefined })
      await expectDecent((node) => {
        if (how === 'POST')
          return stranger.request('tools/call', { name: 'echo', arguments: { text: '' } }, { node })
        if (how === 'DELETE') return stranger.delete({ node })
        return stranger.get(how === 'RESUME' ? foreign[0] : undefined, { node })
      })
    })
    expect(await victim.result('echo', { text: 'unharmed' }, { node: 1 })).toBe('unharmed')
  })

  test('headers', LIMIT, async () => {
    const value = fc.oneof(
      fc.string(),
      fc.constantFrom(
        'application/json',
        'text/event-stream',
        BOTH,
        '*/*',
        LATEST,
        '2025-03-26',
        'http://localhost',
        'https://evil.example',
        'null',
      ),
    )
    const name = fc.constantFrom(
      'accept',
      'content-type',
      'mcp-protocol-version',
      'origin',
      'host',
      'last-event-id',
      'content-length',
      'authorization',
    )
    const headers = fc.dictionary(name, value.filter(isHeader), { maxKeys: 4 })
    const use = fc.constantFrom('POST', 'GET', 'PUT', 'OPTIONS')
    await run(fc.tuple(headers, use), ([extra, how]) => {
      const body =
        how === 'POST' ? JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }) : undefined
      return expectDecent((node) => {
        const all = headersOf({ ...POST, 'mcp-session-id': session.mcpSessionId, ...extra })
        return nodes.endpoint(node).fetch({ method: how, headers: all, ...(body !== undefined && { body }) })
      })
    })
  })
})
