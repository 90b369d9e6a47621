import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Redis } from 'ioredis'

import { Child } from './child.js'
import { freePort } from './ports.js'
import { findRedis } from './redis-launcher.js'
import { waitFor } from './wait-for.js'

export interface Sentinel extends AsyncDisposable {
  readonly port: number
  readonly admin: Redis
}

/** A sentinel that watches the master under the name `main`, and fails over within a second or so. */
export async function startSentinel(masterPort: number): Promise<Sentinel> {
  const launcher = await findRedis()
  if (!launcher) throw new Error('no Redis server to start')
  const port = await freePort()
  const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-sentinel-'))
  const config = join(dir, 'sentinel.conf')
  const settings = [
    `bind 127.0.0.1`,
    `port ${port}`,
    `dir ${dir}`,
    `sentinel monitor main 127.0.0.1 ${masterPort} 1`,
    'sentinel down-after-milliseconds main 500',
    'sentinel failover-timeout main 3000',
  ]
  await writeFile(config, settings.join('\n'))
  const prefix = launcher.prefix(dir, `mcp-durable-${randomUUID()}`)
  const child = await Child.spawn(launcher.command, [...prefix, config, '--sentinel'])
  const admin = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 50 })
  admin.on('error', () => undefined)
  await waitFor(async () => (await admin.ping()) === 'PONG', { what: 'the sentinel' })
  return {
    port,
    admin,
    async [Symbol.asyncDispose]() {
      admin.disconnect()
      await child[Symbol.asyncDispose]()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
