import { describe, expect, test } from 'vitest'
import { SDKS, startNodes, SYSTEMS } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { dataOf, Session } from '../support/session.js'
import { OLDEST } from '../../src/store/index.js'

/** An upstream has no handler to abort: it goes on, and the new owner with it. */
const CASES = SYSTEMS.filter(({ host }) => host !== 'upstream').flatMap((system) =>
  SDKS.map((sdk) => ({ ...system, sdk })),
)
const note = {
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data: 'of the new owner' },
}

/** Another owner has taken the one open call over, and writes with a higher epoch. */
async function takeOver(nodes: Nodes, session: Session) {
  const store = nodes.stores[1]!
  const [callId = ''] = await store.findCalls(session.id, '')
  const id = `${Date.now() + 100_000}-1`
  const data = `message ${JSON.stringify(note)}`
  expect(await store.appendCall(session.id, callId, [{ id, data }])).toBe('appended')
  return async () => (await store.read(session.id, `call:${callId}`, OLDEST, 100)) ?? []
}

describe.each(CASES)(
  'a call that another node has taken over, $store, $host, server $sdk',
  ({ store, host, sdk }) => {
    test('its handler is aborted, and its node writes nothing more', async () => {
      await using nodes = await startNodes({ store, host, sdk })
      const session = await Session.begin(nodes)
      await using stream = await session.call('say', { count: 1, gate: 'g' })
      await nodes.world.happened.until('started g')
      const said = await stream.nextMessage()
      const read = await takeOver(nodes, session)
      await nodes.world.happened.until('aborted g')
      const journal = await read()
      expect(journal.map(({ data }) => data.split(' ', 1)[0])).toEqual(['request', 'message', 'message'])
      const messages = [said.message, (await stream.nextMessage()).message]
      expect(messages.map(dataOf)).toEqual(['say 1', 'of the new owner'])
      nodes.world.gates.open('g')
      expect(await session.result('echo', { text: 'on' })).toBe('on')
      expect(await read()).toEqual(journal)
    })

    test('what it sends then is refused by the store', async () => {
      await using nodes = await startNodes({ store, host, sdk })
      const session = await Session.begin(nodes)
      await using stream = await session.call('ask', { question: 'roots', related: true })
      const { message } = await stream.nextMessage()
      const read = await takeOver(nodes, session)
      const journal = await read()
      await session.answer((message as { id: string }).id, { roots: [] }, { node: 1 })
      expect(await session.result('echo', { text: 'on' })).toBe('on')
      expect(await read()).toEqual(journal)
    })
  },
)
