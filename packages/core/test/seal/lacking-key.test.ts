import { randomBytes } from 'node:crypto'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { durableTool, sealedStore, sessionState } from '../../src/index.js'
import type { SealOptions } from '../../src/index.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { RunningCall } from '../support/running-call.js'
import { Session, textOf } from '../support/session.js'
import { waitAt } from '../support/tools.js'

const [old, next] = [randomBytes(32), randomBytes(32)]

/** The tools `work` and `note`; of each node one server. */
function toolsOf(node: number, nodes: () => Nodes) {
  const server = new McpServer({ name: 'sealed', version: '1' })
  const { world } = nodes()
  const work = async (signal: AbortSignal) => {
    await waitAt(`gate ${node}`, { world, signal })
    return { content: [{ type: 'text' as const, text: `run by ${node}` }] }
  }
  const step = (name: string) => () => world.happened.add(`${name} on ${node}`)
  server.registerTool(
    'work',
    {},
    durableTool(async (_args, ctx) => {
      await ctx.atMostOnce('once', step('once'))
      return work(ctx.signal)
    }),
  )
  server.registerTool(
    'note',
    {},
    durableTool(async (_args, ctx) => {
      step('note')()
      const note = String(await ctx.state.get())
      return { content: [{ type: 'text', text: `${note} read by ${node}` }] }
    }),
  )
  return server
}

/** Each node has the keys given for it. */
async function nodesWith(keys: readonly (SealOptions['keys'] | undefined)[], store: 'memory' | 'redis') {
  const serverOf = (node: number) => () => toolsOf(node, () => nodes)
  const settingsOf = (node: number) => (keys[node] ? { seal: { keys: keys[node] } } : {})
  const nodes: Nodes = await startNodes({ store, count: keys.length, serverOf, settingsOf })
  return nodes
}

const list = (session: Session, node: number) => session.request('tools/list', {}, { node })

describe.each(['memory', 'redis'] as const)('a node that lacks a key, %s', (store) => {
  test.each<[string, SealOptions['keys'] | undefined]>([
    ['has another one', [next]],
    ['has none', undefined],
  ])('%s: what it is asked is refused for now, and loses nothing', async (_, keys) => {
    await using nodes = await nodesWith([[old], keys], store)
    const session = await Session.begin(nodes)
    for (const ask of [() => list(session, 1), () => session.get(undefined, { node: 1 })]) {
      const response = await ask()
      // The standalone stream opens: nothing is in it yet.
      if (response.status === 200) await response.body?.cancel()
      else {
        expect(response.status).toBe(503)
        expect(response.headers.get('retry-after')).toBeTruthy()
        expect(await response.text()).toContain('can not read')
      }
    }
    expect((await list(session, 1)).status).toBe(503)
    expect((await list(session, 0)).status).toBe(200)
    expect(nodes.logs.some(({ message }) => message.includes('a key that this node has not'))).toBe(true)
  })

  // Two nodes of one store object look at the session before they open a call.
  test.skipIf(store === 'memory')('a call that it is sent is run by a node that has the key', async () => {
    await using nodes = await nodesWith([[old, next], [next]], store)
    const session = await Session.begin(nodes)
    await using stream = await session.call('work', {}, { node: 1 })
    const priming = await stream.next()
    await nodes.world.happened.until('once on 0')
    // It can't read what the other node writes, so the client is to come back.
    await stream.rest()
    expect((await session.get(priming?.id, { node: 1 })).status).toBe(503)
    nodes.world.gates.open('gate 0')
    await using resumed = await session.stream(priming?.id, { node: 0 })
    const messages = await resumed.messages()
    expect(messages.map(textOf)).toEqual(['run by 0'])
  })

  test('a call of a node that is gone is left to one that has the key', async () => {
    await using nodes = await nodesWith([[old], [next], [next, old]], store)
    await using call = await RunningCall.ofTool(nodes, 'work')
    await nodes.world.happened.until('once on 0')
    await call.leave()
    nodes.world.gates.open('gate 2')
    expect((await call.resumed(2)).map(textOf)).toEqual(['run by 2'])
    expect(nodes.world.happened.count('once on 2')).toBe(0)
  })

  test('a handler that reads what it can not open is stopped, and runs where that can be', async () => {
    await using nodes = await nodesWith([[old], [next, old]], store)
    const session = await Session.begin(nodes)
    const store1 = sealedStore(nodes.stores[1]!, { keys: [next] })
    await sessionState(store1, session.id).set('a note')
    await using stream = await session.call('note', {}, { node: 0 })
    const priming = await stream.next()
    await nodes.world.happened.until('note on 1')
    expect(await stream.messages()).toEqual([])
    await using resumed = await session.stream(priming?.id, { node: 1 })
    expect((await resumed.messages()).map(textOf)).toEqual(['a note read by 1'])
    expect(nodes.world.happened.count('note on 0')).toBe(1)
  })
})
