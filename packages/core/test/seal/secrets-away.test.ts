import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { durableTool, memoryStore } from '../../src/index.js'
import { StoreError } from '../../src/errors.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'
import { waitAt } from '../support/tools.js'

/** A store that is there, or away. */
function away() {
  const state = { isAway: false, asked: 0 }
  const store = new Proxy(memoryStore(), {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...args: unknown[]): unknown => {
        if (!state.isAway) return Reflect.apply(member, target, args)
        state.asked++
        return Promise.reject(new StoreError('store-unavailable', 'it is away'))
      }
    },
  })
  return { state, store }
}

test('while the secrets are away nothing is lost: who begins is refused, and a call that is taken over waits', async () => {
  const { state, store: secrets } = away()
  const serverOf = (node: number) => () => {
    const server = new McpServer({ name: 'sealed', version: '1' })
    const work = durableTool(async (_args, ctx) => {
      await ctx.atMostOnce('once', () => nodes.world.happened.add('once'))
      await waitAt(`gate ${node}`, { world: nodes.world, signal: ctx.signal })
      await ctx.state.set('noted')
      return { content: [{ type: 'text' as const, text: `run by ${node}` }] }
    })
    server.registerTool('work', {}, work)
    return server
  }
  const seal = { keys: [randomBytes(32)], secrets, plain: 'refuse' as const }
  const nodes: Nodes = await startNodes({ store: 'redis', serverOf, settings: { seal } })
  await using _ = nodes
  const session = await Session.begin(nodes, { who: 'alice/1' })
  await using stream = await session.call('work', {}, { node: 0 })
  const priming = await stream.next()
  await nodes.world.happened.until('once')
  state.isAway = true
  const begun = await Session.begin(nodes, { who: 'carol/1', node: 1 }).catch((error: unknown) => error)
  expect(String(begun)).toContain('503')
  const asked = state.asked
  await nodes.mcp(0).close({ graceMs: 0 })
  nodes.world.gates.open('gate 1')
  await expect.poll(() => state.asked).toBeGreaterThan(asked)
  state.isAway = false
  await using resumed = await session.stream(priming?.id, { node: 1 })
  expect((await resumed.messages()).map(textOf)).toEqual(['run by 1'])
  expect(nodes.world.happened.count('once')).toBe(1)
})
