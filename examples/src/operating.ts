// The code of docs/operating.md, as it compiles. A test compares the two.
import { durable, type Durable, type ServerFactory, type Store } from '@mcp-durable/core'
import { listCalls } from '@mcp-durable/core/inspect'
import { runsOf, type CallPlace } from '@mcp-durable/core/runs'
import { telemetry } from '@mcp-durable/core/telemetry'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import type { Hono } from 'hono'
import type { Redis } from 'ioredis'

export function answerHealthChecks(app: Hono, mcp: Durable) {
  app.get('/healthz', async (c) => {
    const health = await mcp.health()
    return c.json(health, health.ready ? 200 : 503)
  })
  app.get('/livez', async (c) => c.text('', (await mcp.health({ timeoutMs: 0 })).live ? 200 : 503))
}

export function observe(sdk: { start: () => void }, server: ServerFactory, store: Store) {
  sdk.start() // NodeSDK, or what else registers providers and a context manager
  const mcp = durable({ server, store, telemetry: telemetry() })
  return mcp
}

export function keepHistories(server: ServerFactory, store: Store) {
  const mcp = durable({ server, store, history: { keep: '30d', methods: ['resources/read', 'prompts/get'] } })
  return mcp
}

export function pinCalls(server: ServerFactory, store: Store) {
  const mcp = durable({ server, store, version: 'v2', whenVersionsDiffer: { pinForMs: 600_000 } })
  return mcp
}

export async function readHistory(store: Store, sessionId: string, from: number, to: number) {
  const page = await store.history(sessionId, { from, to, limit: 100 }) // ms since 1970, both included
  const next = await store.history(sessionId, { after: page.at(-1)?.id, to, limit: 100 })
  return [...page, ...next]
}

export async function actOnCalls(client: Redis, store: Store, { scope, callId }: CallPlace) {
  const wanted = { tool: 'book_table', status: ['failed', 'unknown'] } as const
  const { calls } = await listCalls(inspectRedis(client), wanted)
  const runs = runsOf(store, { by: 'ann' })
  await runs.cancel({ scope, callId }, { reason: 'the table is gone' })
  await runs.resume({ scope, callId })
  const { call } = await runs.fork({ scope, callId }, { from: { name: 'confirm' } })
  return [...calls, call]
}
