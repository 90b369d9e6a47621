import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { sealedStore } from '../../src/index.js'
import type { SealOptions } from '../../src/index.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { serverEventBus } from '../../src/sdk.js'
import { Changes } from '../../src/session/changes.js'
import { HOUR } from '../../src/testing/stores.js'
import { waitFor } from '../../../../test-support/index.js'
import { Alone } from '../support/alone.js'
import { capture, startNodes } from '../support/nodes.js'
import type { LogLine } from '../support/nodes.js'
import { expectStream } from '../support/session.js'
import { openStorage, STORES } from '../support/stores.js'
import type { Storage } from '../support/stores.js'

const [old, next] = [randomBytes(32), randomBytes(32)]
const ALL = { toolsListChanged: true, resourceSubscriptions: ['test://r'] }

/** Changes as they are told of by a node that seals in another way. */
const toldBy = (storage: Storage, seal?: SealOptions) =>
  new Changes(seal ? sealedStore(storage.forNode(), seal) : storage.forNode(), HOUR).changed

const nodesOn = (storage: Storage, seal: SealOptions) =>
  startNodes({
    count: 1,
    wrap: () => storage.forNode(),
    settings: { eras: ['2025-11-25', '2026-07-28'], seal },
  })

const methodOf = ({ message }: { message: JsonRpcMessage }) =>
  'method' in message ? message.method : undefined

const WAYS: [string, SealOptions | undefined, SealOptions][] = [
  ['sealed with a key that was dropped', { keys: [old] }, { keys: [next] }],
  ['not sealed, where that is refused', undefined, { keys: [next], plain: 'refuse' }],
]

describe.each(STORES)('changes that can not be opened, %s', (kind) => {
  test.each(WAYS)('%s: they keep nobody from hearing of later ones', async (_, before, after) => {
    await using storage = openStorage(kind)
    const elsewhere = toldBy(storage, before)
    await elsewhere.tools()
    await using nodes = await nodesOn(storage, after)
    const client = new Alone(nodes)
    const listened = await client.request('subscriptions/listen', { notifications: ALL }, { id: 'l' })
    await using stream = await expectStream(listened)
    const { id } = await stream.nextMessage()

    // What it was can't be told: it may have been any.
    await elsewhere.prompts()
    const told = [await stream.nextMessage(), await stream.nextMessage()]
    expect(told.map(methodOf)).toEqual([
      'notifications/tools/list_changed',
      'notifications/resources/updated',
    ])
    expect(told.map((event) => event.id !== undefined)).toEqual([false, true])
    await nodes.mcp(0).changed.tools()
    expect(methodOf(await stream.nextMessage())).toBe('notifications/tools/list_changed')

    await using resumed = await client.stream(id)
    const again = [await resumed.nextMessage(), await resumed.nextMessage(), await resumed.nextMessage()]
    expect(again.map(methodOf)).toEqual([
      'notifications/tools/list_changed',
      'notifications/resources/updated',
      'notifications/tools/list_changed',
    ])
  })

  test.each(WAYS)('%s: an event bus leaves them out', async (_, before, after) => {
    await using storage = openStorage(kind)
    const elsewhere = toldBy(storage, before)
    await elsewhere.tools()
    const logs: LogLine[] = []
    const bus = serverEventBus(sealedStore(storage.forNode(), after), { logger: capture(logs) })
    const heard = new Set<string>()
    bus.subscribe((event) => void heard.add(event.kind))
    const hears = (change: 'prompts_list_changed' | 'resources_list_changed') =>
      waitFor(() => {
        bus.publish({ kind: change })
        return heard.has(change)
      })
    await hears('prompts_list_changed')
    await elsewhere.tools()
    await elsewhere.tools()
    await hears('resources_list_changed')
    expect(heard).not.toContain('tools_list_changed')
    expect(logs.map(({ message }) => message)).toEqual(['changes that can not be opened here are not told'])
    bus.close()
  })
})
