import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { redisStore } from '@mcp-durable/redis-store'
import { file } from '@mcp-durable/sqlite-store'
import { Redis } from 'ioredis'
import { storeContract } from '../../src/testing/store.js'
import { memoryStore } from '../../src/store/memory.js'
import { sealedStore } from '../../src/seal/sealed-store.js'

storeContract(
  '[D-1] memory, sealed with secrets',
  () => {
    const store = sealedStore(memoryStore(), { keys: [randomBytes(32)], secrets: memoryStore() })
    return { store, peer: store }
  },
  { exactSizes: false },
)

storeContract(
  '[D-2] Redis, sealed',
  () => {
    const prefix = `test-${randomUUID()}`
    const keys = [randomBytes(32)]
    const clients = [new Redis(process.env['REDIS_URL'] ?? ''), new Redis(process.env['REDIS_URL'] ?? '')]
    const [store, peer] = clients.map((client) =>
      sealedStore(redisStore(client, { prefix }), { keys, plain: 'refuse' }),
    )
    return {
      store: store!,
      peer: peer!,
      dispose: async () => clients.forEach((client) => client.disconnect()),
    }
  },
  { exactSizes: false },
)

storeContract(
  'a file, sealed',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'mcp-durable-'))
    const keys = [randomBytes(32)]
    const [store, peer] = [1, 2].map(() =>
      sealedStore(file(join(folder, 'mcp.db'), { synchronous: 'normal' }), { keys, plain: 'refuse' }),
    )
    return {
      store: store!,
      peer: peer!,
      dispose: async () => rmSync(folder, { recursive: true, force: true }),
    }
  },
  { exactSizes: false },
)
