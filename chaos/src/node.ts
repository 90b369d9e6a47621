// One node under chaos: the server `everything` with its ledger tools, and the scenario of the crash points. Prints
// `listening on URL`, and `node ID` with the id under which the other nodes know it.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { durable } from '@mcp-durable/core'
import type { CommonOptions, Store } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { createEverythingServer } from '@mcp-durable/examples/dist/everything-server.js'
import { redisStore } from '@mcp-durable/redis-store'
import { Cluster, Redis } from 'ioredis'
import { crashingStore } from './crash-points.js'
import type { CrashPoint } from './crash-points.js'
import { mutatedStore } from './mutations.js'
import type { Mutation } from './mutations.js'
import { registerBulk, registerLook, registerScenario } from './scenario-tool.js'

const { values } = parseArgs({
  options: {
    /** URLs; more than one are start-up nodes of a Cluster. */
    redis: { type: 'string', default: '' },
    prefix: { type: 'string', default: 'chaos' },
    ledger: { type: 'string', default: '' },
    /** Settings of `durable()`, in JSON. */
    settings: { type: 'string', default: '{}' },
    /** A `CrashPoint`, in JSON. */
    crash: { type: 'string' },
  },
})

const urls = values.redis.split(',')
const redis = urls.length > 1 ? new Cluster(urls) : new Redis(values.redis)
// Without a listener ioredis prints every failed attempt.
redis.on('error', () => undefined)

const mcp = durable({
  ...(JSON.parse(values.settings) as Partial<CommonOptions>),
  store: telling(mutated(crashing(redisStore(redis, { prefix: values.prefix })))),
  server: () => {
    const server = createEverythingServer({ ledger: values.ledger })
    registerScenario(server, values.ledger)
    registerBulk(server, values.ledger)
    registerLook(server)
    return server
  },
})
const http = createServer(node(mcp))
http.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})

process.once('SIGTERM', () => {
  http.close()
  void mcp.close({ graceMs: 100 }).then(() => process.exit(0))
})

function crashing(store: Store): Store {
  return values.crash === undefined ? store : crashingStore(store, JSON.parse(values.crash) as CrashPoint)
}

function mutated(store: Store): Store {
  const mutation = process.env['MCP_CHAOS_MUTATION']
  return mutation ? mutatedStore(store, mutation as Mutation) : store
}

function telling(store: Store): Store {
  let told = false
  const beat = (id: string, about?: string) => {
    if (!told) console.log(`node ${id}`)
    told = true
    return store.beat(id, about)
  }
  return new Proxy(store, {
    get(target, name) {
      if (name === 'beat') return beat
      return (Reflect.get(target, name, target) as (...args: unknown[]) => unknown).bind(target)
    },
  })
}
