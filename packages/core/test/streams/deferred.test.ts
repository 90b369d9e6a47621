import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { describe, expect, test } from 'vitest'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { dataOf, expectJson, expectStream, Session } from '../support/session.js'
import { Gates, Happenings } from '../support/world.js'
import type { Store } from '../../src/index.js'

const prompt = (name: string, gate: string) => ({ name, arguments: { gate } })

describe.concurrent.each(SYSTEMS)(
  '[C-2] requests that are journaled only when they have to be, $store, $host',
  ({ store, host }) => {
    test('a tools/list that takes longer than a second becomes a stream', async () => {
      let answer!: () => void
      const slow = new Promise<void>((resolve) => (answer = resolve))
      const server = () => {
        const made = new Server({ name: 'slow', version: '1' }, { capabilities: { tools: {} } })
        made.setRequestHandler(ListToolsRequestSchema, async () => {
          await slow
          return { tools: [] }
        })
        return made
      }
      await using nodes = await startNodes({ store, host, settings: { server } })
      const session = await Session.begin(nodes)
      await using stream = await expectStream(await session.request('tools/list', undefined, { id: 7 }))
      const priming = await stream.next()
      expect(priming?.data).toBe('')
      await using elsewhere = await session.stream(priming?.id, { node: 1 })
      answer()
      for (const each of [stream, elsewhere]) {
        expect((await each.messages()).at(-1)).toEqual({ jsonrpc: '2.0', id: 7, result: { tools: [] } })
      }
    })

    test('one that sends a notification first becomes a stream at once', async () => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      await using stream = await expectStream(await session.request('prompts/get', prompt('noisy', 'g')))
      expect(dataOf((await stream.nextMessage()).message)).toBe('say 1')
      nodes.world.gates.open('g')
      const [response, ...more] = await stream.messages()
      expect(JSON.stringify(response)).toContain(`g on ${nodes.servers[0]}`)
      expect(more).toEqual([])
    })

    test('one that ends before a second has passed stays JSON', async () => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      nodes.world.gates.open('g')
      const response = await session.request('prompts/get', prompt('wait', 'g'))
      expect(JSON.stringify(await expectJson(response))).toContain(`g on ${nodes.servers[0]}`)
    })

    test('the same request again attaches once it is journaled, and both are answered', async () => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      const both = [0, 1].map((node) => session.request('prompts/get', prompt('wait', 'g'), { node, id: 5 }))
      const streams = (await Promise.all(both)).map(expectStream)
      const [one, other] = await Promise.all(streams)
      nodes.world.gates.open('g')
      const [[first], [second]] = [await one!.messages(), await other!.messages()]
      expect(first).toEqual(second)
      expect(first).toMatchObject({ id: 5, result: {} })
    })

    test.each([0, 1])('cancelled before it is journaled, from node %i: no response', async (node) => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      const response = session.request('prompts/get', prompt('wait', 'g'), { id: 0 })
      await nodes.world.happened.until('started g')
      await session.notify('notifications/cancelled', { requestId: 0 }, { node })
      await using stream = await expectStream(await response)
      expect(await stream.messages()).toEqual([])
      await nodes.world.happened.until('aborted g')
    })

    test.each([0, 1])(
      'cancelled while it is being journaled, from node %i: its stream ends',
      async (node) => {
        const [gates, happened] = [new Gates(), new Happenings()]
        const wrap = (own: Store) =>
          overriding(own, {
            openCall: async (call) => {
              happened.add('opening')
              await gates.pass('open', new AbortController().signal)
              return own.openCall(call)
            },
          })
        await using nodes = await startNodes({ store, host, wrap })
        const session = await Session.begin(nodes)
        const response = session.request('prompts/get', prompt('wait', 'g'), { id: 0 })
        await happened.until('opening')
        await session.notify('notifications/cancelled', { requestId: 0 }, { node })
        gates.open('open')
        await using stream = await expectStream(await response)
        expect((await stream.messages()).map(dataOf)).toEqual([])
        await nodes.world.happened.until('aborted g')
      },
    )

    test.each([0, 1])('cancelled after it was journaled, from node %i: its stream ends', async (node) => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      await using stream = await expectStream(
        await session.request('prompts/get', prompt('noisy', 'g'), { id: 0 }),
      )
      await nodes.world.happened.until('started g')
      await session.notify('notifications/cancelled', { requestId: 0 }, { node })
      expect((await stream.messages()).map(dataOf)).toEqual(['say 1'])
      await nodes.world.happened.until('aborted g')
    })

    test('it runs on the node that was asked', async () => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      nodes.world.gates.open('g')
      const response = await session.request('prompts/get', prompt('wait', 'g'), { node: 1 })
      expect(await response.text()).toContain(`g on ${nodes.servers[1]}`)
    })
  },
)
