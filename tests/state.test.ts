import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spawnNode, startRedis } from '../test-support/index.js'
import type { NodeProcess, RedisServer } from '../test-support/index.js'
import { RawStream, type JsonRpc } from './support/raw.js'

// A node dies (SIGKILL) at each operation that a change of a principal's state, and of a handle's, takes.

type Changed = { own: number; shared: number; id: string; operations: string[] }

const prefix = `test-${randomUUID()}`
let redis: RedisServer
let survivor: NodeProcess
beforeAll(async () => {
  redis = await startRedis()
  survivor = await start()
})
afterAll(async () => {
  await survivor.kill('SIGKILL')
  await redis[Symbol.asyncDispose]()
})

const start = (...death: string[]) => spawnNode('tests/dist/state-node.js', [redis.url, prefix, ...death])

/** A request in protocol 2026-07-28. */
async function send(node: NodeProcess, user: string, name: string, args: object = {}) {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': name,
    'x-user': user,
  }
  const claim = 'io.modelcontextprotocol'
  const _meta = { [`${claim}/protocolVersion`]: '2026-07-28', [`${claim}/clientCapabilities`]: {} }
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name, arguments: args, _meta },
  })
  return new RawStream(await fetch(node.url, { method: 'POST', headers, body }), new AbortController())
}

async function resume(node: NodeProcess, user: string, cursor: string) {
  const headers = {
    accept: 'text/event-stream',
    'mcp-protocol-version': '2026-07-28',
    'last-event-id': cursor,
    'x-user': user,
  }
  return new RawStream(await fetch(node.url, { headers }), new AbortController())
}

function resultOf(message: JsonRpc | undefined): unknown {
  const { content } = (message?.result ?? { content: [] }) as { content: { text: string }[] }
  return JSON.parse(content[0]?.text ?? 'null')
}

/** Calls the tool, and goes on at the survivor if its node dies; then what is there for everybody. */
async function change(node: NodeProcess, user: string) {
  const stream = await send(node, user, 'change')
  const [primed] = await stream.events.atLeast(1)
  await fetch(new URL('/primed', node.url))
  await stream.ended
  const response = stream.messages.at(-1) ?? (await rest(user, primed?.id ?? ''))
  const changed = resultOf(response) as Changed
  const looked = await send(survivor, user, 'look', { id: changed.id })
  await looked.ended
  return { changed, there: resultOf(looked.messages.at(-1)) }
}

async function rest(user: string, cursor: string) {
  const stream = await resume(survivor, user, cursor)
  await stream.ended
  return stream.messages.at(-1)
}

/** Each in a process of its own, and a few at a time. */
const POINTS = Array.from({ length: 14 }, (_, place) => place + 1)

test('what the tool asks of the store is what the points below are', async () => {
  const { changed, there } = await change(survivor, 'first')
  expect(changed).toMatchObject({ own: 1, shared: 1 })
  expect(there).toEqual({ own: 1, shared: 1 })
  expect(changed.operations).toHaveLength(POINTS.length - 1)
  expect(changed.operations.filter((name) => name === 'writeValue')).toHaveLength(2)
})

describe.each(['sent', 'after'])('killed when an operation is done: %s', (moment) => {
  test.each(POINTS)('number %i: each change is made once, and told as it was made', async (number) => {
    const victim = await start(String(number), moment)
    const user = `${moment} ${number}`
    const { changed, there } = await change(victim, user)
    expect(await victim.exited).toMatchObject({ signal: 'SIGKILL' })
    expect(changed).toMatchObject({ own: 1, shared: 1 })
    expect(there).toEqual({ own: 1, shared: 1 })
  })
})
