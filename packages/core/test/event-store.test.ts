import { randomUUID } from 'node:crypto'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { WebStandardStreamableHTTPServerTransport as TransportV1 } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import {
  McpServer as McpServer2,
  WebStandardStreamableHTTPServerTransport as TransportV2,
} from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import { eventStore } from '../src/sdk.js'
import { UnknownEventError } from '../src/error-classes.js'
import type { SessionEventStore } from '../src/sdk.js'
import type { Store } from '../src/index.js'
import { EventReader } from './support/event-reader.js'
import { openStorage, STORES } from './support/stores.js'

const message = (n: number) => ({ jsonrpc: '2.0', method: 'notifications/message', params: { n } })

async function replayed(events: SessionEventStore, after: string) {
  const sent: [string, unknown][] = []
  const stream = await events.replayEventsAfter(after, {
    send: async (id, one) => void sent.push([id, one]),
  })
  return { stream, sent }
}

describe.each(STORES)('[I-7] events of an SDK transport, %s', (kind) => {
  async function withStore(run: (store: Store) => Promise<void>) {
    const storage = openStorage(kind)
    try {
      await run(storage.forNode())
    } finally {
      await storage[Symbol.asyncDispose]()
    }
  }

  test('exactly those after the id, of its stream, in order, on another node', () =>
    withStore(async (store) => {
      const session = randomUUID()
      const events = eventStore(store, session)
      const ids: string[] = []
      // More than a page; two streams in turn, one of them with the name that the SDK gives the standalone one.
      for (let n = 0; n < 230; n++)
        ids.push(await events.storeEvent(n % 2 ? '_GET_stream' : 'a b/ü', message(n)))
      expect(new Set(ids).size).toBe(ids.length)
      const { stream, sent } = await replayed(eventStore(store, session), ids[3] ?? '')
      expect(stream).toBe('_GET_stream')
      expect(sent).toEqual(ids.flatMap((id, n) => (n > 3 && n % 2 ? [[id, message(n)]] : [])))
      expect(await events.getStreamIdForEventId(ids[0] ?? '')).toBe('a b/ü')
      expect(await replayed(events, ids.at(-1) ?? '')).toEqual({ stream: '_GET_stream', sent: [] })
    }))

  test('what is unknown: never was, another session’s, no longer kept', () =>
    withStore(async (store) => {
      const events = eventStore(store, randomUUID(), { maxEvents: 2 })
      const others = eventStore(store, randomUUID())
      const trimmed = await events.storeEvent('s', message(0))
      for (const n of [1, 2]) await events.storeEvent('s', message(n))
      const foreign = await others.storeEvent('s', message(0))
      for (const id of ['', 'x', '1-1', foreign, trimmed, `9999999999999-0.${trimmed.split('.')[1]}.s`]) {
        expect(await events.getStreamIdForEventId(id), id).toBeUndefined()
        await expect(replayed(events, id), id).rejects.toThrow(UnknownEventError)
      }
    }))

  test('the empty message that begins a stream is a place, and is not sent again', () =>
    withStore(async (store) => {
      const events = eventStore(store, randomUUID())
      const first = await events.storeEvent('s', {})
      await events.storeEvent('s', {})
      const id = await events.storeEvent('s', message(1))
      expect((await replayed(events, first)).sent).toEqual([[id, message(1)]])
    }))

  test.each([
    ['v1', TransportV1, () => new McpServer({ name: 'a', version: '1' })],
    ['v2', TransportV2, () => new McpServer2({ name: 'a', version: '1' })],
  ] as const)(
    'a transport of SDK %s resumes from it, and refuses what it does not know',
    (_, Transport, make) =>
      withStore(async (store) => {
        const session = randomUUID()
        const events = eventStore(store, session)
        const transport = new Transport({ sessionIdGenerator: () => session, eventStore: events })
        await make().connect(transport)
        const initialize = {
          jsonrpc: '2.0',
          id: 1,
          method: 'initialize',
          params: {
            protocolVersion: '2025-11-25',
            capabilities: {},
            clientInfo: { name: 'c', version: '1' },
          },
        }
        const headers = {
          accept: 'application/json, text/event-stream',
          'content-type': 'application/json',
          'mcp-session-id': session,
        }
        const request = (init: RequestInit) => new Request('http://localhost/mcp', init)
        const begun = await transport.handleRequest(
          request({ method: 'POST', headers, body: JSON.stringify(initialize) }),
        )
        await begun.text()
        const place = await events.storeEvent('_GET_stream', {})
        const id = await events.storeEvent('_GET_stream', message(1))
        const get = (lastEventId: string) =>
          transport.handleRequest(
            request({ method: 'GET', headers: { ...headers, 'last-event-id': lastEventId } }),
          )
        await using resumed = new EventReader(await get(place))
        expect(await resumed.next()).toMatchObject({ id, data: JSON.stringify(message(1)) })
        expect((await get('unknown')).status).toBe(400)
        await transport.close()
      }),
  )
})
