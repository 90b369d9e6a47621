import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { describe, expect, test } from 'vitest'
import { Log } from './support/log.js'
import type { Router } from './support/router.js'
import { System, type SystemOptions } from './support/system.js'

// The official client in protocol 2026-07-28, nodes before a server that they wrap or that is behind them, and SIGKILL.

const start = (host: 'handler' | 'upstream', options: SystemOptions) =>
  System.start({
    host,
    ...options,
    // A node that stood still for four heartbeats judges no other for 5 s, and a busy machine often stands still.
    options: { heartbeatMs: 250, sweepMs: 100, upstreamGraceMs: 5000, ...options.options },
  })

async function connect({ url }: Router, answer: () => Promise<string> = async () => '') {
  const client = new Client(
    { name: 'official', version: '1' },
    { capabilities: { elicitation: {} }, versionNegotiation: { mode: { pin: '2026-07-28' } } },
  )
  client.setRequestHandler('elicitation/create', async () => ({
    action: 'accept' as const,
    content: { answer: await answer() },
  }))
  await client.connect(new StreamableHTTPClientTransport(url))
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() })
}

const textOf = async (result: Promise<{ content: unknown }>) =>
  ((await result).content as { text: string }[])[0]?.text

const BEHIND: [name: string, host: 'handler' | 'upstream', options: SystemOptions][] = [
  ['a handler without sessions', 'handler', { sessionless: true }],
  ['an upstream without sessions', 'upstream', { sessionless: true }],
  ['a handler with sessions', 'handler', { sdk: 1 }],
  ['an upstream with sessions', 'upstream', { sdk: 1 }],
]

describe.each(BEHIND)('before %s', (_name, host, options) => {
  test('a node dies in two calls: what only reads is run again, the other one is not', async () => {
    await using system = await start(host, options)
    const [victim, survivor] = system.abc
    const router = (await system.router(survivor)).route(victim, 'tools/call')
    await using client = await connect(router)
    const primed = new Log<string>('ids that the client has read')
    // A client that has read no id when its stream breaks waits for its own time-out.
    const call = (name: string, args: object) =>
      textOf(
        client.callTool({ name, arguments: { ...args } }, { onresumptiontoken: (id) => primed.push(id) }),
      )
    const look = call('look', { gate: 'g' })
    const effect = call('effect', { name: 'paid', gate: 'h' })
    await Promise.all([system.recorded('look', 'g'), system.recorded('effect', 'paid')])
    await primed.atLeast(2)
    await victim.kill('SIGKILL')
    await system.openGate('g')
    expect(await look).toMatch(/g/)
    // Where the server keeps the session and its events, its run of the call is gone on with.
    const outlives = host === 'upstream' && !options.sessionless
    if (outlives) await system.openGate('h')
    expect(await effect).toMatch(outlives ? /paid/ : /outcome is unknown/)
    expect(await system.ledger('effect')).toHaveLength(1)
  })
})

describe.each([
  ['handler', 'the node that asked'],
  ['upstream', 'the node that asked'],
  ['upstream', 'the upstream'],
] as const)('a %s without sessions has asked by itself, and %s dies', (host, who) => {
  test('the answer is given at another node, to the next run', async () => {
    await using system = await start(host, { sessionless: true })
    const [victim, survivor] = system.abc
    const router = (await system.router(survivor)).route(victim, 'tools/call')
    await using client = await connect(router, async () => {
      router.route(survivor, 'tools/call')
      await (who === 'the upstream' ? system.upstream : victim).kill('SIGKILL')
      if (who === 'the upstream') await system.startUpstream()
      return 'Ann'
    })
    expect(await textOf(client.callTool({ name: 'ask-name', arguments: {} }))).toMatch(/hello Ann/)
    expect(await system.ledger('asked')).toHaveLength(1)
    expect(await system.ledger('answered')).toHaveLength(1)
  })
})

test('a client that closes its stream cancels the call behind the proxy', async () => {
  await using system = await start('upstream', {
    sessionless: true,
    options: { onDisconnect: 'cancel' },
  })
  await using client = await connect(await system.router())
  const abort = new AbortController()
  const hanging = client.callTool({ name: 'hang', arguments: { name: 'x' } }, { signal: abort.signal })
  await system.recorded('hanging', 'x')
  abort.abort()
  await expect(hanging).rejects.toThrow()
  expect(await system.recorded('aborted', 'x')).toBeDefined()
})
