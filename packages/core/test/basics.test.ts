import { describe, expect, test } from 'vitest'
import { connect } from './support/clients.js'
import type { ConnectOptions, OfficialClient } from './support/clients.js'
import { startNodes } from './support/nodes.js'
import type { Nodes, Sdk } from './support/nodes.js'
import type { Adapter } from './support/serve.js'
import type { StoreKind } from './support/stores.js'
import type { HostKind } from './support/wrapped.js'
import { Happenings } from './support/world.js'
import { waitFor } from '../../../test-support/index.js'

type Case = {
  adapter: Adapter
  server: Sdk
  client: Sdk
  store: StoreKind
  parsed?: boolean
  host?: HostKind
}

const MATRIX: Case[] = [
  { adapter: 'fetch', server: 'v1', client: 'v1', store: 'memory' },
  { adapter: 'fetch', server: 'v2', client: 'v2', store: 'memory' },
  { adapter: 'fetch', server: 'v1', client: 'v2', store: 'redis' },
  { adapter: 'fetch', server: 'v2', client: 'v1', store: 'redis' },
  { adapter: 'node', server: 'v1', client: 'v1', store: 'redis' },
  { adapter: 'node', server: 'v2', client: 'v2', store: 'redis' },
  { adapter: 'node', server: 'v1', client: 'v2', store: 'memory' },
  { adapter: 'node', server: 'v2', client: 'v1', store: 'memory' },
  { adapter: 'express5', server: 'v1', client: 'v1', store: 'memory' },
  { adapter: 'express5', server: 'v2', client: 'v2', store: 'memory', parsed: true },
  { adapter: 'express4', server: 'v2', client: 'v2', store: 'memory' },
  { adapter: 'express4', server: 'v1', client: 'v1', store: 'memory', parsed: true },
  { adapter: 'hono', server: 'v1', client: 'v1', store: 'memory' },
  { adapter: 'hono', server: 'v2', client: 'v2', store: 'redis', parsed: true },
  { adapter: 'hono', server: 'v1', client: 'v2', store: 'memory', host: 'handler' },
  { adapter: 'express5', server: 'v2', client: 'v1', store: 'redis', host: 'handler' },
  { adapter: 'fetch', server: 'v1', client: 'v1', store: 'redis', host: 'upstream' },
  { adapter: 'node', server: 'v2', client: 'v2', store: 'memory', host: 'upstream' },
]

type Both = AsyncDisposable & { nodes: Nodes; client: OfficialClient }

