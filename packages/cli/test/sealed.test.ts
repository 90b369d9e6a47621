import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sealedStore } from '@mcp-durable/core'
import type { Store } from '@mcp-durable/core'
import { BEGINNING } from '@mcp-durable/core/store'
import { file } from '@mcp-durable/sqlite-store'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { newCall, newSession, NO_LIMIT } from '../../core/src/testing/stores.js'
import { cli } from './support/cli.js'

// What the commands do with keys, where somebody writes to the store who has none, or another one.

let folder: string
let raw: Store
let where: string[]
const key = randomBytes(32)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-durable-'))
  const database = join(folder, 'mcp.db')
  raw = file(database)
  where = ['--sqlite', database]
})
afterEach(async () => {
  await raw.close()
  rmSync(folder, { recursive: true })
})

function keyFile(of: Buffer) {
  const path = join(folder, randomUUID())
  writeFileSync(path, of.toString('base64'), { mode: 0o600 })
  return ['--key-file', path]
}

async function session(store: Store) {
  const { id } = newSession()
  await store.createSession(newSession({ id }), NO_LIMIT)
  return id
}

test('clear deletes what none of the keys opens', async () => {
  const keeping = { keepMs: 3_600_000, maxEntries: 100 }
  const scope = await session(sealedStore(raw, { keys: [randomBytes(32)] }).open({ keeping }))
  expect(await raw.history(scope, { limit: 9 })).not.toEqual([])
  expect(await cli('', 'clear', scope, '--yes', ...where, ...keyFile(key))).toMatchObject({
    code: 0,
    stderr: '',
  })
  expect(await raw.history(scope, { limit: 9 })).toEqual([])
  expect(await raw.readSession(scope)).toBeUndefined()
})

test('what is not sealed is acted on only where it is said to be expected', async () => {
  const nodes = sealedStore(raw, { keys: [key], plain: 'refuse' })
  const scope = await session(nodes)
  const message = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'pay', arguments: { to: 'mallory' } },
  }
  const request = {
    node: 'n',
    protocol: '2025-11-25',
    messages: [message],
    batch: false,
    handlers: ['durable'],
  }
  const planted = newCall(scope, { data: `request ${JSON.stringify(request)}` })
  const opened = await raw.openCall(planted)
  if (opened.status !== 'opened') throw new Error(opened.status)
  const failure = { jsonrpc: '2.0', id: 1, error: { code: -32_603, message: 'failed' } }
  const end = { id: `${Number.parseInt(opened.id, 10)}-2`, data: `response ${JSON.stringify(failure)}` }
  const close = { requestKeys: planted.requestKeys, retainMs: 60_000 }
  expect(await raw.appendCall(scope, planted.callId, [end], close)).toBe('appended')
  const retry = ['retry', planted.callId, '--yes', ...where, ...keyFile(key)]

  const { code, stderr } = await cli('', ...retry)
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/not sealed.*\n.*--read-plain\n$/),
  })
  expect(await raw.listOpenCalls(scope)).toEqual([])

  expect(await cli('', ...retry, '--read-plain')).toMatchObject({ code: 0, stderr: '' })
  const [made] = await raw.listOpenCalls(scope)
  const [first] = (await nodes.read(scope, `call:${made!.callId}`, BEGINNING, 1)) ?? []
  expect(first?.data).toContain('mallory')
})
