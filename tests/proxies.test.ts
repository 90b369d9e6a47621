import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { majors } from './support/client.js'
import { commandOf, PROXY_TIMEOUT_MS, proxies, Proxy } from './support/proxy.js'
import { RawSession } from './support/raw.js'
import { System } from './support/system.js'

// The load balancers of docs/deploying.md, with the files that it shows.

const KEEP_ALIVE_MS = 200

for (const kind of proxies) {
  const command = await commandOf(kind)
  describe.skipIf(command === undefined)(`behind ${kind.name}`, () => {
    let system: System
    let proxy: Proxy
    beforeAll(async () => {
      system = await System.start({ options: { keepAliveMs: KEEP_ALIVE_MS } })
      proxy = await Proxy.start(kind, command!, system.nodes)
    })
    afterAll(async () => {
      await proxy?.[Symbol.asyncDispose]()
      await system[Symbol.asyncDispose]()
    })

    test('requests of one session go to both nodes', async () => {
      const session = await RawSession.begin(proxy)
      const pids = new Set<string>()
      for (let turn = 0; turn < 6; turn++) {
        const stream = await session.call(proxy, 'who')
        await stream.ended
        pids.add(JSON.stringify(stream.messages.at(-1)?.result))
      }
      expect(pids.size).toBe(2)
    })

    test('events arrive while the call that sends them still runs', async () => {
      const session = await RawSession.begin(proxy)
      const gate = `${kind.name}-buffer`
      const stream = await session.call(proxy, 'say-first', { texts: ['one', 'two'], gate })

      await stream.events.first(({ data }) => data.includes('two'))
      await system.openGate(gate)

      expect(await stream.ended).toBe('graceful')
    })

    test('a stream that has nothing to say outlives the time-outs of the proxy', async () => {
      const session = await RawSession.begin(proxy)
      const gate = `${kind.name}-idle`
      const args = { name: 'slow', arguments: { gate } }
      const response = await session.post(proxy, { id: 1, method: 'tools/call', params: args })
      const enough = (2 * PROXY_TIMEOUT_MS) / KEEP_ALIVE_MS
      let text = ''
      let opened = false
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk
        if (opened || text.split(': keep-alive').length <= enough) continue
        opened = true
        await system.openGate(gate)
      }
      expect(text).toContain(`"text":"${gate}"`)
    })

    test('a page of the same host may come, one of another may not', async () => {
      const session = await RawSession.begin(proxy)
      const from = async (origin: string) => {
        const headers = { accept: 'text/event-stream', 'mcp-session-id': session.id, origin }
        const response = await fetch(`${proxy.url}/mcp`, { headers })
        await response.body?.cancel()
        return response.status
      }
      expect(await from(proxy.url)).toBe(200)
      expect(await from('https://example.com')).toBe(403)
    })

    test('a body as large as nodes take', async () => {
      const session = await RawSession.begin(proxy)
      const texts = ['x'.repeat(3_900_000)]
      const response = await session.post(proxy, {
        id: 1,
        method: 'tools/call',
        params: { name: 'who', arguments: { texts } },
      })
      expect(response.status).toBe(200)
      await response.body?.cancel()
    })

    test.each(majors)('client %i.x: the node that runs a call is killed', async (major) => {
      const client = await system.client(major, await system.router(proxy))
      const gate = `${kind.name}-kill-${major}`

      const looking = client.call('look', { gate })
      await client.primed()
      const { pid } = await system.recorded('look', gate)
      const victim = system.nodes.find((node) => node.pid === pid)!
      await victim.kill('SIGKILL')
      await system.openGate(gate)

      const { text, pid: other } = await looking
      expect(text).toBe(gate)
      expect(other).not.toBe(pid)
      await system.add(['--port', new URL(victim.url).port])
    })

    test('a rolling restart: the session goes on, and no call is run twice', async () => {
      const client = await (await system.client(1, await system.router(proxy))).listens()
      const load = system.load(client, ['effect'])
      // The last one at each address; those before were killed.
      const alive = new Map(system.nodes.map((node) => [node.url, node]))
      for (const old of alive.values()) {
        await load.progress(20)
        const exit = old.kill('SIGTERM')
        await load.progress(20)
        expect(await exit).toEqual({ code: 0, signal: null })
        await system.add(['--port', new URL(old.url).port])
      }
      await load.progress(40)
      await load.stop()

      const names = load.outcomes.items.map(({ name }) => name)
      const effects = (await system.ledger('effect'))
        .map(({ detail }) => detail)
        .filter((name) => names.includes(name))
      expect(new Set(effects).size).toBe(effects.length)
      expect(effects).toEqual(expect.arrayContaining(load.succeeded.map(({ name }) => name)))
      if (kind.passesOn) expect(load.failed).toEqual([])
    })
  })
}
