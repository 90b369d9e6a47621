import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { findListed } from '../../src/session/listings.js'
import type { Ask } from '../../src/session/listings.js'
import { OwnRequests } from '../../src/session/own-requests.js'

const search = (ask: Ask, withinMs?: number) =>
  findListed<{ name: string }>(
    { method: 'tools/list', field: 'tools', is: ({ name }) => name === 'wanted' },
    ask,
    withinMs,
  )
const page = (names: readonly string[], nextCursor?: string) => ({
  jsonrpc: '2.0' as const,
  id: 0,
  result: { tools: names.map((name) => ({ name })), ...(nextCursor !== undefined && { nextCursor }) },
})

test('a list is searched page by page, up to its end', async () => {
  const pages = [page(['a'], '1'), page(['wanted'], '2')]
  expect(await search(async () => pages.shift()!)).toEqual({ found: { name: 'wanted' } })
  expect(await search(async () => page(['a']))).toBe('missing')
  const error = { code: -32601, message: 'Method not found' }
  expect(await search(async () => ({ jsonrpc: '2.0', id: 0, error }))).toBe('none')
})

test('one time limit is for all pages together', async () => {
  const own = new OwnRequests()
  let pages = 0
  const ask: Ask = (request, withinMs) =>
    own.ask(
      request,
      (message) => {
        if (!('id' in message)) return
        const { id } = message
        pages++
        void sleep(50).then(() => own.take({ ...page(['a'], String(pages)), id }))
      },
      withinMs,
    )
  expect(await search(ask, 180)).toBe('none')
  expect(pages).toBeLessThan(5)
})

test('a server object that does not answer has no such list', async () => {
  const own = new OwnRequests()
  expect(await search((request, withinMs) => own.ask(request, () => undefined, withinMs), 20)).toBe('none')
})
