import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import type { NewCall, NewSession, Store } from '../store/store.js'

/** Two stores on the same data, as two nodes have them; the same one twice if it can't be shared otherwise. */
export type StorePair = { store: Store; peer: Store; dispose?: () => Promise<void> }
export type CreateStores = () => StorePair | Promise<StorePair>

export const HOUR = 3_600_000
export const NO_LIMIT = { maxPerPrincipal: 1_000_000 }
export const ANY_NUMBER = { maxKeys: 1_000_000 }

/** Names that are told apart: by what they contain, how they are written in keys, and their length. */
export const NAMES: readonly string[] = [
  'a',
  'a\0',
  'a\0\0',
  '\0a',
  'a ',
  'a\n',
  'a\r\n',
  'A',
  'á',
  'a\u0301',
  '~YQ',
  '~YQA',
  'a%00',
  'a:values',
  'a:marks',
  '{a}',
  '}{a',
  '\ufeffa',
  '\ufffd',
  '🙂',
  'x'.repeat(70_000),
  `${'x'.repeat(70_000)}y`,
]

/** Fresh stores for each test of the block. */
export function useStores(create: CreateStores): StorePair {
  return stores(create, beforeEach, afterEach)
}

/** One pair for all tests of the block, which may run side by side: each looks at its own scopes only. */
export function shareStores(create: CreateStores): StorePair {
  return stores(create, beforeAll, afterAll)
}

type Hook = (action: () => Promise<void>) => void

function stores(create: CreateStores, before: Hook, after: Hook): StorePair {
  const pair = {} as StorePair
  before(async () => {
    Object.assign(pair, { dispose: undefined }, await create())
  })
  after(async () => {
    await pair.store.close()
    await pair.peer.close()
    await pair.dispose?.()
  })
  return pair
}

export function newSession(overrides: Partial<NewSession> = {}): NewSession {
  return {
    id: randomUUID(),
    principal: 'alice',
    protocolVersion: 'a label',
    state: { key: 'initialize', data: '{"first":true}' },
    ttlMs: HOUR,
    ...overrides,
  }
}

/** Creates a session and answers with its id. */
export async function begin(store: Store, overrides: Partial<NewSession> = {}): Promise<string> {
  const session = newSession(overrides)
  expect(await store.createSession(session, NO_LIMIT)).toBe('created')
  return session.id
}

export function newCall(scope: string, overrides: Partial<NewCall> = {}): NewCall {
  return {
    scope,
    callId: randomUUID(),
    owner: 'node-1',
    principal: 'alice',
    requestKeys: [randomUUID()],
    data: 'request',
    ttlMs: HOUR,
    maxOpenCalls: 1000,
    ...overrides,
  }
}

/** Opens a call that must be new; answers with its id, its log, its epoch and its first entry's id. */
export async function open(store: Store, scope: string, overrides: Partial<NewCall> = {}) {
  const call = newCall(scope, overrides)
  const opened = await store.openCall(call)
  if (opened.status !== 'opened') throw new Error(`the call was not opened but ${opened.status}`)
  const epoch = Number(opened.id.split('-')[0])
  return { ...call, log: `call:${call.callId}` as const, id: opened.id, epoch }
}

export const once = (maxLength = 1000) => ({ nonce: randomUUID(), maxLength })

/** Everything a log still holds. */
export async function contents(store: Store, scope: string, log: Parameters<Store['read']>[1]) {
  const entries = await store.read(scope, log, '-', 1000)
  return entries?.map(({ data }) => data)
}

/** Polls until it is true; for what only time brings about. */
export async function waitFor(what: string, condition: () => Promise<boolean> | boolean) {
  for (let elapsed = 0; elapsed < 15_000; elapsed += 20) {
    if (await condition()) return
    await sleep(20)
  }
  throw new Error(`never came true: ${what}`)
}

/** On a machine that stops meanwhile: of tests that race with time. */
export const SLOW = { retry: 3 }

/** Repeats `action` until well after `ttlMs` has passed. Throws when the machine is too slow for that to prove anything. */
export async function keepDoing(ttlMs: number, action: () => Promise<unknown>) {
  const end = performance.now() + 2 * ttlMs
  for (let last = performance.now(); last < end; last = performance.now()) {
    await sleep(ttlMs / 20)
    await action()
    if (performance.now() - last > ttlMs / 2) throw new Error('this machine was too slow; nothing was proved')
  }
}

/** Watches a scope and keeps what it hears, but for `resync`: a connection may break at any time. */
export async function listen(store: Store, scope: string) {
  const heard: [topic: string, value: string][] = []
  const unwatch = await store.watch(scope, (topic, value) => topic !== 'resync' && heard.push([topic, value]))
  const count = (topic: string, value: string) => heard.filter(([t, v]) => t === topic && v === value).length
  return {
    heard,
    unwatch,
    count,
    until: (topic: string, value: string) => waitFor(`${topic} ${value}`, () => count(topic, value) > 0),
  }
}
