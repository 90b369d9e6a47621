import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { expect, describe, test } from 'vitest'
import { durable, durableTool } from '../../src/index.js'
import { startNodes } from '../support/nodes.js'
import { RunningCall } from '../support/running-call.js'
import { dataOf, textOf } from '../support/session.js'
import { openStorage, STORES } from '../support/stores.js'
import { MapOfTransports } from '../support/wrapped.js'
import { waitFor } from '../../../../test-support/index.js'

const QUICK = { heartbeatMs: 50, sweepMs: 50, leaseMs: 2000 }

// A node leaves in the middle of a call; the other one goes on.

describe.each(STORES)('a wrapped handler, %s', (store) => {
  test('a tool that lists itself as read-only is run again, and says nothing twice', async () => {
    await using nodes = await startNodes({ store, host: 'handler', settings: QUICK })
    await using call = await RunningCall.ofTool(nodes, 'look', { gate: 'g' })
    for (const data of ['say 1', 'say 2'])
      expect(dataOf((await call.stream.nextMessage()).message)).toBe(data)
    await nodes.world.happened.until('started g')
    await call.leave()
    await nodes.world.happened.until('started g', 2)
    await nodes.world.happened.until('aborted g')
    nodes.world.gates.open('g')
    const messages = await call.resumed()
    expect(messages.slice(0, -1).map(dataOf)).toEqual(['say 1', 'say 2'])
    expect(textOf(messages.at(-1))).toBe('g on node-1')
  })

  test('any other tool ends with the word that its outcome is unknown', async () => {
    await using nodes = await startNodes({ store, host: 'handler', settings: QUICK })
    await using call = await RunningCall.ofTool(nodes, 'wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    await call.leave()
    expect((await call.resumed()).map(textOf)).toEqual([expect.stringMatching(/outcome is unknown/)])
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test('a durable tool is run again without saying so in its annotations; its steps are not', async () => {
    const storage = openStorage(store)
    const steps: string[] = []
    const runs: string[] = []
    let release: () => void = () => undefined
    const released = new Promise<void>((resolve) => (release = resolve))
    const make = (name: string) => {
      const server = new McpServer({ name: 'durable', version: '1' })
      const handler = durableTool(async (_args, ctx) => {
        runs.push(name)
        const made = await ctx.atMostOnce('make', () => (steps.push(name), `made on ${name}`))
        if (runs.length === 1) await new Promise(() => undefined)
        await released
        return { content: [{ type: 'text' as const, text: made }] }
      })
      server.registerTool('make', {}, handler)
      return server
    }
    const mcps = ['a', 'b'].map((name) => {
      const { fetch } = new MapOfTransports(() => make(name), { sdk: 'v1' })
      return durable({ store: storage.forNode(), handler: fetch, validateEffects: false, ...QUICK })
    })
    const endpoint = (n: number) => ({ fetch: (init?: RequestInit) => send(mcps[n]!, init) })
    const nodes = { endpoint, mcp: (n: number) => mcps[n]! }
    await using call = await RunningCall.ofTool(nodes as never, 'make')
    await waitFor(() => steps.length === 1)
    await call.leave()
    await waitFor(() => runs.length === 2)
    release()
    expect((await call.resumed()).map(textOf)).toEqual(['made on a'])
    expect([runs, steps]).toEqual([['a', 'b'], ['a']])
    await mcps[1]!.close({ graceMs: 0 })
    await storage[Symbol.asyncDispose]()
  })
})

function send(mcp: ReturnType<typeof durable>, init?: RequestInit) {
  return mcp.fetch(new Request('http://127.0.0.1/mcp', init))
}

describe.each(STORES)('an upstream that lives on, %s', (store) => {
  test('goes on with any tool: nothing is run, lost or said again', async () => {
    await using nodes = await startNodes({ store, host: 'upstream', settings: QUICK })
    await using call = await RunningCall.ofTool(nodes, 'chant', { count: 3 })
    nodes.world.gates.open('verse 1')
    expect(dataOf((await call.stream.nextMessage()).message)).toBe('amen')
    await nodes.world.happened.until('started verse 2')
    await call.leave()
    nodes.world.gates.open('verse 2')
    nodes.world.gates.open('verse 3')
    const messages = await call.resumed()
    expect(messages.slice(0, -1).map(dataOf)).toEqual(['amen', 'amen', 'amen'])
    expect(textOf(messages.at(-1))).toBe('chanted 3')
    expect(nodes.world.happened.count('started verse 1')).toBe(1)
    expect(nodes.wrapped[0]?.sessions.size).toBe(1)
  })

  test('an answer that came while no node ran the call is given to it', async () => {
    const settings = { ...QUICK, sweepMs: 400 }
    await using nodes = await startNodes({ store, host: 'upstream', settings })
    await using call = await RunningCall.ofTool(nodes, 'ask', { question: 'roots', related: true })
    const asked = await call.stream.nextMessage()
    const left = call.leave()
    await call.session.answer((asked.message as { id: string }).id, { roots: [] }, { node: 1 })
    await left
    expect((await call.resumed()).map(textOf).at(-1)).toBe('{"roots":[]}')
  })

  test('a client cancels at the other node, and the upstream hears of it', async () => {
    await using nodes = await startNodes({ store, host: 'upstream', settings: QUICK })
    await using call = await RunningCall.ofTool(nodes, 'say', { count: 1, gate: 'g' }, 'c')
    await call.stream.nextMessage()
    await nodes.world.happened.until('started g')
    await call.leave()
    await waitFor(() => nodes.upstream?.requests.some(({ headers }) => headers.has('last-event-id')))
    expect(nodes.world.happened.count('aborted g')).toBe(0)
    await call.session.notify('notifications/cancelled', { requestId: 'c' }, { node: 1 })
    await nodes.world.happened.until('aborted g')
  })
})

describe.each(STORES)('[I-3] an upstream that gives its events no ids, %s', (store) => {
  test('runs a read-only tool again when its node is gone, and says nothing twice', async () => {
    await using nodes = await startNodes({ store, host: 'upstream', resumable: false, settings: QUICK })
    await using call = await RunningCall.ofTool(nodes, 'look', { gate: 'g' })
    for (const data of ['say 1', 'say 2'])
      expect(dataOf((await call.stream.nextMessage()).message)).toBe(data)
    await nodes.world.happened.until('started g')
    await call.leave()
    await nodes.world.happened.until('started g', 2)
    nodes.world.gates.open('g')
    const messages = await call.resumed()
    expect(messages.slice(0, -1).map(dataOf)).toEqual(['say 1', 'say 2'])
    expect(textOf(messages.at(-1))).toBe('g on upstream')
  })

  test('runs no other tool again: its outcome is unknown', async () => {
    await using nodes = await startNodes({ store, host: 'upstream', resumable: false, settings: QUICK })
    await using call = await RunningCall.ofTool(nodes, 'wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    await call.leave()
    expect((await call.resumed()).map(textOf)).toEqual([expect.stringMatching(/outcome is unknown/)])
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test('runs any tool again that `recover` says may run again', async () => {
    await using nodes = await startNodes({
      store,
      host: 'upstream',
      resumable: false,
      settings: { ...QUICK, recover: ({ method }) => method === 'tools/call' },
    })
    await using call = await RunningCall.ofTool(nodes, 'wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    await call.leave()
    await nodes.world.happened.until('started g', 2)
    nodes.world.gates.open('g')
    expect((await call.resumed()).map(textOf)).toEqual(['g on upstream'])
  })
})

const BOTH = STORES.flatMap((store) => (['handler', 'upstream'] as const).map((host) => ({ store, host })))

test.each(BOTH)(
  'a question is answered at the other node, and not asked again: $host, $store',
  async (row) => {
    const settings = { ...QUICK, recover: () => true }
    await using nodes = await startNodes({ ...row, settings })
    await using call = await RunningCall.ofTool(nodes, 'ask', { question: 'roots', related: true })
    const asked = await call.stream.nextMessage()
    await call.leave()
    await call.session.answer((asked.message as { id: string }).id, { roots: [] }, { node: 1 })
    const [question, result, ...more] = await call.resumed()
    expect(question).toEqual(asked.message)
    expect(textOf(result)).toBe('{"roots":[]}')
    expect(more).toEqual([])
  },
)
