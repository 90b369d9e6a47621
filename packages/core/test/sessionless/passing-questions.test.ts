import { acceptedContent, inputRequired, McpServer } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { durableTool } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import { META } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import type { AloneWhere } from '../support/alone.js'
import { startPassing } from '../support/passing.js'
import { expectJson, textOf } from '../support/session.js'
import type { HostKind } from '../support/wrapped.js'

// A server behind HTTP that needs no session, and ends a request by asking for input.

type Result = { resultType: string; inputRequests: Record<string, unknown>; requestState: string }
const CAPABILITIES = { [META.clientCapabilities]: { elicitation: { form: {} } } }
/** With spaces, so that no id holds it by chance. */
const OWN = 'the server’s own'
const name = (value: string) => ({ name: { action: 'accept', content: { value } } })

/** Asks for a name by itself, and notes each time that it is run. */
function asking(ran: string[]): McpServer {
  const server = new McpServer({ name: 'asking', version: '1' })
  const form = {
    message: 'Name?',
    requestedSchema: { type: 'object' as const, properties: { value: { type: 'string' as const } } },
  }
  server.registerTool('ask', { inputSchema: z.object({ text: z.string() }) }, ({ text }, { mcpReq }) => {
    const given = acceptedContent<{ value: string }>(mcpReq.inputResponses, 'name')
    ran.push(given ? `${String(mcpReq.requestState())}: ${given.value}` : 'asks')
    if (given) return { content: [{ type: 'text' as const, text: `${text} ${given.value}` }] }
    return inputRequired({
      inputRequests: { name: inputRequired.elicit(form) },
      requestState: OWN,
    })
  })
  server.registerPrompt('ask', {}, ({ mcpReq }) => {
    const given = acceptedContent<{ value: string }>(mcpReq.inputResponses, 'name')
    ran.push(given ? `${String(mcpReq.requestState())}: ${given.value}` : 'asks')
    if (!given)
      return inputRequired({ inputRequests: { name: inputRequired.elicit(form) }, requestState: 'prompt' })
    return { messages: [{ role: 'user' as const, content: { type: 'text' as const, text: given.value } }] }
  })
  return server
}

/** Nodes before such a server, and its client. */
async function begin(host: HostKind, ran: string[]) {
  const nodes = await startPassing({ host, settings: { server: () => asking(ran) } })
  const client = new Alone(nodes)
  const call = (more: Record<string, unknown> = {}, where: AloneWhere = {}) =>
    client.request(
      'tools/call',
      { name: 'ask', arguments: { text: 'hello' }, ...more },
      {
        meta: CAPABILITIES,
        ...where,
      },
    )
  const last = async (...asked: Parameters<typeof call>) => {
    const text = await (await call(...asked)).text()
    const [data = ''] = text
      .split('\n')
      .filter((line) => line.startsWith('data: {'))
      .slice(-1)
    return JSON.parse(data.slice('data: '.length)) as { result: Result }
  }
  return { nodes, client, call, last }
}

