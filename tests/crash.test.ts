import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { waitFor } from '../test-support/index.js'
import type { CrashPoint } from './src/crashing-store.js'
import { majors, majorsAndHosts, type Major } from './support/client.js'
import { RawSession } from './support/raw.js'
import { System } from './support/system.js'

// A node dies (SIGKILL) right after Redis has acknowledged a record, and before it writes anything to a socket.

describe.each(majorsAndHosts)('SDK %i.x, %s', (sdk, host) => {
  let system: System
  beforeAll(async () => void (system = await System.start({ sdk, host, nodes: 1 })))
  afterAll(() => system[Symbol.asyncDispose]())

  /** A client whose calls go to a node that will die, and all else to one that lives. */
  async function clientOf(major: Major, point: CrashPoint) {
    const [survivor] = system.abc
    const victim = await system.add(['--crash-at', point])
    const router = (await system.router(survivor)).route(victim, 'tools/call')
    return { survivor, victim, client: await system.client(major, router) }
  }

  test.each(majors)('client %i.x: [C-15] a result that was appended is delivered once', async (major) => {
    const { victim, survivor, client } = await clientOf(major, 'response-appended')
    const name = `paid-${sdk}-${major}`

    const paying = client.call('effect', { name, gate: name })
    await client.primed()
    await system.openGate(name)

    expect(await paying).toEqual({ text: name, pid: system.toolsOf(victim) })
    expect(await victim.exited).toMatchObject({ signal: 'SIGKILL' })
    expect(client.router.nodesOf('resume')).toEqual([survivor.name])
    expect(client.timesSeen(name)).toBe(1)
    expect(await system.ledger('effect', name)).toHaveLength(1)
  })

  test.each(majors)('client %i.x: [C-16] a message that was appended is delivered once', async (major) => {
    const { victim, survivor, client } = await clientOf(major, 'message-appended')
    const gate = `said-${sdk}-${major}`
    const stop = new AbortController()

    const saying = client.call('say', { texts: [gate, 'on'], gate }, { signal: stop.signal })
    await client.primed()
    await system.openGate(gate)
    await client.hears(gate)
    // An upstream goes on behind it; any other tool that says something is not run again.
    const goesOn = host === 'upstream'
    if (goesOn) expect((await saying).text).toBe(`${gate} on`)
    else {
      stop.abort('heard enough')
      await expect(saying).rejects.toThrow(/heard enough|abort|unknown/)
    }

    expect(await victim.exited).toMatchObject({ signal: 'SIGKILL' })
    expect(client.router.nodesOf('resume')).toEqual([survivor.name])
    expect(client.heard).toEqual(goesOn ? [gate, 'on'] : [gate])
    expect(client.timesSeen(`"data":"${gate}"`)).toBe(1)
  })

  // An upstream goes on with it: see `upstream.test.ts`.
  test.skipIf(host === 'upstream').each(majors)(
    'client %i.x: a call that may not be run again ends and says so',
    async (major) => {
      const [survivor] = system.abc
      const victim = await system.add()
      const router = (await system.router(survivor)).route(victim, 'tools/call')
      const client = await system.client(major, router)
      const name = `unknown-${sdk}-${major}`

      const paying = client.call('effect', { name, gate: name })
      await client.primed()
      await waitFor(async () => (await system.ledger('effect', name)).length === 1)
      await victim.kill('SIGKILL')

      await expect(paying).rejects.toThrow(/The tool effect was interrupted.* outcome is unknown/)
      expect(await system.ledger('effect', name)).toHaveLength(1)
    },
  )

  test.each(majors)('client %i.x: [C-17] a call whose stream never began has run nothing', async (major) => {
    const { victim, client } = await clientOf(major, 'request-appended')
    const name = `never-${sdk}-${major}`

    await expect(client.call('effect', { name })).rejects.toThrow('fetch failed')

    expect(await victim.exited).toMatchObject({ signal: 'SIGKILL' })
    expect(await system.ledger('effect', name)).toEqual([])
  })
})

test('[C-3] [C-17] the same request again attaches to the call that was recorded', async () => {
  await using system = await System.start({ nodes: 1 })
  const [survivor] = system.abc
  const victim = await system.add(['--crash-at', 'request-appended'])
  const session = await RawSession.begin(survivor)

  await expect(session.call(victim, 'effect', { name: 'never' }, 'same')).rejects.toThrow('fetch failed')
  const [first, second] = await Promise.all(
    [1, 2].map(() => session.call(survivor, 'effect', { name: 'never' }, 'same')),
  )
  const [primed] = await first!.events.atLeast(1)
  const [primedAgain] = await second!.events.atLeast(1)

  expect(primed?.id).toBeDefined()
  expect(primedAgain?.id).toBe(primed?.id)
  expect(await system.ledger('effect')).toEqual([])
})
