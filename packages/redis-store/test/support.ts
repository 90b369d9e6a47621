import { randomUUID } from 'node:crypto'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { redisStore, type RedisLike, type RedisStoreOptions } from '@mcp-durable/redis-store'
import type { NewCall, NewSession } from '@mcp-durable/core/store'
import { Redis, type Cluster, type Command, type RedisOptions } from 'ioredis'
import { waitFor } from '../../../test-support/index.js'

export const HOUR = 3_600_000
export const LIMITS = { maxPerPrincipal: 1000 }
export const sharedUrl = () => process.env['REDIS_URL'] ?? ''

/** A store with a client and a prefix of its own; both end with the test. */
export function openStore(url = sharedUrl(), options: RedisOptions & RedisStoreOptions = {}) {
  const { prefix = `test-${randomUUID()}`, deadlineMs, durability, replicas, ...redisOptions } = options
  const client = new Redis(url, { retryStrategy: () => 50, ...redisOptions })
  client.on('error', () => undefined)
  const chosen = Object.entries({ deadlineMs, durability, replicas }).filter(
    ([, value]) => value !== undefined,
  )
  const store = redisStore(client, { prefix, ...Object.fromEntries(chosen) })
  return {
    client,
    store,
    prefix,
    async [Symbol.asyncDispose]() {
      await store.close()
      client.disconnect()
    },
  }
}

export function newSession(overrides: Partial<NewSession> = {}): NewSession {
  const state = { key: 'initialize', data: '{}' }
  return { id: randomUUID(), principal: 'alice', protocolVersion: 'label', state, ttlMs: HOUR, ...overrides }
}

export function newCall(scope: string, overrides: Partial<NewCall> = {}): NewCall {
  const call = {
    scope,
    callId: randomUUID(),
    owner: 'node-1',
    principal: 'alice',
    requestKeys: [randomUUID()],
    data: 'request',
  }
  return { ...call, ttlMs: HOUR, maxOpenCalls: 1000, ...overrides }
}

export const once = () => ({ nonce: randomUUID(), maxLength: 1000 })

/** All keys with a prefix, in a test's own words: the store itself never looks for keys. */
export async function keysOf(client: Redis, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const page of client.scanStream({ match: `${prefix}:*`, count: 1000 }))
    keys.push(...(page as string[]))
  return keys.toSorted()
}

/** Waits until the replicas of those servers that are masters have all that was written: fail-over loses the rest. */
export async function waitForReplicas(ports: number[]) {
  for (const port of ports) {
    const admin = new Redis(port, '127.0.0.1')
    const hasAll = async () => {
      const info = await admin.info('replication')
      if (!info.includes('role:master')) return true
      const offset = /master_repl_offset:(\d+)/.exec(info)?.[1]
      return info.includes(`state=online,offset=${offset},`)
    }
    await waitFor(hasAll, { what: `the replica of port ${port} up to date` })
    admin.disconnect()
  }
}

/** The same client, with every command that the store sends written down. */
export function counted(client: Redis | Cluster): { client: RedisLike; sent: string[] } {
  const sent: string[] = []
  const counting = new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        if (name === 'sendCommand') sent.push((args[0] as Command).name)
        if (name === 'evalsha' || name === 'eval' || name === 'xadd') sent.push(name)
        return (value as (...args: unknown[]) => unknown).apply(target, args)
      }
    },
  })
  return { client: counting, sent }
}

/** Stands between a client and Redis, and can lose an answer after Redis has done what was asked. */
export async function losingProxy(redisPort: number) {
  let losing = false
  let lost = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const redis = connect(redisPort, '127.0.0.1')
    for (const socket of [client, redis]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        redis.destroy()
      })
    }
    client.pipe(redis)
    redis.on('data', (data) => {
      if (!losing) return void client.write(data)
      losing = false
      lost++
      client.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `redis://127.0.0.1:${port}`,
    /** The next answer of Redis is lost, and the connection with it. */
    loseNextAnswer: () => void (losing = true),
    lost: () => lost,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Stands between a replica and its master, and stops carrying what the master sends; what is on its way is lost with the master. */
export async function stallingLink(masterPort: number) {
  let isStalled = false
  const sockets = new Set<Socket>()
  const server = createServer((replica) => {
    const master = connect(masterPort, '127.0.0.1')
    for (const socket of [replica, master]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        replica.destroy()
        master.destroy()
      })
    }
    replica.pipe(master)
    master.on('data', (data) => {
      if (!isStalled) replica.write(data)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    stall: () => void (isStalled = true),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
