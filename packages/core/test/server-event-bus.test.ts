import { isDeepStrictEqual } from 'node:util'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import { durable } from '../src/index.js'
import type { Store } from '../src/index.js'
import { serverEventBus } from '../src/sdk.js'
import type { ServerChange } from '../src/sdk.js'
import { waitFor } from '../../../test-support/index.js'
import { capture } from './support/nodes.js'
import type { LogLine } from './support/nodes.js'
import { serverV1 } from './support/server-v1.js'
import { openStorage, STORES } from './support/stores.js'
import { World } from './support/world.js'

const CHANGES: ServerChange[] = [
  { kind: 'tools_list_changed' },
  { kind: 'prompts_list_changed', params: { _meta: { why: 'more' } } },
  { kind: 'resources_list_changed' },
  { kind: 'resource_updated', uri: 'test://r' },
]

/** A bus, and what it hears. */
function listening(store: Store, logs: LogLine[] = []) {
  const bus = serverEventBus(store, { logger: capture(logs) })
  const heard: ServerChange[] = []
  const end = bus.subscribe((event) => void heard.push(event))
  return { bus, heard, end, [Symbol.dispose]: () => bus.close() }
}

describe.each(STORES)('an event bus on a store, %s', (kind) => {
  test('tells all processes, the own one too, in one order', async () => {
    await using storage = openStorage(kind)
    using one = listening(storage.forNode())
    using other = listening(storage.forNode())
    const ready: ServerChange = { kind: 'resource_updated', uri: 'test://ready' }
    await waitFor(() => {
      one.bus.publish(ready)
      return [one, other].every(({ heard }) => heard.length > 0)
    })
    const changes = ({ heard }: typeof one) => heard.filter((event) => !isDeepStrictEqual(event, ready))
    for (const change of CHANGES) one.bus.publish(change)
    await waitFor(() => [one, other].every((each) => changes(each).length === CHANGES.length))
    expect(changes(other)).toEqual(CHANGES)
    expect(changes(one)).toEqual(CHANGES)
  })

  test('tells of later changes only, and nobody who has left', async () => {
    await using storage = openStorage(kind)
    using early = listening(storage.forNode())
    early.bus.publish({ kind: 'tools_list_changed' })
    await waitFor(() => early.heard.length === 1)
    using late = listening(storage.forNode())
    early.end()
    early.end()
    const kept: ServerChange[] = []
    early.bus.subscribe((event) => void kept.push(event))
    await waitFor(async () => {
      early.bus.publish({ kind: 'prompts_list_changed' })
      return late.heard.length > 0 && kept.length > 0
    })
    expect(new Set(late.heard.map((event) => event.kind))).toEqual(new Set(['prompts_list_changed']))
    expect(early.heard).toHaveLength(1)
  })

  test('hears what durable() on the same store tells of, but for one principal', async () => {
    await using storage = openStorage(kind)
    const world = new World()
    const mcp = durable({
      store: storage.forNode(),
      server: () => serverV1('here', world),
      logger: capture([]),
    })
    using bus = listening(storage.forNode())
    await waitFor(async () => {
      await mcp.changed.resource('test://secret', { principal: 'ann' })
      await mcp.changed.resource('test://r')
      return bus.heard.length > 0
    })
    expect(new Set(bus.heard.map((event) => 'uri' in event && event.uri))).toEqual(new Set(['test://r']))
    await mcp.close({ graceMs: 0 })
  })
})

test('a listener that throws keeps nothing from the others', async () => {
  await using storage = openStorage('memory')
  const logs: LogLine[] = []
  const bus = serverEventBus(storage.forNode(), { logger: capture(logs) })
  bus.subscribe(() => {
    throw new Error('broken')
  })
  const later = async () => {
    throw new Error('broken later')
  }
  bus.subscribe(() => later() as never)
  const heard: ServerChange[] = []
  bus.subscribe((event) => void heard.push(event))
  bus.publish({ kind: 'tools_list_changed' })
  await waitFor(() => heard.length === 1 && logs.length === 2)
  expect(new Set(logs.map(({ message }) => message))).toEqual(new Set(['a listener of the event bus failed']))
  bus.close()
})

test('unknown options are refused by name, and the SDK takes it as its bus', async () => {
  await using storage = openStorage('memory')
  const store = storage.forNode()
  expect(() => serverEventBus(store, { ttl: 5 } as never)).toThrow('Did you mean `ttlMs`?')
  const bus = serverEventBus(store)
  const handler = createMcpHandler(() => new McpServer({ name: 'x', version: '1' }), { bus })
  expect(handler.bus).toBe(bus)
  await handler.close()
  bus.close()
})
