import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { spawnNode, waitFor } from '../test-support/index.js'
import { order } from './support/order.js'
import { pauseOutsideOfTransaction } from './support/sqlite.js'

/** Nobody waits for the end of one. */
const SETTINGS = JSON.stringify({ leaseMs: 600_000, heartbeatMs: 200, sweepMs: 200 })

test('a node that is killed is found at once although another one stands still; that one is not taken for dead', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-stopped-'))
  const [file, ledger] = [join(folder, 'mcp.db'), join(folder, 'ledger')]
  const start = () => spawnNode('tests/dist/parting-node.js', [file, ledger, 'charge', SETTINGS])
  const effects = async () => (await readFile(ledger, 'utf8').catch(() => '')).trim().split('\n')
  const ran = async (step: string, { pid }: { pid: number }) => (await effects()).includes(`${step} ${pid}`)
  try {
    await using killed = await start()
    await using stopped = await start()
    await order(killed.url)
    await order(stopped.url)
    await waitFor(async () => (await ran('ship', killed)) && (await ran('ship', stopped)))
    await pauseOutsideOfTransaction(stopped, file)
    // The one that takes over has never heard of the one that stands still.
    await using heir = await start()
    await killed.kill('SIGKILL')
    await waitFor(() => ran('ship', heir), {
      what: 'the call of the killed node going on',
    })

    await writeFile(`${ledger}.gate`, '')
    stopped.resume()
    await waitFor(async () => (await fetch(new URL('/mcp', stopped.url))).status < 500)
    expect((await effects()).filter((what) => what.startsWith('ship'))).toEqual([
      `ship ${killed.pid}`,
      `ship ${stopped.pid}`,
      `ship ${heir.pid}`,
    ])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
