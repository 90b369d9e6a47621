import { Cluster, Redis } from 'ioredis'

import { freePort } from './ports.js'
import { startRedis, type RedisServer } from './redis-server.js'
import { waitFor } from './wait-for.js'

const SLOTS = 16_384
const NODE_TIMEOUT_MS = 1_000

export interface RedisClusterOptions {
  masters?: number
  /** Replicas of each master; with 0 a killed master is not replaced. */
  replicas?: 0 | 1
  aof?: 'always' | 'everysec' | 'no'
}

/** A real Redis Cluster on 127.0.0.1 that one test owns. */
export interface RedisCluster extends AsyncDisposable {
  /** Start-up nodes for `new Cluster(nodes)`. */
  readonly nodes: { host: string; port: number }[]
  readonly servers: readonly RedisServer[]
  /** A connected client; it is closed with the cluster. */
  client(): Cluster
  /** Which server serves `key` now. */
  masterOf(key: string): Promise<RedisServer>
  /** Kills (SIGKILL) the master that serves `key` now, and returns its server, to restart it perhaps. */
  killMaster(key?: string): Promise<RedisServer>
  /** Waits until the servers that run agree that all slots are served. */
  waitUntilOk(): Promise<void>
}

export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicas = 0, aof = 'no' } = options
  const cluster = new OwnCluster()
  try {
    for (let i = 0; i < masters * (1 + replicas); i++) await cluster.add(aof)
    await cluster.form(masters)
    return cluster
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
}

interface Member {
  server: RedisServer
  busPort: number
  admin: Redis
}

class OwnCluster implements RedisCluster {
  readonly #members: Member[] = []
  readonly #clients: Cluster[] = []

  get servers(): RedisServer[] {
    return this.#members.map((member) => member.server)
  }

  get nodes(): { host: string; port: number }[] {
    return this.servers.map(({ port }) => ({ host: '127.0.0.1', port }))
  }

  async add(aof: RedisClusterOptions['aof']): Promise<void> {
    const busPort = await freePort()
    const config = {
      'cluster-enabled': 'yes',
      'cluster-port': busPort,
      'cluster-node-timeout': NODE_TIMEOUT_MS,
      'cluster-replica-validity-factor': 0,
    }
    const server = await startRedis({ aof, config })
    const admin = new Redis(server.url, { retryStrategy: () => 100, commandTimeout: 2_000 })
    admin.on('error', () => {}) // it reconnects after a kill; a command that fails tells
    this.#members.push({ server, busPort, admin })
  }

  async form(masters: number): Promise<void> {
    const members = this.#members
    const [first] = members
    await Promise.all(members.map(({ admin }, i) => admin.cluster('SET-CONFIG-EPOCH', i + 1)))
    for (const { server, busPort } of members.slice(1)) {
      await first!.admin.call('CLUSTER', 'MEET', '127.0.0.1', server.port, busPort)
    }
    await Promise.all(
      members.slice(0, masters).map(({ admin }, i) => {
        const [from, to] = [i, i + 1].map((n) => Math.floor((n * SLOTS) / masters))
        return admin.call('CLUSTER', 'ADDSLOTSRANGE', from!, to! - 1)
      }),
    )
    await Promise.all(members.map((member) => this.#knowsAll(member)))
    await Promise.all(
      members.slice(masters).map(({ admin }, i) => replicate(admin, members[i % masters]!.admin)),
    )
    await this.waitUntilOk()
  }

  async waitUntilOk(): Promise<void> {
    await Promise.all(
      this.#members.map(({ admin, server }) =>
        waitFor(async () => !server.running || (await clusterInfo(admin)).includes('cluster_state:ok'), {
          what: `cluster_state:ok on port ${server.port}`,
        }),
      ),
    )
  }

  client(): Cluster {
    const client = new Cluster(this.nodes)
    this.#clients.push(client)
    return client
  }

  async masterOf(key: string): Promise<RedisServer> {
    const asked = this.#members.find(({ server }) => server.running)!.admin
    const slot = await asked.cluster('KEYSLOT', key)
    const ranges = await asked.cluster('SLOTS')
    const [, , master] = ranges.find(([from, to]) => from <= slot && slot <= to)!
    const port = master![1]
    return this.#members.find((member) => member.server.port === port)!.server
  }

  async killMaster(key = ''): Promise<RedisServer> {
    const server = await this.masterOf(key)
    await server.kill('SIGKILL')
    return server
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.disconnect()
    for (const { admin } of this.#members) admin.disconnect()
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()))
  }

  async #knowsAll({ admin, server }: Member): Promise<void> {
    const count = this.#members.length
    await waitFor(async () => (await clusterInfo(admin)).includes(`cluster_known_nodes:${count}`), {
      what: `${count} known nodes on port ${server.port}`,
    })
  }
}

const clusterInfo = (admin: Redis) => admin.call('CLUSTER', 'INFO') as Promise<string>

async function replicate(replica: Redis, master: Redis): Promise<void> {
  const id = (await master.call('CLUSTER', 'MYID')) as string
  await replica.cluster('REPLICATE', id)
  await waitFor(async () => (await replica.info('replication')).includes('master_link_status:up'), {
    what: 'the link of a replica to its master',
  })
}
