import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { durableTool } from '../../src/index.js'
import type { Store } from '../../src/index.js'
import { EarlierRuns } from '../../src/call/earlier-runs.js'
import { encodeRecord } from '../../src/call/record.js'
import type { CallRecord } from '../../src/call/record.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions } from '../support/nodes.js'
import { LATEST, Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { waitAt } from '../support/tools.js'
import { Weather } from '../support/weather.js'
import { waitFor } from '../../../../test-support/index.js'

const KINDS = ['plain', 'repeatable', 'durable'] as const
type Kind = (typeof KINDS)[number]

/** What a deploy has made of the one tool of a server: each node has its own version of it. */
function version(kind: Kind, node: number, nodes: () => Nodes) {
  const server = new McpServer({ name: 'shop', version: '1' })
  const run = async (signal: AbortSignal) => {
    const { world } = nodes()
    world.happened.add(`effect of ${kind}`)
    await waitAt(`gate ${node}`, { world, signal })
    return { content: [{ type: 'text' as const, text: `run by ${kind}` }] }
  }
  const annotations = kind === 'repeatable' ? { idempotentHint: true } : {}
  if (kind === 'durable')
    server.registerTool(
      'order',
      {},
      durableTool((_args, ctx) => run(ctx.signal)),
    )
  else server.registerTool('order', { annotations }, ({ signal }) => run(signal))
  return server
}

async function deployed(kinds: Kind[], options: NodesOptions) {
  const nodes: Nodes = await startNodes({
    ...options,
    count: kinds.length,
    settings: { maxUnservedMs: 0, ...options.settings },
    serverOf: (node) => () => version(kinds[node] ?? 'plain', node, () => nodes),
  })
  return nodes
}

/** A node that has not heard what its server calls itself makes the server object first. */
const hearName = (nodes: Nodes) => Session.begin(nodes)

/** A call on one node goes on on the next one; `known`: its node has the server object before the call is recorded. */
async function takenOver(nodes: Nodes, known: boolean) {
  await hearName(nodes)
  const session = await Session.begin(nodes, { node: known ? 0 : 1 })
  const stream = await session.call('order')
  const priming = await stream.next()
  await nodes.world.happened.until('started gate 0')
  await nodes.mcp(0).close({ graceMs: 0 })
  nodes.world.gates.open('gate 1')
  await using resumed = await session.stream(priming?.id, { node: 1 })
  return (await resumed.messages()).map(textOf).at(-1)
}

/** Effects of the run that was interrupted must neither be repeated by other code, nor be lost to it. */
const RUNS_AGAIN: Record<Kind, readonly Kind[]> = {
  plain: [],
  repeatable: ['repeatable', 'durable'],
  durable: ['durable'],
}

describe.each(STORES)('a deploy while a call is open, %s', (store) => {
  const changes = KINDS.flatMap((was) =>
    KINDS.flatMap((is) => [true, false].map((known) => ({ was, is, known }))),
  )
  test.each(changes)('$was, $is now; the server object was there: $known', async ({ was, is, known }) => {
    await using nodes = await deployed([was, is], { store })
    const result = await takenOver(nodes, known)
    if (RUNS_AGAIN[was].includes(is)) expect(result).toBe(`run by ${is}`)
    else expect(result).toMatch(/order was interrupted.*not run again/)
  })
})

// Its node died between the record of the request and the start of the handler: nothing was done, so nothing can be done twice.
test.each(KINDS.flatMap((was) => STORES.map((store) => ({ was, store }))))(
  'a call whose handler had not begun is run, $was, $store',
  async ({ was, store }) => {
    const weather = new Weather()
    const wrap = (own: Store, node: number) => (node === 0 ? weather.wrap(own) : own)
    const settings = { validateEffects: false }
    await using nodes = await deployed([was, 'durable'], { store, wrap, settings })
    await hearName(nodes)
    const session = await Session.begin(nodes, { node: 1 })
    weather.set('away', { only: ['appendCall', 'appendQuietly'] })
    const stream = await session.call('order')
    const priming = await stream.next()
    await waitFor(() => weather.failed.length > 0)
    await nodes.mcp(0).close({ graceMs: 0 })
    nodes.world.gates.open('gate 1')
    await using resumed = await session.stream(priming?.id, { node: 1 })
    expect((await resumed.messages()).map(textOf)).toEqual(['run by durable'])
    expect(nodes.world.happened.all).toEqual(['effect of durable', 'started gate 1', 'passed gate 1'])
  },
)

describe('what a journal says of handlers', () => {
  const journal = (...records: CallRecord[]) =>
    EarlierRuns.read([records.map((record, n) => ({ id: `1-${n + 1}`, data: encodeRecord(record) }))])
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'order' } } as const
  const request = { messages: [message, { ...message, id: 2 }], batch: true, protocol: LATEST, node: 'n' }

  test('no word means a plain one, as in journals of earlier versions', async () => {
    expect((await journal({ kind: 'request', request })).handlers).toEqual(['plain', 'plain'])
  })

  test('the last word counts, for each request', async () => {
    const begun: CallRecord = {
      kind: 'request',
      request: { ...request, handlers: ['repeatable', 'durable'] },
    }
    expect((await journal(begun)).handlers).toEqual(['repeatable', 'durable'])
    const { handlers } = await journal(
      begun,
      { kind: 'handler', handler: { kind: 'durable', request: 0 } },
      { kind: 'handler', handler: { kind: 'plain', request: 1 } },
    )
    expect(handlers).toEqual(['durable', 'plain'])
  })

  test('the word that earlier versions had for wrapped handlers is understood', async () => {
    const old: CallRecord = { kind: 'proxy', proxy: { durable: true } }
    expect((await journal({ kind: 'request', request }, old)).handlers).toEqual(['durable', 'durable'])
  })
})
