import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { cli, json, out } from '../packages/cli/test/support/cli.js'
import { spawnNode, waitFor } from '../test-support/index.js'
import { order } from './support/order.js'

// Three deploys of one tool, each a process of its own over one file; the second has renamed a step that has ended.

test('SIGKILL, a deploy whose step has another name, and one that has it back: parked meanwhile, nothing run twice', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-diverged-'))
  const [file, ledger] = [join(folder, 'mcp.db'), join(folder, 'ledger')]
  const deploy = (charge: string) => spawnNode('tests/dist/parting-node.js', [file, ledger, charge])
  const effects = async () =>
    (await readFile(ledger, 'utf8')).split('\n').map((line) => line.replace(/ \d+$/, ''))
  const on = ['--sqlite', file, '--full-ids']
  try {
    await using first = await deploy('charge')
    const call = await order(first.url)
    await waitFor(async () => (await effects()).includes('ship'))
    await first.kill('SIGKILL')

    await using second = await deploy('charge-card')
    await waitFor(() => second.output.includes('DivergenceError'))
    expect(second.output).toMatch(/DivergenceError: .*"charge" as number 1.*"charge-card"/)
    const listed = await waitFor(async () => {
      const { calls } = await json<{ calls: object[] }>('', 'calls', '--status', 'diverged', ...on)
      return calls.length > 0 && calls
    })
    expect(listed).toMatchObject([{ call, status: 'diverged' }])
    expect(await out('', 'call', call, ...on)).toMatch(/parked: .*"charge" as number 1.*"charge-card"/)
    expect((await cli('', 'doctor', ...on)).stdout).toMatch(/parked calls.*1 call that the code does not fit/)

    await using third = await deploy('charge')
    await waitFor(async () => (await effects()).filter((what) => what === 'ship').length === 2, {
      what: 'the third deploy going on',
    })
    await writeFile(`${ledger}.gate`, '')
    await waitFor(async () => {
      const shown = await out('', 'call', call, '--show-payloads', ...on)
      return shown.includes(`ended by ${third.pid}`)
    })
    expect(await effects()).toEqual(['charge', 'ship', 'ship', ''])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
