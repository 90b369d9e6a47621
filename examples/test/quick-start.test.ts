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
const READY = /^http:\S+\/mcp, process \d+$/

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
    // The next process runs already: how long one takes to start is not what is tested.
    const ports = [await freePort(), await freePort()]
    const startNode = (port: number) => start('server.mjs', { PORT: String(port), REDIS_URL: redis.url })
    await using first = await startNode(ports[0]!)
    const firstReady = first.waitForLine(READY, 30_000)
    await using second = await startNode(ports[1]!)
    const nodes = [first, second]
    await Promise.all([firstReady, second.waitForLine(READY, 30_000)])
    await using router = await Router.start(
      ...ports.map((port) => ({ name: String(port), url: `http://127.0.0.1:${port}` })),
    )
    const began = Promise.race(nodes.map((node) => node.waitForLine(/^run 1 in process (\d+)$/, 30_000)))
    await using caller = await start('client.mjs', { MCP_URL: router.url.href })
    const [, pid] = await began
    const [killed, other] = pid === String(first.pid) ? [first, second] : [second, first]
    await killed.kill('SIGKILL')
    await other.waitForLine(/^run 2 in process \d+$/, 30_000)
    expect(await caller.exited).toMatchObject({ code: 0 })
    expect(caller.output.trim()).toBe(`tea: begun by ${killed.pid}, sent by ${other.pid}`)
    expect(await other.kill('SIGTERM')).toMatchObject({ code: 0 })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})
