import { createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { spawnNode } from '../../test-support/index.js'
import { examples } from '../src/examples/catalog.js'
import { seededRandom } from '../src/examples/random.js'
import { program, runProgram } from './run-program.js'
import { ownRedis } from './own-redis.js'

const redisUrl = await ownRedis()
const all = examples.map(({ name }) => name)

describe('npm run examples', () => {
  test.each(all)('%s holds, with nodes that are killed on the way', async (name) => {
    const { code, stdout, stderr } = await runProgram('examples', [name, '--port', '0'])
    expect(stderr).toBe('')
    expect(stdout).toMatch(/✓ .* a node dies/)
    expect(stdout).toMatch(/all of it held/)
    expect(stdout).toContain(`held: ${name}`)
    expect(code).toBe(0)
  })

  test('share a file without Redis', async () => {
    const { code, stdout, stderr } = await runProgram('examples', ['steps', '--port', '0'], { REDIS_URL: '' })
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^kept in one file/)
    expect(stdout).toContain('held: steps')
    expect(code).toBe(0)
  })

  test('asks which, until q', async () => {
    const input = 'no such\n1\nq\n'
    const { code, stdout, stderr } = await runProgram('examples', ['--port', '0'], {}, input)
    expect(stderr).toBe('')
    for (const [index, name] of all.entries()) expect(stdout).toMatch(new RegExp(`${index + 1}  ${name} `))
    expect(stdout).toMatch(/There is no example 'no such'/)
    expect(stdout.match(/all of it held/g)).toHaveLength(1)
    expect(stdout.match(/^example: /gm)).toHaveLength(3)
    expect(code).toBe(0)
  })

  test('says that the port is taken, or the example unknown', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const taken = await runProgram('examples', ['audit', '--port', String(port)])
    server.close()
    expect(taken.stderr).toMatch(/port \d+ is taken/)
    expect(taken.code).toBe(1)
    const unknown = await runProgram('examples', ['audits'])
    expect(unknown.stderr).toMatch(/no example 'audits'\n\nusage: /)
    expect(unknown.code).toBe(2)
  })
})

describe('the clients', () => {
  test('fail when the ledger says otherwise', async () => {
    await using service = await spawnNode(program('steps/service'), ['--port', '0'])
    await using other = await spawnNode(program('steps/service'), ['--port', '0'])
    const flags = ['--port', '0', '--redis', redisUrl, '--service', service.url]
    await using node = await spawnNode(program('steps/server'), flags)
    const args = ['--url', `${node.url}/mcp`, '--service', other.url]
    const { code, stdout } = await runProgram('steps/client', args)
    expect(stdout).toMatch(/✗ .* three steps, one after the other/)
    expect(stdout).toMatch(/it did not hold/)
    expect(code).toBe(1)
  })
})

test('the random numbers of a seed are the same ones, and spread out', () => {
  const draw = (seed: number): number[] => {
    const random = seededRandom(seed)
    return Array.from({ length: 1000 }, random)
  }
  expect(draw(1)).toEqual(draw(1))
  expect(draw(1)).not.toEqual(draw(2))
  expect(Math.min(...draw(1))).toBeGreaterThanOrEqual(0)
  expect(Math.max(...draw(1))).toBeLessThan(1)
  expect(draw(1).reduce((sum, n) => sum + n) / 1000).toBeCloseTo(0.5, 1)
})