describe.each(['handler', 'upstream'] as const)('a %s that asks by itself', (host) => {
  test('is told the answer with its own state, which the client never gets', async () => {
    const ran: string[] = []
    const { nodes, last } = await begin(host, ran)
    await using _ = nodes
    const { result } = await last()
    expect(result).toMatchObject({
      resultType: 'input_required',
      inputRequests: { name: { method: 'elicitation/create', params: { message: 'Name?' } } },
    })
    expect(result.requestState).not.toContain(OWN)
    const answered = await last(
      { requestState: result.requestState, inputResponses: name('Ann') },
      { node: 1 },
    )
    expect(textOf(answered as never)).toBe('hello Ann')
    expect(ran).toEqual(['asks', `${OWN}: Ann`])
  })

  test('the first answer counts, however often it is sent', async () => {
    const ran: string[] = []
    const { nodes, last } = await begin(host, ran)
    await using _ = nodes
    const { requestState } = (await last()).result
    const answers = await Promise.all(
      ['Ann', 'Ben', 'Cleo'].map((value, n) =>
        last({ requestState, inputResponses: name(value) }, { node: n % 2, id: value }),
      ),
    )
    expect(answers.map((answer) => (answer as unknown as { id: string }).id)).toEqual(['Ann', 'Ben', 'Cleo'])
    expect(new Set(answers.map((answer) => textOf(answer as never))).size).toBe(1)
    expect(ran).toHaveLength(2)
  })

  test.each([
    ['another caller', {}, { who: 'eve/1' }],
    ['another request', { arguments: { text: 'other' } }, {}],
    ['nobody', { requestState: 'made up' }, {}],
  ] as const)('of %s a state is refused', async (_who, more, where) => {
    const ran: string[] = []
    const { nodes, call, last } = await begin(host, ran)
    await using _ = nodes
    const { requestState } = (await last({}, { who: 'ann/1' })).result
    const response = await call(
      { requestState, inputResponses: name('Eve'), ...more },
      { who: 'ann/1', node: 1, ...where },
    )
    expect(await expectJson(response)).toMatchObject({
      error: { code: -32602, data: { reason: 'invalid_request_state' } },
    })
    expect(ran).toEqual(['asks'])
  })

  test('in a prompt as well', async () => {
    const ran: string[] = []
    const { nodes, client } = await begin(host, ran)
    await using _ = nodes
    const get = async (more: object, node: number) => {
      const response = await client.request(
        'prompts/get',
        { name: 'ask', ...more },
        { node, meta: CAPABILITIES },
      )
      const lines = (await response.text()).split('\n').filter((line) => line.includes('{'))
      return JSON.parse(lines.at(-1)!.replace('data: ', '')) as { result: Result & { messages: unknown } }
    }
    const { requestState, resultType, ...rest } = (await get({}, 0)).result
    expect(resultType).toBe('input_required')
    expect(rest).not.toHaveProperty('ttlMs')
    const { result } = await get({ requestState, inputResponses: name('Ann') }, 1)
    expect(result.messages).toMatchObject([{ content: { text: 'Ann' } }])
    expect(ran).toEqual(['asks', 'prompt: Ann'])
  })
})

test('an upstream that has asked, and is away when the answer comes: it may come again', async () => {
  const ran: string[] = []
  const { nodes, client, call, last } = await begin('upstream', ran)
  await using _ = nodes
  const { requestState } = (await last()).result
  const answer = { requestState, inputResponses: name('Ann') }
  await nodes.upstream!.cut()
  // A connection that was kept may just have been closed, and nobody knows what went over it.
  await client.request('tools/list')
  expect((await call(answer)).status).toBe(502)
  await nodes.upstream!.listen()
  expect(textOf((await last(answer, { node: 1 })) as never)).toBe('hello Ann')
  expect(ran).toEqual(['asks', `${OWN}: Ann`])
})

test('a durable tool of a handler without sessions asks its client, and goes on where it was', async () => {
  let ran = 0
  const server = () => {
    const made = new McpServer({ name: 'durable', version: '1' })
    const form = { message: 'Name?', requestedSchema: { type: 'object' as const, properties: {} } }
    const work = durableTool(async (_args: unknown, ctx: DurableContext) => {
      await ctx.atLeastOnce('before', () => ++ran)
      return { content: [{ type: 'text' as const, text: JSON.stringify(await ctx.elicit('name', form)) }] }
    })
    made.registerTool('work', {}, work as never)
    return made as never
  }
  await using nodes = await startPassing({ host: 'handler', settings: { server } })
  const client = new Alone(nodes)
  await using stream = await client.call('work', {}, { meta: CAPABILITIES })
  const { result } = (await stream.messages()).at(-1) as unknown as { result: Result }
  expect(result).toMatchObject({ resultType: 'input_required', inputRequests: { name: {} } })
  await nodes.mcp(0).close({ graceMs: 0 })
  const more = { requestState: result.requestState, inputResponses: name('Ann') }
  await using answered = await client.call('work', {}, { node: 1, meta: CAPABILITIES, more })
  expect(textOf((await answered.messages()).at(-1))).toContain('Ann')
  expect(ran).toBe(1)
  // What another client can do is no matter of this one.
  await using unable = await client.call('work', {}, { node: 1 })
  expect((await unable.messages()).at(-1)).toMatchObject({ error: { code: -32021 } })
})
