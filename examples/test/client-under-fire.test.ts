import { setTimeout as sleep } from 'node:timers/promises'
import { connect, durableFetch } from '@mcp-durable/core/client'
import { expect, test } from 'vitest'
import { cutter } from '../../packages/core/test/client/cut.js'
import { freePort, spawnNode } from '../../test-support/index.js'
import type { LedgerEntry } from '../src/examples/outside-service.js'
import { program } from './run-program.js'
import { ownRedis } from './own-redis.js'

const redisUrl = await ownRedis()
const seconds = 8

test('no call fails, and no step is done twice, while nodes are killed and connections cut', async () => {
  await using service = await spawnNode(program('steps/service'), ['--port', '0'])
  const start = (port: string) =>
    spawnNode(program('steps/server'), ['--port', port, '--redis', redisUrl, '--service', service.url])
  const nodes = [await start(String(await freePort())), await start(String(await freePort()))]
  await using proxy = await cutter(nodes.map(({ url }) => url))
  let retries = 0
  await using connection = await connect(proxy.url, { fetch: durableFetch({ onRetry: () => retries++ }) })
  const until = Date.now() + seconds * 1000
  const running = () => Date.now() < until
  let calls = 0

  const call = async (worker: number) => {
    while (running()) {
      const order = `${worker}-${calls++}`
      const result = await connection.client.callTool({ name: 'fulfil_order', arguments: { order } })
      expect(result).not.toHaveProperty('isError')
    }
  }
  const kill = async () => {
    for (let victim = 0; running(); victim = 1 - victim) {
      await sleep(1500)
      const { port } = new URL(nodes[victim]!.url)
      await nodes[victim]!.kill('SIGKILL')
      nodes[victim] = await start(port)
    }
  }
  const cut = async () => {
    for (; running(); await sleep(150)) proxy.cut()
  }
  await Promise.all([call(0), call(1), call(2), kill(), cut()])

  const ledger = (await (await fetch(`${service.url}/ledger`)).json()) as LedgerEntry[]
  const done = ledger
    .filter(({ outcome }) => outcome === 'done')
    .map(({ subject, action }) => subject + action)
  expect(new Set(done).size).toBe(done.length)
  expect(done).toHaveLength(calls * 3)
  expect(retries).toBeGreaterThan(0)
  await connection.end()
  // After a failure they end with this process.
  await Promise.all(nodes.map((node) => node.kill()))
})
