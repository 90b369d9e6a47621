import { describe, expect, test } from 'vitest'
import { Alone } from '../support/alone.js'
import { EventReader } from '../support/event-reader.js'
import { startPassing } from '../support/passing.js'
import { waitFor } from '../../../../test-support/index.js'

// What a server behind HTTP tells of changes, to clients without a session.

describe.each([
  ['handler', 'only'],
  ['upstream', 'only'],
  ['upstream', undefined],
] as const)('listening to a %s; sessions: %s', (host, alone) => {
  const ID = 'io.modelcontextprotocol/subscriptionId'
  const wanted = { toolsListChanged: true, resourceSubscriptions: ['test://r'] }

  test('hears what it tells, and what is told here', async () => {
    await using nodes = await startPassing({ host, alone, sdk: 'v2' })
    const client = new Alone(nodes)
    const response = await client.request('subscriptions/listen', { notifications: wanted }, { id: 'l' })
    await using stream = new EventReader(response)
    expect((await stream.nextMessage()).message).toMatchObject({
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: wanted, _meta: { [ID]: 'l' } },
    })
    if (alone) nodes.handlers[0]!.notify.toolsChanged()
    else nodes.world.speaker('upstream').toolsChanged()
    expect((await stream.nextMessage()).message).toMatchObject({
      method: 'notifications/tools/list_changed',
      params: { _meta: { [ID]: 'l' } },
    })
    if (alone) nodes.handlers[0]!.notify.resourceUpdated('test://r')
    else await nodes.world.speaker('upstream').updated('test://r')
    expect((await stream.nextMessage()).message).toMatchObject({
      method: 'notifications/resources/updated',
      params: { uri: 'test://r', _meta: { [ID]: 'l' } },
    })
    await nodes.mcp(1).changed.tools()
    expect((await stream.nextMessage()).message).toMatchObject({
      method: 'notifications/tools/list_changed',
      params: { _meta: { [ID]: 'l' } },
    })
    await stream[Symbol.asyncDispose]()
    await waitFor(() => nodes.wrapped.every(({ sessions }) => sessions.size === 0))
  })

  test('after a gap all may have changed', async () => {
    await using nodes = await startPassing({ host, alone, sdk: 'v2' })
    const client = new Alone(nodes)
    await using stream = new EventReader(
      await client.request('subscriptions/listen', { notifications: wanted }, { id: 'l' }),
    )
    const { id } = await stream.nextMessage()
    await stream[Symbol.asyncDispose]()
    await using resumed = await client.stream(id, { node: 1 })
    const heard = [await resumed.nextMessage(), await resumed.nextMessage()]
    expect(heard.map(({ message }) => (message as { method: string }).method)).toEqual([
      'notifications/tools/list_changed',
      'notifications/resources/updated',
    ])
  })
})

test('listening to a server that comes back: all may have changed', async () => {
  await using nodes = await startPassing()
  const client = new Alone(nodes)
  const notifications = { toolsListChanged: true }
  await using stream = new EventReader(
    await client.request('subscriptions/listen', { notifications }, { id: 'l' }),
  )
  await stream.nextMessage()
  await nodes.upstream!.cut()
  await nodes.upstream!.listen()
  expect((await stream.nextMessage()).message).toMatchObject({ method: 'notifications/tools/list_changed' })
})
