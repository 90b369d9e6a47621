import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { BEGINNING } from '../../src/store/index.js'
import { startNodes } from '../support/nodes.js'
import { Session } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { within } from '../support/within.js'
import { waitFor } from '../../../../test-support/index.js'

// Requests that run before they are journaled, two in one POST: what was cancelled meanwhile is over in the journal too.

describe.each(STORES)(
  'of two requests in a batch one is cancelled before both become a call, %s',
  (store) => {
    test.each([['first'], ['second']])(
      'and the call ends when the other one is answered: the %s',
      async (which) => {
        await using nodes = await startNodes({ store })
        const session = await Session.begin(nodes, { version: '2025-03-26' })
        const gates = [randomUUID(), randomUUID()]
        const requests = gates.map((gate, index) => ({
          jsonrpc: '2.0',
          id: 7 + index,
          method: 'prompts/get',
          params: { name: 'wait', arguments: { gate } },
        }))
        const posted = session.post(requests)
        const { happened } = nodes.world
        for (const gate of gates) await happened.until(`started ${gate}`)
        const [cancelled, other] = which === 'first' ? [0, 1] : [1, 0]
        await session.notify('notifications/cancelled', { requestId: 7 + cancelled })
        await happened.until(`aborted ${gates[cancelled]}`)
        const open = () => nodes.stores[0]!.listOpenCalls(session.id)
        await waitFor(async () => (await open()).length === 1, { what: 'that they became a call' })
        const [{ callId } = { callId: '' }] = await open()
        nodes.world.gates.open(gates[other] ?? '')
        const text = await within((await posted).text(), 'the answers')
        expect(text).toContain(`"id":${7 + other}`)
        expect(text).not.toContain(`"id":${7 + cancelled}`)
        await waitFor(async () => (await open()).length === 0, { what: 'the end of the call' })
        const journal = (await nodes.stores[0]!.read(session.id, `call:${callId}`, BEGINNING, 10)) ?? []
        expect(journal.map(({ data }) => data.split(' ')[0])).toEqual(['request', 'response'])
      },
    )
  },
)
