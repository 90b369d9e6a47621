import { expect, test } from 'vitest'
import { System } from './support/system.js'

// Nodes of two versions of the code, killed one after the other.

test('a rolling deploy with a pin: SIGKILL, and the call goes on with its own code while there is some', async () => {
  await using system = await System.start({ nodes: 0 })
  const add = (version: string) =>
    system.add([
      '--options',
      JSON.stringify({ retryMs: 20, version, whenVersionsDiffer: { pinForMs: 60_000 } }),
    ])
  const runs = async (count: number) => {
    const runsOf = async () => (await system.ledger('look', 'deploy')).map(({ pid }) => pid)
    await expect.poll(async () => (await runsOf()).length).toBe(count)
    return (await runsOf()).at(-1)
  }

  const first = await add('v1')
  const router = await system.router(first)
  const client = await system.client(1, router)
  const looking = client.call('look', { gate: 'deploy' })
  expect(await runs(1)).toBe(first.pid)

  const [second, next] = [await add('v1'), await add('v2')]
  router.others(next)
  await first.kill('SIGKILL')
  expect(await runs(2)).toBe(second.pid)

  // The last one with the old code: the new code goes on.
  await second.kill('SIGKILL')
  expect(await runs(3)).toBe(next.pid)
  await system.openGate('deploy')
  expect(await looking).toEqual({ text: 'deploy', pid: next.pid })
})
