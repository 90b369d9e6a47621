import { describe, expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { expectJson, Session } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

const uri = 'test://static'

describe('[I-1] sessions of a wrapped handler', () => {
  test('one for each node that has use for it; idle ones are deleted, and made again', async () => {
    await using nodes = await startNodes({ host: 'handler', settings: { serverIdleMs: 100 } })
    const session = await Session.begin(nodes)
    await session.request('resources/subscribe', { uri })
    expect(await session.result('touch', { uri }, { node: 1 })).toBe('updated')
    const sizes = () => nodes.wrapped.map(({ sessions }) => sessions.size)
    // One may be idle, and gone, before this looks: what was made stays known.
    const madeBy = (made = nodes.made) => new Set(made.map(({ node }) => node))
    expect(madeBy()).toEqual(new Set(['node-0', 'node-1']))
    await waitFor(() => sizes().every((size) => size === 0))
    const before = nodes.made.length
    expect(await session.result('touch', { uri }, { node: 1 })).toBe('updated')
    expect(madeBy(nodes.made.slice(before))).toEqual(new Set(['node-1']))
    await session.delete()
    await waitFor(() => sizes().every((size) => size === 0))
  })

  test('one that the handler has lost is made again', async () => {
    await using nodes = await startNodes({ host: 'handler' })
    const session = await Session.begin(nodes)
    await session.request('resources/subscribe', { uri })
    nodes.wrapped[0]?.forget()
    expect(await session.result('touch', { uri })).toBe('updated')
    expect(nodes.wrapped[0]?.sessions.size).toBe(1)
  })

  test('a handler that throws is an error, and no more', async () => {
    await using nodes = await startNodes({ host: 'handler' })
    const session = await Session.begin(nodes)
    const { sessions } = nodes.wrapped[0]!
    const [transport] = sessions.values()
    const { handleRequest } = transport!
    transport!.handleRequest = () => Promise.reject(new Error('broken'))
    const failed = await expectJson(await session.request('ping'), 500)
    expect(failed).toMatchObject({ error: { message: expect.stringMatching(/handler failed/) } })
    transport!.handleRequest = handleRequest
    expect(await session.result('echo', { text: 'fine' })).toBe('fine')
  })
})
