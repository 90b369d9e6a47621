import { clockOf } from './nodes.js'
import { pairs } from '../replies.js'
import type { InspectableRedis, Reading } from './reading.js'

/** What one server says about itself. */
export type InspectedServer = {
  /** `host:port` as it was connected to. */
  address: string
  /** All fields of `INFO`. */
  info: Record<string, string>
  /** Settings by name; `undefined` where the server lets nobody see them, as hosted ones may. */
  config: Record<string, string> | undefined
  /** Fields of `CLUSTER INFO`; `undefined` where there is no Cluster. */
  cluster: Record<string, string> | undefined
  /** How far the server's clock is ahead of ours, in ms, and how far off that may be. */
  clock: { aheadMs: number; uncertainMs: number }
}

const SETTINGS = [
  'appendfsync',
  'appendonly',
  'cluster-require-full-coverage',
  'maxmemory',
  'maxmemory-policy',
  'min-replicas-max-lag',
  'min-replicas-to-write',
]

/** The servers that hold the keys: one, or the masters of a Cluster. */
export class Servers {
  readonly #reading: Reading

  constructor(reading: Reading) {
    this.#reading = reading
  }

  get isCluster() {
    return this.#reading.isCluster
  }

  list(): Promise<InspectedServer[]> {
    return Promise.all(this.#reading.servers().map((server) => this.#inspect(server)))
  }

  async #inspect(server: InspectableRedis): Promise<InspectedServer> {
    const [info, config, cluster, clock] = await Promise.all([
      this.#reading.ask('INFO', [], server),
      this.#reading.ask('CONFIG', ['GET', ...SETTINGS], server).catch(() => undefined),
      this.#reading.isCluster ? this.#reading.ask('CLUSTER', ['INFO'], server) : undefined,
      this.#clock(server),
    ])
    const { host, port } = server.options as { host?: string; port?: number }
    return {
      address: `${host ?? 'localhost'}:${port ?? 6379}`,
      info: fields(info),
      config: config === undefined ? undefined : Object.fromEntries(pairs(config)),
      cluster: cluster === undefined ? undefined : fields(cluster),
      clock,
    }
  }

  async #clock(server: InspectableRedis) {
    const sentAt = Date.now()
    const theirs = clockOf(await this.#reading.ask('TIME', [], server))
    const receivedAt = Date.now()
    return { aheadMs: theirs - (sentAt + receivedAt) / 2, uncertainMs: (receivedAt - sentAt) / 2 + 1 }
  }
}

function fields(reply: unknown): Record<string, string> {
  const lines = String(reply)
    .split(/\r?\n/)
    .filter((line) => /^[^#].*:/.test(line))
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1)]
    }),
  )
}
