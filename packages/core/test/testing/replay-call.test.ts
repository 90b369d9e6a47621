import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { waitFor } from '../../../../test-support/index.js'
import { durable, durableTool, memoryStore, sessionIdOf } from '../../src/index.js'
import type { Durable, DurableContext } from '../../src/index.js'
import { BEGINNING } from '../../src/store/store.js'
import { parseRecordedCall, replayCall } from '../../src/testing/index.js'
import type { RecordedCall } from '../../src/testing/index.js'

type Work = (ctx: DurableContext, text: string) => Promise<unknown>

/** What happened outside of journals, whoever did it. */
const happened: string[] = []
let running: Durable | undefined
afterEach(async () => {
  happened.length = 0
  await running?.close({ graceMs: 0 })
})

function serverOf(work: Work, input = z.string()) {
  return () => {
    const server = new McpServer({ name: 'tried', version: '1' }, { capabilities: { logging: {} } })
    server.registerTool(
      'work',
      { inputSchema: { text: input } },
      durableTool(async ({ text }: { text: string }, ctx) => ({
        content: [{ type: 'text' as const, text: String(await work(ctx as DurableContext, text)) }],
      })),
    )
    return server
  }
}

const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

/** A call of the tool by this code, as its store holds it: when it has ended, or has come to `until`. */
async function recordedBy(work: Work, until?: () => boolean): Promise<RecordedCall> {
  const store = memoryStore()
  const mcp = (running = durable({ server: serverOf(work), store, validateEffects: false }))
  const post = (message: object, more: Record<string, string> = {}) =>
    mcp.fetch(
      new Request('http://127.0.0.1/mcp', {
        method: 'POST',
        headers: { ...headers, ...more },
        body: JSON.stringify({ jsonrpc: '2.0', ...message }),
      }),
    )
  const clientInfo = { name: 'raw', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo }
  const begun = await post({ id: 1, method: 'initialize', params })
  await begun.text()
  const id = begun.headers.get('mcp-session-id') ?? ''
  const session = { 'mcp-session-id': id }
  await post({ method: 'notifications/initialized' }, session)
  const call = { name: 'work', arguments: { text: 'a' } }
  const answer = await post({ id: 2, method: 'tools/call', params: call }, session)
  const scope = sessionIdOf(id)
  const text = until ? undefined : await answer.text()
  if (until) await waitFor(until)
  const [open] = await store.listOpenCalls(scope)
  const callId = open?.callId ?? /^id: ([\w-]{22})\./m.exec(text ?? '')?.[1] ?? ''
  const journal = (await store.read(scope, `call:${callId}`, BEGINNING, 100)) ?? []
  const state = await store.readState(scope, 0)
  return { callId, scope, journal, messages: state.map(({ data }) => data), states: { [scope]: [] } }
}

const two: Work = async (ctx) => {
  const [a, b] = await Promise.all([
    ctx.atLeastOnce('a', () => happened.push('a') && 'A'),
    ctx.atLeastOnce('b', () => happened.push('b') && 'B'),
  ])
  return `${String(a)}${String(b)}`
}
const names = (steps: Array<{ name: string }>) => steps.map(({ name }) => name)

test('a call that has ended gives the same result again, and nothing happens', async () => {
  const call = await recordedBy(two)
  const before = structuredClone(call)
  const report = await replayCall(call, serverOf(two))
  expect(report).toMatchObject({ verdict: 'fits', tool: 'work', end: 'result', recordedEnd: 'result' })
  expect(report).toMatchObject({ sameResult: true, missing: [], next: [], problem: undefined })
  expect(names(report.reached)).toEqual(['a', 'b'])
  expect(
    await replayCall(
      call,
      serverOf(async (ctx) => `${String(await two(ctx, ''))}!`),
    ),
  ).toMatchObject({
    verdict: 'fits',
    sameResult: false,
  })
  expect(happened).toEqual(['a', 'b'])
  expect(call).toEqual(before)
})

