import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Child } from '../../test-support/child.js'
import { freePort } from '../../test-support/index.js'
import { Router } from '../../tests/support/router.js'

// docs/quick-start.md as a reader follows it: its files as they are, and the kill.

const DOC = fileURLToPath(new URL('../../docs/quick-start.md', import.meta.url))
const HERE = fileURLToPath(new URL('..', import.meta.url))
const READY = /^listening on http:\S+\/mcp, process \d+$/

test('the call of the quick start survives the kill of its process', async () => {
  const text = await readFile(DOC, 'utf8')
  const [server = '', client = ''] = [...text.matchAll(/```js\n(.*?)```/gs)].map(([, code = '']) => code)
  // Within examples, where the packages are installed.
  const dir = await mkdtemp(join(HERE, 'node_modules/.quick-start-'))
  const port = String(await freePort())
  const run = (file: string, env: Record<string, string>) =>
    Child.spawn(process.execPath, [file], { cwd: dir, env: { ...process.env, ...env } })
  const startServer = async () => {
    const child = await run('server.mjs', { PORT: port })
    await child.waitForLine(READY)
    return child
  }
  try {
    await writeFile(join(dir, 'server.mjs'), server)
    await writeFile(join(dir, 'client.mjs'), client)
    await using killed = await startServer()
    await using router = await Router.start({ name: 'the server', url: `http://127.0.0.1:${port}` })
    // How long a process takes to start is not what is tested.
    const release = router.hold('resume')
    await using caller = await run('client.mjs', { MCP_URL: router.url.href })
    await caller.waitForLine(/^ordered$/)
    await killed.kill('SIGKILL')
    await using next = await startServer()
    release()
    expect(await caller.exited).toMatchObject({ code: 0 })
    expect(caller.output.trim()).toBe(
      `ordered\ntea, ordered by process ${killed.pid}, charged by process ${next.pid}`,
    )
    expect(await next.kill('SIGTERM')).toMatchObject({ code: 0 })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})
