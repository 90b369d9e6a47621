import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { memoryStore } from '../../src/index.js'
import type { Store } from '../../src/index.js'
import { encodeInboxItem } from '../../src/call/inbox.js'
import type { Outgoing } from '../../src/proxy/one-way.js'
import { StandaloneQuestions } from '../../src/proxy/standalone-questions.js'
import { StandaloneMessages } from '../../src/session/standalone.js'
import { parseSettings } from '../../src/settings.js'
import { Watcher } from '../../src/store/watcher.js'
import { newSession, NO_LIMIT } from '../../src/testing/stores.js'

// The node to which a client answers tells the upstream. What if it has died before it did, or the upstream is away for long?

const session = { id: 'theirs', protocol: '2025-11-25' }
const scope = 'ours'
const question = { jsonrpc: '2.0', id: 7, method: 'roots/list' } as const
const message = { jsonrpc: '2.0', id: 7, result: {} }

let store: Store
const closing = new Set<AbortController>()
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
  store = memoryStore()
  await store.createSession(newSession({ id: scope }), NO_LIMIT)
})
afterEach(async () => {
  for (const closed of closing) closed.abort()
  await store.close()
  vi.useRealTimers()
})

/** A node, and what it tells the upstream. */
function start() {
  const told: Outgoing[] = []
  const closed = new AbortController()
  closing.add(closed)
  const questions = new StandaloneQuestions({
    scope,
    store,
    standalone: new StandaloneMessages(store, new Watcher(store), parseSettings({})).of(scope),
    tell: async (outgoing) => told.push(outgoing),
    complain: (error) => expect(error).toBeUndefined(),
    postpone: (error) => expect(error).toBeUndefined(),
    closed: closed.signal,
  })
  return { told, questions }
}
const passed = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** The client answers what it was asked: that is in the inbox. Resolves to the name of the question. */
async function answer() {
  const [asked] = (await store.read(scope, 'out', '0-0', 10)) ?? []
  const { id } = JSON.parse(asked?.data ?? '{}') as { id: string }
  const [asker = ''] = id.split('.')
  const json = JSON.stringify({ jsonrpc: '2.0', id, result: {} })
  const item = encodeInboxItem({ kind: 'answer', question: id, json })
  await store.append(scope, `call:${asker}:in`, item, { nonce: 'n', maxLength: 9, answers: id })
  return asker
}
const isKept = async () => (await store.readValue(scope, 'mcp-durable:asked')) !== undefined

test('whoever has asked tells what another node has left, once', async () => {
  const asking = start()
  expect(await asking.questions.hear(question, session, 'event')).toBe(true)
  await passed(600_000)
  await answer()
  await passed(60_000)
  expect(asking.told).toMatchObject([{ message, session }])
  expect(asking.questions.isTelling).toBe(true)
  asking.told[0]?.onOver?.(true)
  await passed(600_000)
  expect(asking.told).toHaveLength(1)
  expect([asking.questions.isTelling, await isKept()]).toEqual([false, false])
})

test('but not what that node has just told', async () => {
  const [asking, other] = [start(), start()]
  await asking.questions.hear(question, session, 'event')
  await passed(4900)
  const asker = await answer()
  await other.questions.said(asker, { jsonrpc: '2.0', id: `${asker}.1`, result: {} })
  expect(other.told).toMatchObject([{ message, session }])
  // The upstream takes a while.
  await passed(1000)
  other.told[0]?.onOver?.(true)
  await passed(600_000)
  expect([asking.told, await isKept()]).toEqual([[], false])
})

test('an upstream that is away for longer than it may be is told when it is back', async () => {
  const { told, questions } = start()
  await questions.hear(question, session, 'event')
  const asker = await answer()
  await questions.said(asker, { jsonrpc: '2.0', id: `${asker}.1`, result: {} })
  told[0]?.onOver?.(false)
  expect(await isKept()).toBe(true)
  await passed(60_000)
  expect(told).toHaveLength(2)
  told[1]?.onOver?.(true)
  await passed(1000)
  expect(await isKept()).toBe(false)
})

test('a node that has left tells nothing', async () => {
  const [asking, leaving] = [start(), start()]
  for (const { questions } of [asking, leaving]) await questions.hear(question, session, 'event')
  for (const closed of closing) closed.abort()
  await answer()
  await passed(600_000)
  expect([asking.told, leaving.told]).toEqual([[], []])
})
