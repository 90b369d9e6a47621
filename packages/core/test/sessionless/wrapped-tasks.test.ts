import { acceptedContent, inputRequired, McpServer } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { TASKS } from '../../src/protocol.js'
import { startNodes } from '../support/nodes.js'
import type { NodesOptions } from '../support/nodes.js'
import { QUICK, startPassing } from '../support/passing.js'
import { expectJson } from '../support/session.js'
import { errorOf, resultOf, Taker, TAKES_NONE } from '../support/taker.js'

// Calls of servers behind HTTP can be tasks, whatever version those speak.

const start = ({ settings, ...options }: NodesOptions = {}) =>
  startNodes({ ...options, settings: { ...QUICK, retryMs: 20, tasks: 'always', ...settings } })

const BEHIND: [name: string, options: NodesOptions][] = (['handler', 'upstream'] as const).flatMap(
  (host): [string, NodesOptions][] => [
    [`${host} without sessions`, { host, alone: 'only' }],
    [`${host} with sessions, SDK 1.x`, { host, sdk: 'v1' }],
    [`${host} with sessions, SDK 2.x`, { host, sdk: 'v2' }],
  ],
)

describe.each(BEHIND)('before a %s', (_name, options) => {
  test('a call is a task, which any node tells of', async () => {
    await using nodes = await start(options)
    const taker = new Taker(nodes)
    const created = await taker.call({ args: { text: 'hello' } }, 'echo')
    expect(created).toMatchObject({ resultType: 'task', status: 'working' })
    const { result } = await taker.until(created, 'completed', { node: 1 })
    expect(result?.content[0]?.text).toBe('hello')
    expect(result).toMatchObject({ resultType: 'complete' })
  })

  test('who takes none gets none, and it is said that there are tasks', async () => {
    await using nodes = await start(options)
    const taker = new Taker(nodes)
    const none = await taker.call({ args: { text: 'hello' }, meta: TAKES_NONE }, 'echo')
    expect(none).toMatchObject({ resultType: 'complete' })
    const discovered = await expectJson(await taker.client.request('server/discover'))
    expect(discovered).toMatchObject({ result: { capabilities: { extensions: { [TASKS]: {} } } } })
  })

  test('only those of the tools that are named are', async () => {
    await using nodes = await start({ ...options, settings: { tasks: { echo: 'always' } } })
    const taker = new Taker(nodes)
    expect(await taker.call({ args: { text: '' } }, 'echo')).toMatchObject({ resultType: 'task' })
    expect(await taker.call({ args: { steps: 1 } }, 'progress')).toMatchObject({ resultType: 'complete' })
  })

  test('an unknown one is answered as everywhere', async () => {
    await using nodes = await start(options)
    const answer = await errorOf(await new Taker(nodes).about('get', 'A'.repeat(22)))
    expect(answer.code === -32602 || answer.code === -32601).toBe(true)
  })
})

test.each(['v1', 'v2'] as const)('what a tool with a session asks, a task asks (SDK %s)', async (sdk) => {
  await using nodes = await start({ host: 'upstream', sdk })
  const taker = new Taker(nodes)
  const created = await taker.call({ args: { question: 'elicitation', related: true } }, 'ask')
  const { inputRequests = {} } = await taker.until(created, 'input_required', { node: 1 })
  const [key = ''] = Object.keys(inputRequests)
  expect(inputRequests[key]?.method).toBe('elicitation/create')
  const inputResponses = { [key]: { action: 'accept', content: { answer: 'yes' } } }
  await taker.about('update', created.taskId, { inputResponses }, { node: 1 })
  expect((await taker.until(created, 'completed')).result?.content[0]?.text).toContain('yes')
})

/** Asks twice by itself, and notes each time that it is run. */
function asking(ran: string[]): McpServer {
  const server = new McpServer({ name: 'asking', version: '1' })
  const form = {
    message: 'Name?',
    requestedSchema: { type: 'object' as const, properties: { value: { type: 'string' as const } } },
  }
  server.registerTool('ask', { inputSchema: z.object({ text: z.string() }) }, ({ text }, { mcpReq }) => {
    const given = acceptedContent<{ value: string }>(mcpReq.inputResponses, 'name')
    const before = typeof mcpReq.requestState() === 'string' ? `${String(mcpReq.requestState())} ` : ''
    ran.push(given ? given.value : 'asks')
    const all = `${before}${given?.value ?? ''}`
    if (all.split(' ').length === 3) return { content: [{ type: 'text' as const, text: `${text} ${all}` }] }
    return inputRequired({
      inputRequests: { name: inputRequired.elicit(form) },
      requestState: all || 'state',
    })
  })
  return server
}

describe.each(['handler', 'upstream'] as const)('a %s without sessions that asks by itself', (host) => {
  test('is told the answers as the task is updated, each once', async () => {
    const ran: string[] = []
    const settings = { server: () => asking(ran), tasks: 'always' as const }
    await using nodes = await startPassing({ host, settings })
    const taker = new Taker(nodes)
    const created = await taker.call({}, 'ask')
    const answer = (value: string, node: number, key = 'name') => {
      const inputResponses = { [key]: { action: 'accept', content: { value } } }
      return taker.about('update', created.taskId, { inputResponses }, { node })
    }
    const first = await taker.until(created, 'input_required', { node: 1 })
    expect(first.inputRequests).toMatchObject({ name: { method: 'elicitation/create' } })
    expect(first).not.toHaveProperty('requestState')
    expect(resultOf(await expectJson(await answer('Ann', 1)))).toMatchObject({ resultType: 'complete' })
    await expect.poll(() => ran).toEqual(['asks', 'Ann'])
    const second = await taker.until(created, 'input_required')
    // The server asks under the same name; to the client it is another question.
    const [key = ''] = Object.keys(second.inputRequests ?? {})
    expect(key).not.toBe('name')
    await answer('Ann', 0)
    expect(await taker.get(created)).toMatchObject({ status: 'input_required' })
    await answer('Bob', 0, key)
    const { result } = await taker.until(created, 'completed', { node: 1 })
    expect(result?.content[0]?.text).toBe('x state Ann Bob')
    expect(ran).toEqual(['asks', 'Ann', 'Bob'])
  })

  test('is not told answers to what it has not asked', async () => {
    const ran: string[] = []
    const settings = { server: () => asking(ran), tasks: 'always' as const }
    await using nodes = await startPassing({ host, settings })
    const taker = new Taker(nodes)
    const created = await taker.call({}, 'ask')
    await taker.until(created, 'input_required')
    const inputResponses = { other: { action: 'accept', content: { value: 'Bob' } } }
    expect((await taker.about('update', created.taskId, { inputResponses })).status).toBe(200)
    expect((await taker.about('update', created.taskId, {})).status).toBe(400)
    expect(await taker.get(created)).toMatchObject({ status: 'input_required' })
    expect(ran).toEqual(['asks'])
  })

  test('is not told an answer when the task is cancelled before', async () => {
    const ran: string[] = []
    const settings = { server: () => asking(ran), tasks: 'always' as const }
    await using nodes = await startPassing({ host, settings })
    const taker = new Taker(nodes)
    const created = await taker.call({}, 'ask')
    await taker.until(created, 'input_required', { node: 1 })
    await taker.about('cancel', created.taskId)
    await taker.until(created, 'cancelled', { node: 1 })
    const inputResponses = { name: { action: 'accept', content: { value: 'Ann' } } }
    await taker.about('update', created.taskId, { inputResponses })
    expect(await taker.get(created)).toMatchObject({ status: 'cancelled' })
    expect(ran).toEqual(['asks'])
  })
})
