import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpServer as McpServerV2 } from '@modelcontextprotocol/server'
import { McpServer as OldestV1 } from 'sdk-oldest/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { durableTool } from '../../src/index.js'
import { Alone } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'
import { waitAt } from '../support/tools.js'

const SDKS: Record<string, typeof McpServerV1> = {
  '1.x': McpServerV1,
  'the oldest 1.x': OldestV1 as unknown as typeof McpServerV1,
  '2.x': McpServerV2 as unknown as typeof McpServerV1,
}
const text = (said: string) => ({ content: [{ type: 'text' as const, text: said }] })

/** One node, whose server objects can be closed by their own tools. */
async function start(Class: typeof McpServerV1) {
  let made = 0
  const server = () => {
    const own = new Class({ name: 'closing', version: '1' })
    const number = ++made
    const { world } = nodes
    own.registerTool('which', {}, async () => text(`number ${number}`))
    own.registerTool('close', {}, async () => {
      await own.close()
      return text('closed')
    })
    own.registerTool(
      'wait',
      {},
      durableTool(async (_args, { signal }) => {
        await waitAt('gate', { world, signal })
        return text('waited')
      }) as never,
    )
    return own
  }
  const eras = ['2025-11-25', '2026-07-28'] as const
  const nodes = await startNodes({ count: 1, serverOf: () => server, settings: { eras } })
  return nodes
}

type Client = Pick<Session, 'call'> | Pick<Alone, 'call'>
const lastOf = async (client: Client, name: string) => (await (await client.call(name)).messages()).at(-1)
const FAILED = { error: { code: -32603 } }

describe.each(Object.entries(SDKS))('a tool that closes its server object, SDK %s', (_name, Class) => {
  test.each(['session', 'alone'] as const)('%s: what runs ends, and the next has another', async (kind) => {
    await using nodes = await start(Class)
    const client = kind === 'session' ? await Session.begin(nodes) : new Alone(nodes)
    const before = textOf(await lastOf(client, 'which'))
    const waiting = lastOf(client, 'wait')
    await nodes.world.happened.until('started gate')
    const closing = await lastOf(client, 'close')
    expect(await waiting).toMatchObject(FAILED)
    expect(closing).toMatchObject(FAILED)
    expect(textOf(await lastOf(client, 'which'))).not.toBe(before)
    const errors = nodes.logs
      .filter(({ level }) => level === 'error')
      .map(({ fields }) => String((fields as { error?: unknown }).error))
    expect(errors).toEqual(Array(2).fill(expect.stringContaining('was closed by its application')))
  })
})
