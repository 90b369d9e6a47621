import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { majors, systems } from './support/client.js'
import { System } from './support/system.js'
import type { Break } from './support/tap.js'

// Connections of official clients that end right after an event, broken or gracefully, on any of three nodes.

describe.each(systems)('SDK %i.x, %s', (sdk, host) => {
  let system: System
  beforeAll(async () => void (system = await System.start({ sdk, host, nodes: 3 })))
  afterAll(() => system[Symbol.asyncDispose]())

  const ends: Break[] = ['broken', 'ended']
  const cases = majors.flatMap((major) => ends.map((end) => ({ major, end })))

  test.each(cases)('client $major: [C-4] [C-6] $end after every event of a call', async ({ major, end }) => {
    const client = await system.client(major, await system.router())
    const texts = ['one', 'two', 'three', 'four', 'five']
    const once = new Set<string>()
    // After every event when it comes first, and after its echo when the client comes back with it.
    client.tap.breaks = ({ id, after }) => {
      const name = `${id} ${id === after}`
      if (id?.startsWith('out.') === true || once.has(name)) return undefined
      once.add(name)
      return end
    }

    const { text } = await client.call('say-first', { texts })

    expect(text).toBe(texts.join(' '))
    expect(client.heard).toEqual(texts)
    expect(client.router.nodesOf('resume')).toHaveLength(3)
  })

  test.each(cases)('client $major: [C-5] [C-6] $end after every standalone event', async ({ major, end }) => {
    const client = await (await system.client(major, await system.router())).listens()
    const texts: string[] = []
    client.tap.breaks = ({ id, data }) => (id?.startsWith('out.') === true && data !== '' ? end : undefined)

    // Which node is asked next depends on what else is asked meanwhile: on until each has been come back to.
    while (texts.length < 10 || (client.router.nodesOf('resume').length < 3 && texts.length < 100)) {
      const text = `message ${texts.length}`
      texts.push(text)
      await client.call('announce', { text })
    }
    await client.hears(texts.at(-1)!)

    expect(client.heard).toEqual(texts)
    expect(client.router.nodesOf('resume')).toHaveLength(3)
  })

  test.each(cases)('client $major: [C-4] $end now and then, under load', async ({ major, end }) => {
    const client = await (await system.client(major, await system.router())).listens()
    let events = 0
    client.tap.breaks = () => (++events % 3 === 0 ? end : undefined)

    const load = system.load(client, ['effect', 'say', 'announce'], 4)
    await load.progress(100)
    await load.stop()

    expect(load.failed).toEqual([])
    const effects = (await system.ledger('effect')).map(({ detail }) => detail)
    for (const { name, tool } of load.succeeded) {
      if (tool === 'effect') expect(effects.filter((effect) => effect === name)).toHaveLength(1)
      else {
        await client.hears(name)
        expect(client.heard.filter((text) => text === name)).toHaveLength(1)
      }
    }
  })
})
