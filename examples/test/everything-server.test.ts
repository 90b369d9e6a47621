import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import {
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { expect, test } from 'vitest'
import { createEverythingServer } from '../src/everything-server.js'

const uri = 'test://watched-resource'

async function connected(nodeName = 'node'): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' })
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair()
  await createEverythingServer({ nodeName }).connect(serverSide)
  await client.connect(clientSide)
  return client
}

const call = async (client: Client, name: string, args = {}): Promise<unknown> =>
  (await client.callTool({ name, arguments: args })).content

test('a subscription belongs to one server object, and subscribing again makes it anew', async () => {
  const [first, second] = [await connected(), await connected()]
  await first.subscribeResource({ uri })
  expect(await call(second, 'update_watched_resource')).toEqual([
    { type: 'text', text: 'nobody has subscribed' },
  ])

  const updated: string[] = []
  second.setNotificationHandler(
    ResourceUpdatedNotificationSchema,
    ({ params }) => void updated.push(params.uri),
  )
  await second.subscribeResource({ uri })
  expect(await call(second, 'update_watched_resource')).toEqual([
    { type: 'text', text: 'told the subscriber' },
  ])
  expect(updated).toEqual([uri])

  await second.unsubscribeResource({ uri })
  expect(await call(second, 'update_watched_resource')).toEqual([
    { type: 'text', text: 'nobody has subscribed' },
  ])
})

test('count_slowly sends the same messages on every node, and its name only with the progress', async () => {
  const runs = await Promise.all(
    ['a', 'b'].map(async (name) => {
      const client = await connected(name)
      const logged: unknown[] = []
      const names: unknown[] = []
      client.setNotificationHandler(
        LoggingMessageNotificationSchema,
        ({ params }) => void logged.push(params),
      )
      const result = await client.callTool(
        { name: 'count_slowly', arguments: { to: 3, everyMs: 0 } },
        undefined,
        {
          onprogress: ({ message }) => names.push(message),
        },
      )
      return { name, logged, names, content: result.content }
    }),
  )
  const [a, b] = runs
  expect(a!.logged).toHaveLength(3)
  expect(a!.logged).toEqual(b!.logged)
  expect(a!.content).toEqual(b!.content)
  expect(runs.map(({ names }) => names)).toEqual([Array(3).fill('a'), Array(3).fill('b')])
})

test('completion proposes what begins alike', async () => {
  const client = await connected()
  const ref = { type: 'ref/prompt', name: 'test_prompt_with_arguments' } as const
  const { completion } = await client.complete({ ref, argument: { name: 'arg1', value: 'par' } })
  expect(completion.values).toEqual(['paris', 'park city', 'parma'])
})
