// One node under chaos: the server `everything` with its ledger tools, and the scenario of the crash points. Prints
// `listening on URL`, and `node ID` with the id under which the other nodes know it, which its answers also say.
// Callers are whoever they say they are.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { setFlagsFromString, writeHeapSnapshot } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { durable, taskTools } from '@mcp-durable/core'
import type { CommonOptions, Durable, Store } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { createEverythingServer } from '@mcp-durable/examples/dist/everything-server.js'
import { isCode, registerVersioned, VERSIONED } from './code-versions.js'
import { openStore } from './contents.js'
import { crashingStore } from './crash-points.js'
import type { CrashPoint } from './crash-points.js'
import { isMutation, mutatedStore } from './mutations.js'
import { OPERATED, QUOTAS } from './operated.js'
import {
  registerBeside,
  registerBulk,
  registerCounted,
  registerLinger,
  registerLook,
  registerPlain,
  registerScenario,
  registerTell,
} from './scenario-tool.js'

const { values } = parseArgs({
  options: {
    /** URL, as of `openStore`. */
    store: { type: 'string', default: '' },
    prefix: { type: 'string', default: 'chaos' },
    ledger: { type: 'string', default: '' },
    /** Settings of `durable()`, in JSON. */
    settings: { type: 'string', default: '{}' },
    /** A second server beside the first one; see `Operated`. */
    operated: { type: 'boolean', default: false },
    /** A `Code`: one more server beside them, with this version of its tool. */
    code: { type: 'string' },
    /** A step of that, behind which nothing goes on here. */
    'stays-at': { type: 'string' },
    /** A `CrashPoint`, in JSON. */
    crash: { type: 'string' },
  },
})

/** Longer than its handler rests. */
const DIVERGES_AFTER_MS = 2000

let self: string | undefined
const own = telling(mutated(crashing(openStore(values.store, values.prefix).store)))
const options = {
  eras: ['2025-11-25', '2026-07-28'],
  principal: (request) => request.headers.get('x-principal') ?? undefined,
  ...(JSON.parse(values.settings) as Partial<CommonOptions>),
  store: own,
} satisfies Partial<CommonOptions>

const mcp = durable({
  ...options,
  server: () => {
    const server = createEverythingServer({ ledger: values.ledger })
    registerScenario(server, values.ledger)
    registerBulk(server, values.ledger)
    registerLook(server)
    registerPlain(server, values.ledger)
    registerBeside(server, values.ledger)
    registerLinger(server, values.ledger)
    registerTell(server, () => mcp.changed)
    return server
  },
})
const operated: Durable | undefined = values.operated
  ? durable({
      ...options,
      name: OPERATED,
      quotas: QUOTAS,
      server: () => {
        const server = new McpServer({ name: OPERATED, version: '1' })
        registerCounted(server, values.ledger)
        taskTools(server)
        return server
      },
    })
  : undefined
const { code } = values
const versioned: Durable | undefined = isCode(code)
  ? durable({
      divergesAfterMs: DIVERGES_AFTER_MS,
      ...options,
      name: VERSIONED,
      version: code,
      server: () => {
        const server = new McpServer({ name: VERSIONED, version: '1' })
        registerVersioned(server, values.ledger, code, values['stays-at'])
        return server
      },
    })
  : undefined
const serve = node(mcp)
const beside = new Map<string, ReturnType<typeof node>>()
if (operated) beside.set(`/${OPERATED}`, node(operated))
if (versioned) beside.set(`/${VERSIONED}`, node(versioned))
const http = createServer((request, response) => {
  if (request.url === '/memory') return void memory().then((usage) => response.end(JSON.stringify(usage)))
  const [, snapshot] = /^\/snapshot\?(.+)/.exec(request.url ?? '') ?? []
  if (snapshot !== undefined)
    return void memory().then(() => response.end(writeHeapSnapshot(decodeURIComponent(snapshot))))
  if (self !== undefined) response.setHeader('x-node', self)
  return (beside.get(request.url ?? '') ?? serve)(request, response)
})
http.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})

process.once('SIGTERM', () => {
  http.close()
  void Promise.all([mcp, operated, versioned].map(async (each) => each?.close({ graceMs: 100 }))).then(() =>
    process.exit(0),
  )
})

/** Of what is alive: when everything that can be collected is, also what only a later turn lets go of. */
async function memory() {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let turn = 0; turn < 4; turn++) {
    collect()
    await sleep(100)
  }
  return process.memoryUsage()
}

function crashing(store: Store): Store {
  return values.crash === undefined ? store : crashingStore(store, JSON.parse(values.crash) as CrashPoint)
}

function mutated(store: Store): Store {
  const mutation = process.env['MCP_CHAOS_MUTATION']
  return isMutation(mutation) ? mutatedStore(store, mutation) : store
}

function telling(store: Store): Store {
  const beat = (id: string, about?: string) => {
    if (self === undefined) console.log(`node ${id}`)
    self = id
    return store.beat(id, about)
  }
  return new Proxy(store, {
    get(target, name) {
      if (name === 'beat') return beat
      return (Reflect.get(target, name, target) as (...args: unknown[]) => unknown).bind(target)
    },
  })
}
