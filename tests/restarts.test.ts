import { expect, test } from 'vitest'
import { majorsAndHosts } from './support/client.js'
import { System } from './support/system.js'

// Nodes leave, by force or politely, and the session goes on.

test.each(majorsAndHosts)(
  'client %i.x, %s: [S-13] [S-4] a session outlives all nodes',
  async (major, host) => {
    await using system = await System.start({ sdk: major, host, nodes: 2 })
    const before = system.abc.slice(0, 2)
    const router = await system.router()
    const client = await (await system.client(major, router)).listens()
    await client.api.subscribe('test://greeting')
    const back = router.hold('resume')
    await client.call('announce', { text: 'before' })
    await client.hears('before')

    await Promise.all(before.map((node) => node.kill('SIGKILL')))
    const after = await Promise.all([system.add(), system.add()])
    router.others(...after)
    // An upstream is heard while the client has a stream.
    if (host === 'upstream') {
      back()
      await router.answered('resume')
    }
    expect(await client.call('update-resource', { uri: 'test://greeting' })).toMatchObject({
      text: 'updated',
    })
    back()
    const updated = await client.notifications.first(
      ({ method }) => method === 'notifications/resources/updated',
    )
    await client.call('announce', { text: 'after' })
    await client.hears('after')

    expect(updated.params).toEqual({ uri: 'test://greeting' })
    expect(client.heard).toEqual(['before', 'after'])
    expect(await client.api.listTools()).toContain('who')
    expect(await client.api.readResource('test://greeting')).toContain('hello')
  },
)

test.each(majorsAndHosts)('client %i.x, %s: [S-14] a rolling restart goes unnoticed', async (major, host) => {
  await using system = await System.start({ sdk: major, host, nodes: 2 })
  const router = await system.router()
  const client = await (await system.client(major, router)).listens()
  const load = system.load(client, ['effect'])

  for (const old of system.abc.slice(0, 2)) {
    await load.progress(20)
    const exit = old.kill('SIGTERM')
    const next = system.add()
    await load.progress(20)
    expect(await exit).toEqual({ code: 0, signal: null })
    await next
    router.others(...system.nodes.slice(-2))
  }
  await load.progress(20)
  await load.stop()

  const effects = (await system.ledger('effect')).map(({ detail }) => detail)
  expect(effects.toSorted()).toEqual(load.succeeded.map(({ name }) => name).toSorted())
  expect(load.failed).toEqual([])
  expect(router.nodesOf('tools/call')).toHaveLength(4)
  await client.call('announce', { text: 'still here' })
  await client.hears('still here')
})

// An upstream goes on with such a call, and so does another node.
test.each(majorsAndHosts.filter(([, host]) => host !== 'upstream'))(
  'client %i.x, %s: [U-6] a call that outlasts the grace is answered with an error',
  async (major, host) => {
    await using system = await System.start({ sdk: major, host, nodes: 1 })
    const [b] = system.abc
    const a = await system.add(['--grace-ms', '50'])
    const client = await system.client(major, (await system.router(b)).route(a, 'tools/call'))

    const hanging = client.call('hang', { name: 'too long' })
    await client.primed()
    expect(await a.kill('SIGTERM')).toEqual({ code: 0, signal: null })

    // Either node may say so: the old one before it leaves, or the one that takes the call over.
    await expect(hanging).rejects.toThrow(/unknown/)
    await system.recorded('aborted', 'too long')
  },
)

test.each(majorsAndHosts)('client %i.x, %s: [U-6] SIGTERM lets a running call end', async (major, host) => {
  await using system = await System.start({ sdk: major, host, nodes: 2 })
  const [a, b] = system.abc
  const router = (await system.router(b)).route(a, 'tools/call', 'GET')
  const client = await (await system.client(major, router)).listens()

  const slow = client.call('slow', { gate: 'grace' })
  await client.primed()
  const exit = a.kill('SIGTERM')
  router.route(b, 'tools/call')
  // New work is refused or goes to the other node; the old work is still under way.
  expect((await client.call('release', { gate: 'grace' })).pid).toBe(system.toolsOf(b))

  expect(await slow).toEqual({ text: 'grace', pid: system.toolsOf(a) })
  expect(await exit).toEqual({ code: 0, signal: null })
  expect(await router.answered('resume')).toMatchObject({ node: b.name, status: 200 })
  await client.call('announce', { text: 'to the other node' })
  await client.hears('to the other node')
  expect(client.errors).toEqual([])
})