test('the trial ends where the journal does, with all that the code would go on with', async () => {
  const stands = (name: string) => (ctx: DurableContext) =>
    ctx.atLeastOnce(name, () => new Promise<never>(() => happened.push(name)))
  const work: Work = async (ctx) => {
    await ctx.atLeastOnce('a', () => 'A')
    await Promise.all([stands('c')(ctx), stands('d')(ctx)])
  }
  const call = await recordedBy(work, () => happened.length === 2)
  const report = await replayCall(call, serverOf(work))
  expect(report).toMatchObject({ verdict: 'fits', end: undefined, recordedEnd: undefined })
  expect([names(report.reached), names(report.next)]).toEqual([['a'], ['c', 'd']])
  expect(happened).toEqual(['c', 'd'])
})

test('what does not fit is told, without what users have sent', async () => {
  const call = await recordedBy(two)
  const kind = async (work: Work, input?: z.ZodString) => {
    const { verdict, problem } = await replayCall(call, serverOf(work, input))
    return `${verdict} ${problem?.kind}: ${problem?.message}`
  }
  const found = await Promise.all([
    kind(async (ctx) => ctx.atLeastOnce('a', () => 0)),
    kind(async (ctx) => ctx.random('a')),
    kind(async (ctx) => {
      await ctx.random('a').catch(() => 0)
      await ctx.atLeastOnce('b', () => 0)
    }),
    kind(async (ctx) => {
      await two(ctx, '')
      throw new Error('no')
    }),
    kind(async (ctx) => {
      const schema = z.number()
      await Promise.all([ctx.atLeastOnce('b', () => 0), ctx.atLeastOnce('a', () => 0, { schema })])
    }),
    kind(two, z.string().min(5)),
  ])
  expect(found).toEqual([
    'differs missing-step: the code ends without the step "b", which the journal has',
    'differs changed-step: the code has another kind of step under the name "a"',
    'differs changed-step: the code has another kind of step under the name "a"',
    'differs other-end: the journal ends with a result, and the code with an error of the tool',
    'differs changed-step: what is recorded of "a" does not fit the code',
    'differs refused: the code refuses the recorded request, and does not run its handler',
  ])
  expect(happened).toEqual(['a', 'b'])
})

test('what is not kept with the call can not be tried', async () => {
  const call = await recordedBy(two)
  const why = async (work: Work, of = call) =>
    (await replayCall(of, serverOf(work), { withinMs: 200 })).problem
  const [map, stands, asks, sealed] = await Promise.all([
    why(async (ctx) => ctx.map('stock').get('x')),
    why(async () => new Promise<never>(() => undefined)),
    why(async (ctx) => {
      const { sendRequest } = ctx.extra as { sendRequest: (...asked: unknown[]) => Promise<unknown> }
      return sendRequest({ method: 'ping' }, z.object({}))
    }),
    why(two, { ...call, journal: [] }),
  ])
  expect([map, stands, asks, sealed].map((each) => each?.kind)).toEqual(Array(4).fill('untried'))
  expect(map?.message).toContain('the code reads the map "stock" outside of steps')
  expect(stands?.message).toContain('Before its first step the code waits for more than 200 ms')
  expect(asks?.message).toContain('asks its client ping by the SDK itself')
  expect(sealed?.message).toContain('does not begin with a request')
})

test('a text that is no whole call says why', () => {
  const head = '{"source":"call","callId":"x","scope":"y"}'
  expect(() => parseRecordedCall('{"source":"session"}')).toThrow(/does not begin with a call/)
  expect(() => parseRecordedCall(`${head}\nx`)).toThrow(/no object of JSON/)
  expect(() => parseRecordedCall(`${head}\n{"source":"record","id":"1-1","data":{"maskedBytes":9}}`)).toThrow(
    /--show-payloads/,
  )
})
