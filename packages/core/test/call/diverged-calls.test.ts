import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { mayTry } from '../../src/call/diverged-calls.js'
import { durableTool } from '../../src/index.js'
import type { CommonOptions, Store } from '../../src/index.js'
import { runsOf } from '../../src/runs/index.js'
import { readAll, within } from '../../src/store/retry.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { RunningCall } from '../support/running-call.js'
import { textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { waitAt } from '../support/tools.js'
import { overriding } from '../support/overriding.js'

/** Else the node waits 1, 2, 4, 8 and 16 s before it looks again. */
const AT_ONCE = { timeoutMs: 5000 }

type Code = Pick<CommonOptions, 'version'> & {
  charge: string
  swallows?: boolean
  checks?: boolean
  /** Its server object is made once, and not again. */
  isMadeOnce?: boolean
}

/** Charges, and then ships; the gate of node 0 stays closed. */
const server =
  (node: number, { charge, swallows, checks, isMadeOnce }: Code, nodes: () => Nodes) =>
  () => {
    const { happened } = nodes().world
    if (isMadeOnce && happened.all.includes(`closed on ${node}`)) throw new Error('It is not made again.')
    const made = new McpServer({ name: 'diverging', version: '1' })
    made.server.onclose = () => happened.add(`closed on ${node}`)
    const order = durableTool(async (_args, ctx) => {
      const check = checks && ctx.atLeastOnce('check', () => happened.add(`check on ${node}`))
      const charged = ctx.atMostOnce(charge, () => happened.add(`${charge} on ${node}`))
      if (check) await Promise.all([check, charged])
      await (swallows ? charged.catch(() => happened.add(`swallowed on ${node}`)) : charged)
      if (swallows) return { content: [{ type: 'text' as const, text: 'swallowed' }] }
      await ctx.atLeastOnce('ship', async () => {
        happened.add(`ship on ${node}`)
        await waitAt(`gate ${node}`, { world: nodes().world, signal: ctx.signal })
      })
      return { content: [{ type: 'text' as const, text: `run by ${node}, attempt ${ctx.attempt}` }] }
    })
    made.registerTool('order', {}, order)
    return made
  }

/** Node 0 charges and leaves; node 1 takes the call over, and the others stand by until it has parked it. */
async function parked(
  store: (typeof STORES)[number],
  codes: Code[],
  { retriedMeanwhile = false, losesOffers = 0 } = {},
) {
  let tell!: () => void
  const isParked = new Promise<void>((resolve) => (tell = resolve))
  const wrap = (own: Store, node: number) => {
    const claimCall: Store['claimCall'] = async (scope, callId, claim) => {
      if (node > 1 && claim.counts === undefined) await isParked
      const outcome = await own.claimCall(scope, callId, claim)
      const isParking = node === 1 && claim.counts === -1
      if (isParking && retriedMeanwhile) {
        retriedMeanwhile = false
        await runsOf(own, { by: 'ann' }).retry({ scope, callId })
      }
      if (isParking) tell()
      return outcome
    }
    const publish: Store['publish'] = async (scope, topic, value) => {
      if (topic !== 'diverged' || losesOffers-- <= 0) await own.publish(scope, topic, value)
    }
    return overriding(own, { claimCall, publish })
  }
  const factories = codes.map((code, node) => server(node, code, () => nodes))
  const nodes: Nodes = await startNodes({
    store,
    wrap,
    count: codes.length,
    settings: { validateEffects: false, divergesAfterMs: 1000 },
    settingsOf: (node) => ({
      ...(codes[node]?.version !== undefined && { version: codes[node].version }),
      ...(codes[node]?.isMadeOnce && { serverIdleMs: 100 }),
    }),
    serverOf: (node) => factories[node]!,
  })
  const call = await RunningCall.begin(nodes, 'tools/call', { name: 'order' })
  await nodes.world.happened.until('ship on 0')
  await call.leave()
  for (const node of codes.keys()) if (node > 0) nodes.world.gates.open(`gate ${node}`)
  await isParked
  const own = nodes.stores.at(-1)!
  const [open] = await own.listOpenCalls(call.session.id)
  const place = { scope: call.session.id, callId: open!.callId }
  const journal = async () => {
    const entries = await readAll(own, place.scope, `call:${place.callId}`, within(5000))
    return entries.map(({ data }) => data.split(' ', 1)[0]!.split('@', 1)[0]!)
  }
  const effects = () => nodes.world.happened.all.filter((happened) => !/gate|closed/.test(happened))
  const errors = () => nodes.logs.filter(({ level }) => level === 'error')
  return {
    nodes,
    call,
    place,
    journal,
    errors,
    effects,
    runs: runsOf(own, { by: 'ann' }),
    async [Symbol.asyncDispose]() {
      await call[Symbol.asyncDispose]()
      await nodes[Symbol.asyncDispose]()
    },
  }
}

const V1 = { version: 'v1', charge: 'charge' }
const V2 = { version: 'v2', charge: 'charge-card' }

describe.concurrent.each(STORES)('a call whose journal does not fit the code, %s', (store) => {
  test('is parked, and finished by another version, with what was recorded', async () => {
    await using of = await parked(store, [V1, V2, { version: 'v3', charge: 'charge' }])
    const messages = await of.call.resumed()
    expect(textOf(messages.at(-1))).toBe('run by 2, attempt 2')
    expect(of.effects()).toEqual(['charge on 0', 'ship on 0', 'ship on 2'])
    const [error, ...others] = of.errors()
    expect(others).toEqual([])
    expect(error?.message).toMatch(/^DivergenceError: .*"charge" as number 1.*"charge-card".*ctx\.patched/)
    expect(error?.fields).toMatchObject({
      step: 'charge-card',
      expected: 'charge',
      position: 1,
      recordedBy: 'v1',
      version: 'v2',
    })
  })

  test('is offered again soon to a node that has missed the word', async () => {
    await using of = await parked(store, [V1, V2, { version: 'v3', charge: 'charge' }], { losesOffers: 2 })
    expect(textOf((await of.call.resumed()).at(-1))).toBe('run by 2, attempt 2')
  })

  test('is parked once where several steps side by side are new', async () => {
    await using of = await parked(store, [V1, { ...V2, checks: true }, { version: 'v3', charge: 'charge' }])
    expect(textOf((await of.call.resumed()).at(-1))).toBe('run by 2, attempt 2')
    expect(of.errors()).toHaveLength(1)
    expect((await of.journal()).filter((kind) => kind === 'diverged')).toHaveLength(1)
  })

  test('is tried once by a version, again when an operator says so, and can be cancelled', async () => {
    await using of = await parked(store, [V1, V2, V2])
    const before = await of.journal()
    expect(before.filter((kind) => kind === 'diverged')).toHaveLength(1)
    // The node that has parked it leaves: the next one keeps it, and runs nothing.
    await of.nodes.mcp(1).close({ graceMs: 10_000 })
    await waitFor(() => of.nodes.logs.some(({ message }) => message.includes('stays parked')))
    expect(of.errors()).toHaveLength(1)
    await waitFor(async () => (await of.journal()).at(-1) === 'returned')
    const retried = await of.runs.retry(of.place)
    expect(retried.call).toEqual(of.place)
    await waitFor(() => of.errors().length === 2)
    // What was parked counts as no run, however often.
    for (const { fields } of of.errors()) expect(fields).toMatchObject({ attempt: 2 })
    await waitFor(async () => (await of.journal()).at(-1) === 'diverged')
    await of.runs.cancel(of.place)
    await waitFor(async () => (await of.journal()).at(-1) === 'cancelled')
    expect(of.effects()).toEqual(['charge on 0', 'ship on 0'])
  })

  test('is tried at once each time that an operator says so', async () => {
    await using of = await parked(store, [V1, V2])
    for (const tries of [2, 3, 4, 5, 6]) {
      await waitFor(async () => (await of.journal()).at(-1) === 'diverged', AT_ONCE)
      await of.runs.retry(of.place)
      await waitFor(() => of.errors().length === tries, AT_ONCE)
    }
  })

  test('is claimed again before it is run again, if an operator says so while it is being parked', async () => {
    await using of = await parked(store, [V1, V2], { retriedMeanwhile: true })
    await waitFor(() => of.errors().length === 2)
    await waitFor(async () => (await of.journal()).at(-1) === 'diverged')
    expect((await of.journal()).slice(-5)).toEqual(['claim', 'diverged', 'returned', 'claim', 'diverged'])
    for (const { fields } of of.errors()) expect(fields).toMatchObject({ attempt: 2 })
  })

  test('stays parked after one more look where an operator has it tried again in vain', async () => {
    await using of = await parked(store, [V1, { ...V2, isMadeOnce: true }])
    await of.nodes.world.happened.until('closed on 1')
    await of.runs.retry(of.place)
    const looks = () => of.nodes.logs.filter(({ message }) => message.startsWith('a call stays parked'))
    await waitFor(() => looks().length === 1)
    // Whatever comes for it is heard by whoever goes on looking.
    await of.runs.cancel(of.place)
    await waitFor(async () => (await of.journal()).at(-1) === 'cancelled')
    expect((await of.journal()).slice(-5)).toEqual(['diverged', 'returned', 'claim', 'returned', 'cancelled'])
  })

  test('is not answered by a handler that swallows the error', async () => {
    await using of = await parked(store, [V1, { ...V2, swallows: true }])
    await of.nodes.world.happened.until('swallowed on 1')
    expect((await of.journal()).at(-1)).toBe('diverged')
    await expect(of.nodes.stores[1]!.listOpenCalls(of.place.scope)).resolves.toHaveLength(1)
  })
})

test('which node may try it', () => {
  const by = (node: string, at: number, version?: string) => ({
    node,
    at,
    nonce: '',
    heard: '0-0' as const,
    position: 1,
    ...(version !== undefined && { version }),
  })
  const tries = (node: string, startedAt: number, version?: string) => ({ node, startedAt, version })
  expect(mayTry(tries('a', 1, 'v2'), [by('b', 5, 'v2')])).toBe(false)
  expect(mayTry(tries('a', 1, 'v3'), [by('b', 5, 'v2')])).toBe(true)
  expect(mayTry(tries('a', 1, 'v2'), [by('b', 5, 'v2'), by('c', 6, 'v3')])).toBe(false)
  expect(mayTry(tries('a', 1), [by('b', 5)])).toBe(false)
  expect(mayTry(tries('a', 6), [by('b', 5)])).toBe(true)
  // Whatever its clock says.
  expect(mayTry(tries('b', 6), [by('b', 5)])).toBe(false)
})
