import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Child } from '../../test-support/child.js'
import { freePort, startRedis } from '../../test-support/index.js'
import { Router } from '../../tests/support/router.js'

// docs/quick-start.md as a reader follows it: its files as they are, and the kill.

const DOC = fileURLToPath(new URL('../../docs/quick-start.md', import.meta.url))
const HERE = fileURLToPath(new URL('..', import.meta.url))
const READY = /^listening on http:\S+\/mcp, process \d+$/

test('the call of the quick start survives the kill of its process', { timeout: 90_000 }, async () => {
  const text = await readFile(DOC, 'utf8')
  const [server = '', client = ''] = [...text.matchAll(/```js\n(.*?)```/gs)].map(([, code = '']) => code)
  // Within examples, where the packages are installed.
  const dir = await mkdtemp(join(HERE, 'node_modules/.quick-start-'))
  await using redis = await startRedis()
  const start = async (file: string, env: Record<string, string>) =>
    Child.spawn(process.execPath, [join(dir, file)], { env: { ...process.env, ...env } })
  try {
    await writeFile(join(dir, 'server.mjs'), server)
    await writeFile(join(dir, 'client.mjs'), client)
    const startNode = async () => {
      const port = await freePort()
      const child = await start('server.mjs', { PORT: String(port), REDIS_URL: redis.url })
      return { child, name: String(port), url: `http://127.0.0.1:${port}` }
    }
    // The next process runs already: how long one takes to start is not what is tested.
    const nodes = [await startNode(), await startNode()] as const
    const [first, second] = nodes
    await using killed = first.child
    await using other = second.child
    await Promise.all(nodes.map(({ child }) => child.waitForLine(READY, 30_000)))
    await using router = await Router.start(first)
    await using caller = await start('client.mjs', { MCP_URL: router.url.href })
    await caller.waitForLine(/^ordered$/, 30_000)
    router.others(second)
    await killed.kill('SIGKILL')
    expect(await caller.exited).toMatchObject({ code: 0 })
    expect(caller.output.trim()).toBe(
      `ordered\ntea, ordered by process ${killed.pid}, charged by process ${other.pid}`,
    )
    expect(await other.kill('SIGTERM')).toMatchObject({ code: 0 })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})