// Each request of the client goes to the next of two nodes.
describe.each(MATRIX)(
  '[U-1] [U-2] [U-3] [U-4] [U-5] [U-8] [U-9] $adapter, server $server, client $client, $store, parsed: $parsed, host: $host',
  (row) => {
    const { adapter, server: sdk, client: clientSdk, store, parsed = false, host = 'server' } = row

    async function start(options: ConnectOptions = {}): Promise<Both> {
      const nodes = await startNodes({ adapter, sdk, store, parsed, host })
      const answered = new Happenings()
      const onResponse = (method: string, status: number) => answered.add(`${method} ${status}`)
      const client = await connect(clientSdk, nodes, { ...options, onResponse })
      // An upstream is heard while the client has a stream.
      await answered.until('GET 200')
      return {
        nodes,
        client,
        async [Symbol.asyncDispose]() {
          await client[Symbol.asyncDispose]()
          await nodes[Symbol.asyncDispose]()
        },
      }
    }

    const heard = ({ notified }: OfficialClient, method: string) =>
      notified.filter((notification) => notification.method === method)

    test('tools: list, call, an error of a tool, an unknown tool', async () => {
      await using both = await start()
      const { client } = both
      expect(await client.listTools()).toContain('echo')
      for (const text of ['a', 'b', 'ü 🦊']) expect(await client.callTool('echo', { text })).toBe(text)
      expect(await client.callTool('fail', { message: 'broken' })).toContain('broken')
      await expect(client.callTool('no_such_tool').then(failed)).rejects.toThrow(/no_such_tool/)
    })

    test('prompts and completions', async () => {
      await using both = await start()
      const { client } = both
      for (const name of ['ada', 'grace'])
        expect(await client.getPrompt('greet', { name })).toContain(`Hello, ${name}`)
      expect(await client.complete('greet', { name: 'name', value: 'a' })).toEqual(['ada', 'alan'])
      expect(await client.complete('greet', { name: 'name', value: 'g' })).toEqual(['grace'])
    })

    test('resources, static and by template', async () => {
      await using both = await start()
      const { client } = both
      expect(await client.readResource('test://static')).toContain('static text')
      expect(await client.readResource('test://people/ada')).toContain('ada is here')
    })

    test('the log level is kept across nodes', async () => {
      await using both = await start()
      const { client } = both
      await client.setLevel('error')
      for (const level of ['info', 'info', 'error', 'error']) await client.callTool('log', { level })
      await waitFor(() => heard(client, 'notifications/message').length >= 2)
      expect(heard(client, 'notifications/message').map(({ params }) => params?.['level'])).toEqual([
        'error',
        'error',
      ])
    })

    test('a resource that was subscribed to on another node', async () => {
      await using both = await start()
      const { client } = both
      const uri = 'test://static'
      await client.subscribe(uri)
      expect(await client.callTool('touch', { uri })).toBe('updated')
      expect(await client.callTool('touch', { uri })).toBe('updated')
      await waitFor(() => heard(client, 'notifications/resources/updated').length === 2)
      await client.unsubscribe(uri)
      expect(await client.callTool('touch', { uri })).toBe('not subscribed')
      expect(await client.callTool('touch', { uri })).toBe('not subscribed')
    })

    test('list_changed', async () => {
      await using both = await start()
      await both.client.callTool('change_tools')
      await waitFor(() => heard(both.client, 'notifications/tools/list_changed').length === 1)
    })

    test.each(['elicitation', 'sampling', 'roots'] as const)(
      '%s in a call, related to it or not',
      async (question) => {
        let asked = 0
        const answers = { [question]: () => (asked++, ANSWER[question]) }
        await using both = await start({ answers })
        for (const related of [true, false, true, false]) {
          const answer = JSON.parse(await both.client.callTool('ask', { question, related })) as unknown
          expect(answer).toMatchObject(ANSWER[question])
        }
        expect(asked).toBe(4)
      },
    )

    test('questions outside any call', async () => {
      await using both = await start()
      const { nodes, client } = both
      await client.callTool('echo', { text: '' })
      await client.callTool('echo', { text: '' })
      const answers = [...new Set(nodes.servers)].map((node) => nodes.world.speaker(node).ask('roots'))
      expect(await Promise.all(answers)).toMatchObject(answers.map(() => ANSWER.roots))
    })

    test('progress', async () => {
      await using both = await start()
      const steps: number[] = []
      const onprogress = (step: number) => void steps.push(step)
      expect(await both.client.callTool('progress', { steps: 5 }, { onprogress })).toBe('done 5')
      expect(steps).toEqual([1, 2, 3, 4, 5])
    })

    test('cancellation aborts the handler, and others go on', async () => {
      await using both = await start()
      const { nodes, client } = both
      const aborting = new AbortController()
      const cancelled = client.callTool('wait', { gate: 'never' }, { signal: aborting.signal })
      const other = client.callTool('wait', { gate: 'other' })
      await nodes.world.happened.until('started never')
      await nodes.world.happened.until('started other')
      aborting.abort('enough')
      await expect(cancelled).rejects.toThrow(/enough/)
      await nodes.world.happened.until('aborted never')
      nodes.world.gates.open('other')
      expect(await other).toMatch(/^other on/)
    })

    test('[U-10] auth info reaches handlers on each node', async () => {
      await using both = await start({ who: 'alice/secret' })
      const seen = new Set<unknown>()
      for (let n = 0; n < 3; n++) {
        const who = JSON.parse(await both.client.callTool('who')) as { node: string }
        expect(who).toMatchObject({ authInfo: { clientId: 'alice', token: 'secret', scopes: ['all'] } })
        seen.add(who.node)
      }
      expect(seen).toEqual(new Set(both.nodes.servers))
    })

    test('the session ends on all nodes', async () => {
      await using both = await start()
      const { client } = both
      await client.callTool('echo', { text: '' })
      await client.terminate()
      await expect(client.callTool('echo', { text: '' })).rejects.toThrow()
    })
  },
)

const ANSWER = {
  elicitation: { action: 'accept', content: { ok: true } },
  sampling: { model: 'test', role: 'assistant', content: { type: 'text', text: 'hi' } },
  roots: { roots: [{ uri: 'file:///test' }] },
}

/** One major reports an unknown tool as a result, the other as an error. */
function failed(result: string) {
  throw new Error(result)
}
