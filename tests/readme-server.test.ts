import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { npmInstall, packPackages, spawnNode, startRedis, type RedisServer } from '../test-support/index.js'
import { majors } from './support/client.js'
import { expectCallOutlives } from './support/outlives.js'

// What a stranger does: an empty folder, the `npm install` line of the README, its server in a file, and plain `node`.

const ROOT = fileURLToPath(new URL('..', import.meta.url))
let redis: RedisServer
let folder: string

beforeAll(async () => {
  redis = await startRedis({ aof: 'everysec' })
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-empty-'))
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
  const names = only(readme.matchAll(/^npm install (.+)$/gm)).split(' ')
  const server = only(readme.matchAll(/^```js\n(.*?)^```$/gms))
  const packed = await packPackages(folder, 'core', 'redis-store', 'cli')
  expect(names).toEqual(expect.arrayContaining(['@mcp-durable/core', '@mcp-durable/redis-store']))
  const others = names.filter((name) => !name.startsWith('@mcp-durable/'))
  await npmInstall(folder, ...packed.map(({ tarball }) => tarball), ...others)
  await writeFile(join(folder, 'server.mjs'), server)
}, 180_000)
afterAll(async () => {
  await redis[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

test.each(majors)('the server of the README outlives a SIGKILL, client of SDK %i', async (major) => {
  await using first = await start()
  await using second = await start()
  await expectCallOutlives(major, first, second)
})

test('the command of @mcp-durable/cli runs there', async () => {
  const command = join(folder, 'node_modules/.bin/mcp-durable')
  const { stdout } = await promisify(execFile)(command, ['doctor', '--redis', redis.url, '--json']).catch(
    (error: { stdout: string }) => error,
  )
  expect(JSON.parse(stdout)).toBeTypeOf('object')
})

function start() {
  const env = { PORT: '0', REDIS_URL: redis.url, NODE_OPTIONS: '' }
  return spawnNode(join(folder, 'server.mjs'), [], { env, ready: /listening on (http:\/\/[^/]+)/ })
}

function only(matches: Iterable<RegExpMatchArray>): string {
  const found = [...matches]
  expect(found).toHaveLength(1)
  return found[0]?.[1] ?? ''
}
