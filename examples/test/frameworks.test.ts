import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Child, freePort, startRedis, type RedisServer } from '../../test-support/index.js'
import { TestClient } from '../../tests/support/client.js'
import { expectCallOutlives } from '../../tests/support/outlives.js'
import { Router } from '../../tests/support/router.js'
import { Recipes, runtimeBinary } from './recipes.js'

// docs/frameworks.md: each recipe runs as two processes, of which the first is killed in the middle of a call.

let recipes: Recipes
let redis: RedisServer

beforeAll(async () => {
  ;[recipes, redis] = await Promise.all([Recipes.prepare(), startRedis({ aof: 'everysec' })])
})
afterAll(async () => {
  await redis[Symbol.asyncDispose]()
  await recipes[Symbol.asyncDispose]()
})

type Command = (port: number) => [string, ...string[]]
const next = (...args: string[]) => [recipes.program('next/dist/bin/next'), ...args]
const commands: Record<string, Command> = {
  Fastify: () => [process.execPath, 'dist/fastify.js'],
  NestJS: () => [process.execPath, 'dist/nest.js'],
  'Next.js': (port) => [
    process.execPath,
    ...next('start', 'next', '--hostname', '127.0.0.1', '--port', `${port}`),
  ],
  Bun: () => [runtimeBinary('bun', recipes.frameworks), 'bun.ts'],
  Deno: () => [runtimeBinary('deno', recipes.frameworks), 'run', '--allow-all', 'deno.ts'],
}

test.each(Object.keys(commands))(
  'a call outlives its process with %s',
  { timeout: 600_000 },
  async (name) => {
    if (name === 'Next.js') await promisify(execFile)(process.execPath, next('build', 'next'), options())
    await using first = await start(name)
    await using second = await start(name)
    await expectCallOutlives(1, first, second)
  },
)

const graceful = Object.keys(commands).filter((name) => name !== 'Next.js')
test.each(graceful)('at SIGTERM a running call ends before its process does, with %s', async (name) => {
  await using node = await start(name)
  await using router = await Router.start({ name, url: node.url })
  await using client = await TestClient.connect(2, router)
  let ended: Promise<unknown> | undefined
  const onprogress = () => {
    ended = node.kill('SIGTERM')
  }
  const [content] = await client.api.callTool('order', { item: 'tea' }, { onprogress })
  expect(content?.text).toBe(`tea, ordered by process ${node.pid}, charged by process ${node.pid}`)
  await ended
})

test('every recipe is in docs/frameworks.md as it is tested', () => {
  const page = readFileSync(new URL('../../docs/frameworks.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/^```(?:ts|js)\n(.*?)^```$/gms)].map(([, code = '']) => code)
  const files = ['mcp.ts', 'fastify.ts', 'nest.ts', 'next/app/mcp/route.ts', 'next/next.config.mjs']
  const expected = [...files, 'bun.ts', 'deno.ts'].map((file) =>
    readFileSync(join(recipes.folder, file), 'utf8'),
  )
  expect(blocks).toEqual(expected)
})

async function start(name: string) {
  const port = await freePort()
  const [command, ...args] = commands[name]!(port)
  const child = await Child.spawn(command, args, options({ PORT: String(port) }))
  try {
    const [, url = ''] = await child.waitForLine(/(?:listening on|Local:) +(http:\/\/\S+)/)
    return Object.assign(child, { url })
  } catch (error) {
    await child.kill('SIGKILL')
    throw error
  }
}

function options(more: NodeJS.ProcessEnv = {}) {
  // Vitest sets NODE_ENV and NODE_OPTIONS for itself.
  const env = { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: '', NEXT_TELEMETRY_DISABLED: '1' }
  return { cwd: recipes.folder, env: { ...env, REDIS_URL: redis.url, ...more } as NodeJS.ProcessEnv }
}
