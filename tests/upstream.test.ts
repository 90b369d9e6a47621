import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../test-support/index.js'
import { majors, type Major } from './support/client.js'
import { Deferred } from './support/deferred.js'
import { SessionKeys } from './support/journals.js'
import type { Load } from './support/load.js'
import { RawSession } from './support/raw.js'
import { System, type SystemOptions } from './support/system.js'

// Proxies before a server that knows nothing of them: either side dies, or both.

const start = (sdk: Major, options: SystemOptions = {}) =>
  System.start({
    host: 'upstream',
    sdk,
    nodes: 2,
    ...options,
    // A node that stood still for four heartbeats judges no other for 5 s, and a busy machine often stands still.
    options: { heartbeatMs: 250, sweepMs: 100, ...options.options },
  })

describe.each(majors)('an upstream of SDK %i.x behind two nodes', (sdk) => {
  test.each(majors)('client %i.x: [I-3] a node dies in a call; the upstream ends it, once', async (major) => {
    await using system = await start(sdk)
    const [victim, survivor] = system.abc
    const router = (await system.router(survivor)).route(victim, 'tools/call')
    const client = await system.client(major, router)
    const effect = client.call('effect', { name: 'paid', gate: 'g' })
    await client.primed()
    await system.recorded('effect', 'paid')
    await hasPlace(system, client.sessionId)
    await victim.kill('SIGKILL')
    await system.openGate('g')

    expect(await effect).toEqual({ text: 'paid', pid: system.upstream.pid })
    expect(await system.ledger('effect')).toHaveLength(1)
    expect(client.timesSeen('paid')).toBe(1)
  })

  test.each(majors)('client %i.x: [I-4] the upstream dies in a call; nobody runs it twice', async (major) => {
    await using system = await start(sdk)
    const client = await system.client(major, await system.router())
    const effect = client.call('effect', { name: 'paid', gate: 'g' })
    await system.recorded('effect', 'paid')
    await system.upstream.kill('SIGKILL')
    await system.startUpstream()
    await system.openGate('g')

    await expect(effect).rejects.toThrow(/outcome is unknown/)
    expect(await system.ledger('effect')).toHaveLength(1)
    // Its sessions are gone with it; ours is not.
    expect(await client.call('add', { a: 1, b: 2 })).toEqual({ text: '3', pid: system.upstream.pid })
  })
})

describe.each(majors)('an upstream of SDK %i.x asks outside of its requests', (sdk) => {
  test.each(majors)('client %i.x: the node that has handed it on dies', async (major) => {
    await using system = await start(sdk)
    const [victim, survivor] = system.abc
    const router = (await system.router(survivor)).route(victim, 'GET')
    const client = await (await system.client(major, router)).listens()
    const answer = new Deferred()
    const respond = client.answer
    client.answer = async (question) => {
      await answer.promise
      return respond(question)
    }
    const asking = client.call('ask-unrelated', { kind: 'roots' })
    await client.questions.first(() => true)
    router.route(survivor, 'GET', 'resume')
    await victim.kill('SIGKILL')
    answer.resolve()

    const { text, pid } = await asking
    expect(text).toContain('file:///root')
    expect(pid).toBe(system.upstream.pid)
    expect(client.questions.items).toHaveLength(1)
  })
})

describe.each(majors)('[I-3] [I-4] an upstream of SDK %i.x that gives its events no ids', (sdk) => {
  test.each(['a node', 'the upstream'])(
    '%s dies: what only reads runs again, nothing else does',
    async (who) => {
      await using system = await start(sdk, { resumable: false })
      const [victim, survivor] = system.abc
      const router = (await system.router(survivor)).route(victim, 'tools/call')
      const client = await system.client(1, router)
      const look = client.call('look', { gate: 'g' })
      const effect = client.call('effect', { name: 'paid', gate: 'g' })
      await client.primed()
      await Promise.all([system.recorded('look', 'g'), system.recorded('effect', 'paid')])
      await (who === 'a node' ? victim : system.upstream).kill('SIGKILL')
      if (who === 'the upstream') await system.startUpstream()
      await waitFor(async () => (await system.ledger('look')).length === 2)
      await system.openGate('g')

      expect(await look).toEqual({ text: 'g', pid: system.upstream.pid })
      await expect(effect).rejects.toThrow(/outcome is unknown/)
      expect(await system.ledger('effect')).toHaveLength(1)
    },
  )
})

describe('[I-8] an upstream over HTTPS', () => {
  test('whose certificate the nodes know: a call goes on when its node dies', async () => {
    await using system = await start(1, { tls: 'trusted' })
    const [victim, survivor] = system.abc
    const router = (await system.router(survivor)).route(victim, 'tools/call')
    const client = await system.client(1, router)
    expect((await client.call('ask')).text).toContain('accept')
    const effect = client.call('effect', { name: 'paid', gate: 'g' })
    await system.recorded('effect', 'paid')
    await hasPlace(system, client.sessionId)
    await victim.kill('SIGKILL')
    await system.openGate('g')
    expect(await effect).toEqual({ text: 'paid', pid: system.upstream.pid })
  })

  test('whose certificate they do not know: nothing is sent, and nothing waits', async () => {
    await using system = await start(1, { tls: 'unknown' })
    await expect(RawSession.begin(system.abc[0])).rejects.toThrow(/502 .*cannot be reached/)
  })
})

test.each(['a node', 'the upstream', 'both'])('[I-3] [I-4] %s dies under load', async (who) => {
  await using system = await start(1, { options: { upstreamGraceMs: 5000 } })
  const [victim, survivor] = system.abc
  const router = await system.router()
  const client = await (await system.client(1, router)).listens()
  const load = system.load(client, ['effect', 'say'])
  await load.progress(20)
  const deaths = [
    ...(who === 'the upstream' ? [] : [victim.kill('SIGKILL')]),
    ...(who === 'a node' ? [] : [system.upstream.kill('SIGKILL')]),
  ]
  if (who !== 'the upstream') router.others(survivor)
  await Promise.all(deaths)
  if (who !== 'a node') await system.startUpstream()
  if (who !== 'the upstream') router.others(survivor, await system.add())
  await load.progress(20)
  await load.stop()

  await expectHonest(system, load)
  if (who === 'the upstream')
    expect(load.failed.filter(({ error }) => /fetch failed|timed out/.test(error ?? ''))).toEqual([])
})

/** Waits until the journal of the session's call says where the upstream's stream can be resumed. */
async function hasPlace(system: System, sessionId: string) {
  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  try {
    const keys = new SessionKeys(redis, system.prefix, sessionId)
    const records = async () => [...(await keys.journals()).values()].flat()
    await waitFor(async () => (await records()).some(({ kind }) => kind === 'proxy'))
  } finally {
    redis.disconnect()
  }
}

/** No effect happened twice, each success happened, and whoever failed was told why. */
async function expectHonest(system: System, { succeeded, failed }: Load) {
  const effects = (await system.ledger('effect')).map(({ detail }) => detail)
  expect(new Set(effects).size).toBe(effects.length)
  for (const { tool, name } of succeeded) if (tool === 'effect') expect(effects).toContain(name)
  // A client whose node dies before it has read the id of its stream hears of it by its own time-out.
  for (const { error } of failed)
    expect(error).toMatch(/fetch failed|unknown|Bad Gateway|terminated|Request timed out/)
}
