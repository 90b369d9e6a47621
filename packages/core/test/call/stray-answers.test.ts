import { describe, expect, test } from 'vitest'
import { BEGINNING } from '../../src/store/index.js'
import type { JsonRpcRequest } from '../../src/json-rpc.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectRefused, Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'

async function asked(nodes: Nodes) {
  const session = await Session.begin(nodes)
  const stream = await session.call('ask', { question: 'roots', related: true })
  const priming = await stream.next()
  const { message } = await stream.nextMessage()
  const { id } = message as JsonRpcRequest
  const [callId = ''] = String(id).split('.')
  const inbox = () => nodes.stores[1]!.read(session.id, `call:${callId}:in`, BEGINNING, 10_000)
  return { session, stream, question: String(id), callId, inbox, priming: priming?.id }
}
const roots = (uri: string) => ({ roots: [{ uri: `file:///${uri}` }] })

describe.each(STORES)('answers that nobody waits for, %s', (store) => {
  test('are accepted and kept nowhere', async () => {
    await using nodes = await startNodes({ store })
    const { session, stream, question, callId, inbox } = await asked(nodes)
    const large = 'x'.repeat(1024 * 1024)
    const strangers = ['7', `${callId}.2`, `${callId}.nsomething`, `${callId}.`, `${'a'.repeat(22)}.1`]
    for (const id of strangers) for (const node of [0, 1]) await session.answer(id, roots(large), { node })
    expect(await inbox()).toEqual([])
    await session.answer(question, roots('the-first'), { node: 1 })
    expect((await stream.messages()).map(textOf)).toEqual([JSON.stringify(roots('the-first'))])
    await session.answer(question, roots(large), { node: 1 })
    expect(await inbox()).toEqual([])
  })

  test('only the first answer to a question is kept, in the next run too', async () => {
    await using nodes = await startNodes({ store, settings: { recover: () => true } })
    const { session, question, inbox, priming } = await asked(nodes)
    // Nobody runs the call when the answers come.
    await nodes.mcp(0).close({ graceMs: 0 })
    for (const uri of ['first', 'second', 'third']) await session.answer(question, roots(uri), { node: 1 })
    expect((await inbox())?.length).toBeLessThan(2)
    await using resumed = await session.stream(priming, { node: 1 })
    expect((await resumed.messages()).map(textOf)).toContain(JSON.stringify(roots('first')))
  })

  test('an answer that does not fit is refused, and a smaller one taken', async () => {
    await using nodes = await startNodes({ store, settings: { maxInboxBytes: 1000 } })
    const { session, stream, question } = await asked(nodes)
    const large = { jsonrpc: '2.0', id: question, result: roots('x'.repeat(1000)) }
    const { error } = await expectRefused(await session.post(large, { node: 1 }), 413)
    expect(error.message).toContain('maxInboxBytes')
    await session.answer(question, roots('small'), { node: 1 })
    expect((await stream.messages()).map(textOf)).toEqual([JSON.stringify(roots('small'))])
  })

  test('a call can be cancelled however many bytes its answers have', async () => {
    await using nodes = await startNodes({ store, settings: { maxInboxBytes: 10 } })
    const session = await Session.begin(nodes)
    const stream = await session.call('ask', { question: 'roots', related: true }, { id: 'asks' })
    await stream.nextMessage()
    await session.notify('notifications/cancelled', { requestId: 'asks' }, { node: 1 })
    expect(await stream.messages()).toEqual([])
  })

  test('a cancellation leaves nothing behind, however late it comes', async () => {
    await using nodes = await startNodes({ store })
    const session = await Session.begin(nodes)
    for (let n = 0; n < 20; n++) {
      const id = `c${n}`
      const stream = await session.call('echo', { text: 'x' }, { id })
      const callId = String((await stream.next())?.id?.split('.')[0])
      const cancels = [0, 1, 0, 1].map((node) =>
        session.notify('notifications/cancelled', { requestId: id, reason: 'r'.repeat(5000) }, { node }),
      )
      await Promise.all([...cancels, stream.messages()])
      expect(await nodes.stores[0]!.read(session.id, `call:${callId}:in`, BEGINNING, 10)).toEqual([])
    }
  })

  test('standalone messages are bounded by bytes', async () => {
    await using nodes = await startNodes({ store, settings: { maxStandaloneBytes: 10_000 } })
    const session = await Session.begin(nodes)
    for (let n = 0; n < 20; n++) {
      const params = { level: 'info', data: `${n} ${'x'.repeat(1000)}` }
      await nodes.mcp(1).notify(session.id, { method: 'notifications/message', params })
    }
    const held = await nodes.stores[0]!.read(session.id, 'out', '-', 100)
    expect(held!.length).toBeGreaterThan(5)
    expect(held!.length).toBeLessThan(10)
    expect(held!.at(-1)!.data).toContain('19 x')
  })
})
