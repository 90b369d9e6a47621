import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { runtimeBinary } from '../../examples/test/recipes.js'
import { startRedis, type RedisServer } from '../../test-support/index.js'
import { expectCallOutlives } from '../support/outlives.js'
import { type Command, nodeBinary, Project } from './project.js'

// The lowest and the newest versions of what the packages go with: a small server that uses every import of the packages is
// checked by TypeScript, its declarations and theirs included, and run on each runtime.

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const STRANGER = join(ROOT, 'tests/packing/stranger')
const PUBLISHED = ['core', 'redis-store', 'sqlite-store']
const FILES = ['server.ts', 'store.test.ts']

type Manifest = { exports: Record<string, unknown>; peerDependencies?: Record<string, string> }
type Peers = 'lowest' | 'newest'

const manifests = Object.fromEntries(
  await Promise.all(
    PUBLISHED.map(async (name) => {
      const text = await readFile(join(ROOT, 'packages', name, 'package.json'), 'utf8')
      return [name, JSON.parse(text) as Manifest] as const
    }),
  ),
)
const imports = Object.entries(manifests).flatMap(([name, { exports }]) =>
  Object.keys(exports)
    .filter((path) => path !== './package.json')
    .map((path) => `@mcp-durable/${name}${path.slice(1)}`),
)

const tsc = 'node_modules/typescript/bin/tsc'
const TSC_OF_THIS = join(ROOT, tsc)
const TSC = ['--strict', '--target', 'es2023', '--types', 'node']

test('the server and the test use every import of the packages', async () => {
  const code = await Promise.all(FILES.map((file) => readFile(join(STRANGER, file), 'utf8')))
  for (const id of imports) expect(code.join('')).toContain(`from '${id}'`)
})

/** A project with all of the packages, their peers, and TypeScript. */
async function install(peers: Peers): Promise<Project> {
  const project = await Project.create()
  const ranges = Object.values(manifests).flatMap(({ peerDependencies = {} }) =>
    Object.entries(peerDependencies),
  )
  const versions = ranges.map(
    ([name, range]) => `${name}@${peers === 'lowest' ? lowestOf(range) : (NEWEST[name] ?? range)}`,
  )
  const others =
    peers === 'lowest'
      ? ['@hono/node-server@2.1.0', '@types/express@4', 'zod@3.25']
      : ['@hono/node-server', '@types/express', 'zod']
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
  await project.run([
    'npm',
    'install',
    ...quiet,
    ...PUBLISHED.map((name) => `@mcp-durable/${name}`),
    ...versions,
    ...others,
    '@types/node@20',
    'typescript@5.9.3',
  ])
  await project.write('common.cts', COMMON)
  for (const file of FILES) await cp(join(STRANGER, file), join(project.folder, file))
  return project
}

const COMMON = `import core = require('@mcp-durable/core')
export const { durable }: typeof core = core
`

/** `latest` does not run on Node.js 20. */
const NEWEST: Record<string, string> = { vitest: '4' }

/** `^4.16.0 || ^5.0.0` begins with 4.16.0, and `>=4` with 4.0.0. */
function lowestOf(range: string): string {
  const [version = ''] = /[\d.]+/.exec(range) ?? []
  return [...version.split('.'), '0', '0'].slice(0, 3).join('.')
}

type Resolution = [version: '5.9' | '7.0', name: string, settings: string[]]
const NODENEXT = ['--module', 'nodenext']
const resolutions: Record<Peers, Resolution[]> = {
  lowest: [['7.0', 'nodenext', NODENEXT]],
  newest: [
    ['5.9', 'nodenext', NODENEXT],
    ['7.0', 'nodenext', NODENEXT],
    ['7.0', 'node16', ['--module', 'node16']],
    ['7.0', 'bundler', ['--module', 'esnext', '--moduleResolution', 'bundler']],
  ],
}

type Runtime = [name: string, adapter: string, find: () => Promise<string>]
const node = (major: number, adapter: string): Runtime => [
  `Node.js ${major}`,
  adapter,
  () => nodeBinary(major),
]
const runtimes: Record<Peers, Runtime[]> = {
  lowest: [node(20, 'express'), node(26, 'hono')],
  newest: [
    node(22, 'express'),
    node(24, 'hono'),
    ['Bun', 'express', async () => runtimeBinary('bun', inject('frameworks'))],
    ['Deno', 'hono', async () => runtimeBinary('deno', inject('frameworks'))],
  ],
}

describe.each(['lowest', 'newest'] as const)('with the %s versions of peers', (peers) => {
  let project: Project
  let redis: RedisServer
  beforeAll(async () => {
    ;[project, redis] = await Promise.all([install(peers), startRedis({ aof: 'everysec' })])
    await project.run([
      process.execPath,
      TSC_OF_THIS,
      ...TSC,
      ...NODENEXT,
      '--noCheck',
      '--outDir',
      '.',
      'server.ts',
    ])
  })
  afterAll(async () => {
    await redis[Symbol.asyncDispose]()
    await project[Symbol.asyncDispose]()
  })

  test.each(resolutions[peers])(
    'TypeScript %s finds no fault, resolving as %s',
    async (version, name, settings) => {
      const compiler = version === '5.9' ? tsc : TSC_OF_THIS
      const files = name === 'nodenext' ? [...FILES, 'common.cts'] : FILES
      const command: Command = [process.execPath, compiler, ...TSC, '--noEmit', ...settings, ...files]
      expect(await project.run(command)).toBe('')
    },
  )

  test.concurrent.each(runtimes[peers])(
    '%s: a call outlives its process, over Redis and %s',
    async (runtime, adapter, find) => {
      const binary = await find()
      const command: Command =
        runtime === 'Deno' ? [binary, 'run', '--allow-all', 'server.js'] : [binary, 'server.js']
      const env = { REDIS_URL: redis.url, ADAPTER: adapter, PREFIX: runtime.replace(' ', '-') }
      await using first = await project.start(command, env)
      await using second = await project.start(command, env)
      await expectCallOutlives(2, first, second)
    },
  )

  test('CommonJS gets every import with require()', async () => {
    const ids = imports.filter((id) => !id.endsWith('/testing/store'))
    await project.write(
      'imports.cjs',
      `for (const id of ${JSON.stringify(ids)}) require(id); console.log('all')`,
    )
    for (const major of [20, 22, 24, 26])
      expect(await project.run([await nodeBinary(major), 'imports.cjs'])).toBe('all\n')
  })
})
