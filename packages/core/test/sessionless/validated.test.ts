import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { ElicitResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { durableTool } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import { waitFor } from '../../../../test-support/index.js'
import { Alone } from '../support/alone.js'
import { ask, Caller, form, resultOf } from '../support/caller.js'
import { startNodes } from '../support/nodes.js'
import { textOf } from '../support/session.js'

// What `validateEffects` compares when the client answers without a session.

const inputSchema = { text: z.string() }
const answer = (value: string) => ({ action: 'accept', content: { value } })

/** `asking` asks by the context, then by the SDK if `bySdk`; `drifting` comes to something else each time. */
function makeServer(bySdk: boolean) {
  const server = new McpServer({ name: 'validated', version: '1' })
  const asking = async ({ text }: { text: string }, ctx: DurableContext) => {
    const name = await ask(ctx, text)
    const { sendRequest } = ctx.extra as { sendRequest: (...asked: unknown[]) => Promise<object> }
    if (bySdk) await sendRequest({ method: 'elicitation/create', params: form('sdk?') }, ElicitResultSchema)
    return { content: [{ type: 'text' as const, text: name }] }
  }
  const drifting = async () => ({ content: [{ type: 'text' as const, text: String(Math.random()) }] })
  server.registerTool('asking', { inputSchema }, durableTool(asking as never))
  server.registerTool('drifting', { inputSchema }, durableTool(drifting))
  return server
}

test.each([
  ['that came with the first request', false],
  ['to a question of the SDK’s own', true],
])('an answer %s is no difference', async (_, bySdk) => {
  const settings = { eras: ['2026-07-28'] as const, server: () => makeServer(bySdk), validateEffects: true }
  await using nodes = await startNodes({ count: 1, settings })
  const client = new Alone(nodes)
  const caller = new Caller(client, 'asking')
  let result = await caller.last({ inputResponses: { x: answer('Ann') } })
  if (bySdk) result = await caller.retry(resultOf(result), ['yes'])
  expect(textOf(result)).toBe('Ann')
  await new Caller(client, 'drifting').last()
  const isTold = ({ message }: { message: string }) => message.startsWith('not repeatable')
  await waitFor(() => nodes.logs.some(isTold))
  expect(nodes.logs.filter(isTold).map(({ fields }) => fields)).toMatchObject([{ name: 'drifting' }])
})
