import { setTimeout as sleep } from 'node:timers/promises'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { expect, test } from 'vitest'
import { StoreError } from '../../src/errors.js'
import { durableTool } from '../../src/index.js'
import type { DurableContext, SessionInfo } from '../../src/index.js'
import type { Store } from '../../src/store/index.js'
import { startNodes } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { Session, textOf } from '../support/session.js'
import { Gates, Happenings } from '../support/world.js'

// Nobody waits without an end, nor for what is not there any more.

const text = (of: unknown) => ({ content: [{ type: 'text' as const, text: String(of) }] })

test('for a server object that makes room while it is looked at', async () => {
  const happened = new Happenings()
  const gates = new Gates()
  const server = async ({ state }: SessionInfo) => {
    await state.of('user').get()
    const made = new McpServer({ name: 'counting', version: '1' })
    const count = async (_args: object, ctx: DurableContext) =>
      text(await ctx.state.of('count').update((n) => Number(n ?? 0) + 1))
    made.registerTool('count', {}, durableTool(count))
    return made
  }
  const wrap = (store: Store) =>
    overriding(store, {
      readValue: async (scope, key) => {
        if (happened.count('look') === 1 && key === 'user') {
          happened.add('looks')
          await gates.pass('look', new AbortController().signal)
        }
        return store.readValue(scope, key)
      },
    })
  await using nodes = await startNodes({ count: 1, settings: { server, maxServers: 1 }, wrap })
  const session = await Session.begin(nodes)
  expect(await session.result('count')).toBe('1')
  // A value has changed: whether it is one that the factory has read is looked up.
  happened.add('look')
  const calling = session.call('count')
  await happened.until('looks')
  happened.add('look')
  // Another session needs the room.
  await Session.begin(nodes).catch(() => undefined)
  gates.open('look')
  await using stream = await calling
  expect(textOf((await stream.messages()).at(-1))).toBe('2')
})

test('for what a call has changed and can not be kept', async () => {
  let isFull = false
  const server = () => {
    const made = new McpServer({ name: 'full', version: '1' })
    const other = made.registerTool('other', {}, async () => text(''))
    made.registerTool('off', {}, async () => {
      isFull = true
      other.disable()
      return text('off')
    })
    return made
  }
  const refuse = () => Promise.reject(new StoreError('store-failed', 'OOM command not allowed'))
  const wrap = (store: Store) =>
    overriding(store, {
      putState: (...of) => (isFull ? refuse() : store.putState(...of)),
      appendCall: (...of) => (isFull ? refuse() : store.appendCall(...of)),
      openCall: (...of) => (isFull ? refuse() : store.openCall(...of)),
    })
  await using nodes = await startNodes({ count: 1, settings: { server }, wrap })
  const session = await Session.begin(nodes)
  await using stream = await session.call('off')
  await stream.next()
  const listed = await session.request('tools/list')
  expect(listed.status).toBe(200)
  isFull = false
})

test('for the place where nodes are listed, once its call is opened', async () => {
  let isAway = false
  const away = () => Promise.reject(new StoreError('store-unavailable', 'away'))
  const wrap = (store: Store) =>
    overriding(store, {
      openCall: async (call) => {
        const opened = await store.openCall(call)
        if (call.principal === undefined && !call.begins) isAway = true
        // It stands still until others may have taken it for dead.
        if (isAway) await sleep(700)
        return opened
      },
      beat: (...of) => (isAway ? away() : store.beat(...of)),
      hold: (...of) => (isAway ? away() : store.hold(...of)),
    })
  await using nodes = await startNodes({ count: 1, settings: { heartbeatMs: 100, leaseMs: 400 }, wrap })
  const session = await Session.begin(nodes)
  const refused = await session.request('tools/call', { name: 'echo', arguments: { text: 'x' } })
  expect(refused.status).toBe(503)
  isAway = false
})
