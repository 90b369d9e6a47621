import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { redisStore } from '@mcp-durable/redis-store'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { file } from '@mcp-durable/sqlite-store'
import { inspectSqlite, openReadOnly } from '@mcp-durable/sqlite-store/inspect'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { sealedStore } from '../../src/index.js'
import { reseal } from '../../src/inspect/index.js'
import type { Inspection } from '../../src/inspect/index.js'
import { Changes } from '../../src/session/changes.js'
import type { Store } from '../../src/store/index.js'
import { HOUR, newCall, newSession, NO_LIMIT, once } from '../../src/testing/stores.js'
import { overriding } from '../support/overriding.js'

const [old, next] = [randomBytes(32), randomBytes(32)]
const keys = [next, old]
type Place = AsyncDisposable & { store: Store; inspect(): Inspection }

function redisPlace(): Place {
  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  const prefix = `test-${randomUUID()}`
  return {
    store: redisStore(redis, { prefix }),
    inspect: () => inspectRedis(redis, { prefix }),
    async [Symbol.asyncDispose]() {
      await redis.unlink(...(await redis.keys(`${prefix}*`)))
      redis.disconnect()
    },
  }
}

function sqlitePlace(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-durable-'))
  const path = join(folder, 'mcp.db')
  const store = file(path)
  const databases: ReturnType<typeof openReadOnly>[] = []
  return {
    store,
    inspect: () => {
      const database = openReadOnly(path)
      databases.push(database)
      return inspectSqlite(database)
    },
    async [Symbol.asyncDispose]() {
      for (const database of databases) database.close()
      await store.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

type Nodes = { before: Store; after: Store; scope: string }
const none = { sessions: 0, calls: 0, changes: 0 }

async function open({ after, scope }: Nodes) {
  const call = newCall(scope)
  const opened = await after.openCall(call)
  if (opened.status !== 'opened') throw new Error(opened.status)
  return { callId: call.callId, epoch: Number.parseInt(opened.id, 10) }
}

/** What a node that still seals with the old key writes, and how that is counted. */
const LEFT: Record<string, [write: (nodes: Nodes) => Promise<unknown>, counted: Partial<typeof none>]> = {
  'in the middle of a journal': [
    async (nodes) => {
      const { callId, epoch } = await open(nodes)
      const entry = (n: number) => [{ id: `${epoch + n}-1`, data: 'a step' }]
      await nodes.before.appendCall(nodes.scope, callId, entry(1))
      await nodes.after.appendCall(nodes.scope, callId, entry(2))
    },
    { calls: 1 },
  ],
  'in an inbox': [
    async (nodes) => {
      const { callId } = await open(nodes)
      await nodes.before.append(nodes.scope, `call:${callId}:in`, 'an answer', once())
    },
    { calls: 1 },
  ],
  'told to a session': [({ before, scope }) => before.append(scope, 'out', 'told', once()), { sessions: 1 }],
  changes: [({ before }) => new Changes(before, HOUR).changed.tools(), { changes: 1 }],
}

describe.each([
  ['Redis', redisPlace],
  ['a file', sqlitePlace],
] as const)('what is left to an old key, %s', (_, placeOf) => {
  const nodesOn = async ({ store }: Place): Promise<Nodes> => {
    const [before, after] = [sealedStore(store, { keys: [old, next] }), sealedStore(store, { keys })]
    const session = newSession()
    await after.createSession(session, NO_LIMIT)
    return { before, after, scope: session.id }
  }

  test.each(Object.entries(LEFT))('%s: it is counted', async (_name, [write, counted]) => {
    await using place = placeOf()
    const nodes = await nodesOn(place)
    const left = async () => Object.values((await reseal(place.inspect(), place.store, { keys })).left)
    expect(await left()).toEqual([])
    await write(nodes)
    expect(await left()).toEqual([{ ...none, ...counted }])
  })

  test('of sessions that end while they are counted none hides another one', async () => {
    await using place = placeOf()
    const { before } = await nodesOn(place)
    const sessions = Array.from({ length: 201 }, (__, n) => newSession({ ttlMs: HOUR + n * 1000 }))
    for (const session of sessions) await before.createSession(session, NO_LIMIT)
    let pages = 0
    const store = overriding(place.store, {
      listSessions: async (...asked) => {
        const page = await place.store.listSessions(...asked)
        if (pages++ === 0) for (const id of page.ids.slice(0, 5)) await place.store.deleteSession(id, 'alice')
        return page
      },
    })
    const { left } = await reseal(place.inspect(), store, { keys })
    expect(pages).toBeGreaterThan(1)
    const [first] = Object.values(left)
    expect(first?.sessions).toBeGreaterThanOrEqual(201 - 5)
  })

  test('a log that is trimmed while it is read is read to its end', async () => {
    await using place = placeOf()
    const { before, after, scope } = await nodesOn(place)
    await after.append(scope, 'out', 'x'.repeat(1_000_000), once())
    await before.append(scope, 'out', 'told', once())
    let isFirst = true
    const store = overriding(place.store, {
      read: async (...asked) => {
        const page = await place.store.read(...asked)
        if (isFirst && page && page.length > 0) {
          isFirst = false
          await after.append(scope, 'out', 'more', once(2))
        }
        return page
      },
    })
    expect(Object.values((await reseal(place.inspect(), store, { keys })).left)).toEqual([
      { ...none, sessions: 1 },
    ])
    expect(isFirst).toBe(false)
  })
})
