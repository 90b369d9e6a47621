import { readFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { runtimeBinary } from '../../examples/test/recipes.js'
import { type RedisCluster, startRedisCluster } from '../../test-support/index.js'
import { expectCallOutlives } from '../support/outlives.js'
import { CommandOn } from './command.js'
import { type Command, Project } from './project.js'

// Each package manager installs what a release has published, in an empty folder; and the server of the README lives there.

const QUIET = ['--prefer-offline', '--no-audit', '--no-fund']
const PNP = ['--require', './.pnp.cjs', '--experimental-loader', './.pnp.loader.mjs']

type Manager = {
  add: Command
  run: Command
  named?: (name: string) => string
  prepare?: (project: Project) => Promise<void>
}

const managers: Record<string, () => Manager> = {
  npm: () => ({ add: ['npm', 'install', ...QUIET], run: [process.execPath] }),
  pnpm: () => ({ add: ['npx', '--yes', 'pnpm@10.34.9', 'add'], run: [process.execPath] }),
  'Yarn 1': () => ({ add: ['npx', '--yes', 'yarn@1.22.22', 'add'], run: [process.execPath] }),
  "Yarn 4 with Plug'n'Play": () => ({
    add: ['npx', '--yes', '@yarnpkg/cli-dist@4.18.1', 'add'],
    run: [process.execPath, ...PNP],
    prepare: (project) => project.write('.yarnrc.yml', yarnrc(project.registry)),
  }),
  Bun: () => {
    const bun = runtimeBinary('bun', inject('frameworks'))
    return { add: [bun, 'add'], run: [bun] }
  },
  Deno: () => {
    const deno = runtimeBinary('deno', inject('frameworks'))
    return { add: [deno, 'add'], run: [deno, 'run', '--allow-all'], named: (name) => `npm:${name}` }
  },
}

const yarnrc = (registry: string) => `npmMinimalAgeGate: 0
npmScopes:
  mcp-durable:
    npmMinimalAgeGate: 0
    npmRegistryServer: '${registry}'
unsafeHttpWhitelist: ['127.0.0.1']
enableTelemetry: false
`

/** With the peers that its imports need, but for `vitest`. */
const PACKAGES = [
  '@mcp-durable/core',
  '@mcp-durable/redis-store',
  '@mcp-durable/sqlite-store',
  '@mcp-durable/cli',
  '@modelcontextprotocol/sdk',
  '@modelcontextprotocol/server',
  '@opentelemetry/api',
  'express',
  'hono',
  'ioredis',
  'zod',
]

/** For Bun and Deno: what they have no test of elsewhere is done by their command. */
let cluster: RedisCluster
const clusterUrl = () => `redis://${cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`
beforeAll(async () => {
  cluster = await startRedisCluster({ masters: 3 })
})
afterAll(() => cluster[Symbol.asyncDispose]())

test.concurrent.each(Object.keys(managers))(
  'installed with %s, every import is there, and a call outlives its process',
  async (name) => {
    const { add, run, named = (id) => id, prepare } = managers[name]!()
    await using project = await Project.create()
    await prepare?.(project)
    // As the README says of Node.js 20.
    const driver = run[0] === process.execPath && !isBuiltin('node:sqlite') ? ['libsql'] : []
    await project.run([...add, ...[...PACKAGES, ...driver].map(named)])
    await project.write('imports.mjs', IMPORTS)
    expect(JSON.parse(await project.run([...run, 'imports.mjs']))).toEqual({
      missing: [],
      isStoreError: true,
    })
    for (const [script, said] of [
      ['held.mjs', 'stored'],
      ['early.mjs', 'answered'],
    ] as const) {
      await project.copy(script)
      expect(await project.run([...run, script])).toBe(`${said}\n`)
    }
    await project.write('server.mjs', await serverOfReadme())
    {
      await using first = await project.start([...run, 'server.mjs'])
      await using second = await project.start([...run, 'server.mjs'])
      await expectCallOutlives(1, first, second)
    }
    if (run[0] === process.execPath) return
    const command = new CommandOn(project, run)
    await command.expectProxiesToHandOver('--redis', clusterUrl(), '--prefix', `proxy-${name}`)
    await project.write('code.mjs', codeOf(await serverOfReadme()))
    await command.expectToLookAndMove('mcp.db', 'code.mjs', [clusterUrl(), `moved-${name}`])
  },
)

const IMPORTS = `
import { createRequire } from 'node:module'
import { redisStore } from '@mcp-durable/redis-store'
import { StoreError } from '@mcp-durable/core/errors'
import { Redis } from 'ioredis'
const require = createRequire(import.meta.url)
const missing = []
for (const name of ['core', 'redis-store', 'sqlite-store', 'cli']) {
  const { exports } = require('@mcp-durable/' + name + '/package.json')
  for (const path of Object.keys(exports).filter((path) => !/testing.store|package.json/.test(path)))
    await import('@mcp-durable/' + name + path.slice(1)).catch((error) => missing.push(path + ': ' + error))
}
// A store that may have another copy of @mcp-durable/core, on a Redis that is away.
const redis = new Redis({ port: 1, lazyConnect: true, retryStrategy: null })
redis.on('error', () => undefined)
const store = redisStore(redis)
const isStoreError = await store.readSession('none').then(() => 'no error', (error) => error instanceof StoreError)
console.log(JSON.stringify({ missing, isStoreError }))
process.exit()
`

/** It sleeps for 10 s there, so that a reader has the time to kill it. */
async function serverOfReadme() {
  const readme = await readFile(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8')
  const [, server = ''] = /^```js\n(.*?)^```$/ms.exec(readme) ?? []
  return server.replace('10_000', '2000')
}

/** The module of it that serves nothing. */
const codeOf = (server: string) =>
  `${server.split('// Sessions, calls')[0]}export { createMyServer as server }\n`
