import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { ServerNotification } from '@modelcontextprotocol/sdk/types.js'
import { afterEach, expect, test, vi } from 'vitest'
import { durableTool } from '../src/index.js'
import type { Logger } from '../src/index.js'
import { consoleLogger } from '../src/logger.js'
import { startNodes } from './support/nodes.js'
import { ODD } from './support/odd.js'
import { Session } from './support/session.js'

afterEach(() => vi.restoreAllMocks())

const each = (log: (fields: object, message: string) => unknown): Logger => ({
  error: log,
  warn: log,
  info: log,
  debug: log,
})
/** As many write one. */
const asJson = (fields: object, message: string) => {
  const { error, ...rest } = fields as { error?: object }
  JSON.stringify({ message, ...rest, ...(error && { error: Object.entries(error) }) })
}
const fail = () => {
  throw new Error('the log is full')
}
const LOGGERS: Record<string, Logger> = {
  'the default one': consoleLogger,
  'one that writes JSON': each(asJson),
  'one that throws': each(fail),
  'one that rejects': each(async () => fail()),
}

function server(make: () => unknown) {
  const made = new McpServer({ name: 'odd', version: '1' }, { capabilities: { logging: {} } })
  const odd = () => {
    throw make()
  }
  const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] })
  made.registerTool('throws', {}, odd)
  made.registerTool(
    'durable',
    {},
    durableTool(async () => odd()),
  )
  made.registerTool('returns', {}, async () => ({ content: [], _meta: { odd: { toJSON: odd } } }))
  made.registerTool('says', {}, async (extra) => {
    const params = { level: 'info', data: { toJSON: odd } }
    void extra.sendNotification({ method: 'notifications/message', params } as ServerNotification)
    await new Promise((resolve) => setTimeout(resolve, 60_000).unref())
    return text('went on')
  })
  made.registerTool(
    'catches',
    {},
    durableTool(async (_args, ctx) => {
      const caught = await ctx.atMostOnce('step', odd).then(String, () => 'caught')
      return text(caught)
    }),
  )
  return made
}

test.each(Object.keys(LOGGERS))(
  'calls that come to what is odd are answered, whatever their logger is: %s',
  async (name) => {
    vi.spyOn(console, 'error').mockReturnValue()
    vi.spyOn(console, 'warn').mockReturnValue()
    for (const make of Object.values(ODD)) {
      await using nodes = await startNodes({
        count: 1,
        serverOf: () => () => server(make),
        settings: { logger: LOGGERS[name]! },
      })
      const session = await Session.begin(nodes)
      for (const tool of ['throws', 'durable', 'returns', 'says'])
        expect(await (await session.call(tool)).messages(), tool).toHaveLength(1)
      expect(await session.result('catches')).toBe('caught')
      expect(await nodes.stores[0]!.listOpenCalls(session.id)).toEqual([])
    }
  },
)

test('what a durable tool throws is what its client is told', async () => {
  vi.spyOn(console, 'warn').mockReturnValue()
  const settings = { logger: consoleLogger }
  await using nodes = await startNodes({ count: 1, serverOf: () => () => server(() => 10n), settings })
  const session = await Session.begin(nodes)
  expect(await session.result('durable')).toBe('10')
})
