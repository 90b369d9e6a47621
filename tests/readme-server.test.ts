import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort, npmInstall, packPackages, spawnNode } from '../test-support/index.js'
import { majors, TestClient } from './support/client.js'
import { Router } from './support/router.js'

// What a stranger does: an empty folder, the `npm install` line of the README, its server in a file, plain `node`, and `kill -9`.

const ROOT = fileURLToPath(new URL('..', import.meta.url))
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-empty-'))
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
  const names = only(readme.matchAll(/^npm install (.+)$/gm)).split(' ')
  const server = only(readme.matchAll(/^```js\n(.*?)^```$/gms))
  const packed = await packPackages(folder, 'core', 'sqlite-store', 'redis-store', 'cli')
  expect(names).toEqual(expect.arrayContaining(['@mcp-durable/core', '@mcp-durable/sqlite-store']))
  const others = names.filter((name) => !name.startsWith('@mcp-durable/'))
  // As the README says of Node.js 20.
  if (!isBuiltin('node:sqlite')) others.push(only(readme.matchAll(/`npm install (libsql)`/g)))
  await npmInstall(folder, ...packed.map(({ tarball }) => tarball), ...others)
  await writeFile(join(folder, 'server.mjs'), server)
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

test.each(majors)('the server of the README goes on where it was killed, client of SDK %i', async (major) => {
  const port = await freePort()
  await using first = await start(port)
  await using router = await Router.start({ name: 'the server', url: first.url })
  await using client = await TestClient.connect(major, router)
  // How long a process takes to start is not what is tested.
  const release = router.hold('resume')
  let killed: Promise<unknown> | undefined
  const onprogress = () => {
    killed = first.kill('SIGKILL')
  }
  const called = client.api.callTool('order', { item: 'tea' }, { onprogress })
  await first.exited
  await killed
  await using second = await start(port)
  release()
  const [content] = await called
  expect(content?.text).toBe(`tea, ordered by process ${first.pid}, charged by process ${second.pid}`)
  expect(await client.api.listTools()).toEqual(['order'])
  // What clients and tools have said is for nobody else.
  expect((await stat(join(folder, 'mcp.db'))).mode & 0o777).toBe(0o600)
  expect(await second.kill('SIGTERM')).toEqual({ code: 0, signal: null })
})

test('the command of @mcp-durable/cli looks into its file', async () => {
  const command = join(folder, 'node_modules/.bin/mcp-durable')
  const { stdout } = await promisify(execFile)(command, ['doctor', '--sqlite', 'mcp.db', '--json'], {
    cwd: folder,
  }).catch((error: { stdout: string }) => error)
  expect(JSON.parse(stdout)).toBeTypeOf('object')
})

function start(port: number) {
  const env = { PORT: String(port), NODE_OPTIONS: '' }
  return spawnNode(join(folder, 'server.mjs'), [], {
    env,
    cwd: folder,
    ready: /listening on (http:\/\/[^/]+)/,
  })
}

function only(matches: Iterable<RegExpMatchArray>): string {
  const found = [...matches]
  expect(found).toHaveLength(1)
  return found[0]?.[1] ?? ''
}
