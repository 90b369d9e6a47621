import { randomUUID } from 'node:crypto'
import type { Piece } from '@mcp-durable/core/transfer'
import { transferRedis } from '@mcp-durable/redis-store/transfer'
import type { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { fill } from './filled-store.js'
import { keysOf, openStore } from './support.js'

test('what is moved piece by piece is the same, key by key, however often it is put', async () => {
  await using from = openStore()
  await using to = openStore()
  await fill(from.store)
  await fill(from.store.open({ name: 'shop' }))
  const source = transferRedis(from.client, { prefix: from.prefix })
  const target = transferRedis(to.client, { prefix: to.prefix })
  expect(await source.names()).toEqual(['shop'])
  const kinds = new Set<Piece['kind']>()
  for (let twice = 0; twice < 2; twice++) {
    for await (const piece of source.pieces()) {
      kinds.add(piece.kind)
      await target.put(piece)
    }
  }
  expect([...kinds].toSorted()).toEqual([
    'due',
    'history',
    'listed',
    'log',
    'map',
    'marks',
    'node',
    'places',
    'scope',
    'values',
    'waiting',
  ])
  const [was, is] = [await dump(from.client, from.prefix), await dump(to.client, to.prefix)]
  expect(Object.keys(was).length).toBeGreaterThan(30)
  expect(is).toEqual(was)
  expect(await target.names()).toEqual([])
})

test('nothing is moved of a store that is empty, and what expires goes at its time', async () => {
  await using from = openStore()
  const pieces: Piece[] = []
  for await (const piece of transferRedis(from.client, { prefix: randomUUID() }).pieces()) pieces.push(piece)
  expect(pieces).toEqual([])
})

/** What all keys of no name hold, and when they expire; but for nonces. */
async function dump(client: Redis, prefix: string): Promise<Record<string, unknown>> {
  const all: Record<string, unknown> = {}
  for (const key of await keysOf(client, prefix)) {
    const name = key.slice(prefix.length)
    if (/:once:/.test(name) || name.startsWith(':@')) continue
    const expiry = await client.pexpiretime(key)
    all[name] = { value: await valueOf(client, key, prefix), expiry: isListed(name) ? expiry > 0 : expiry }
  }
  return all
}

/** It lasts as long as what it lists, or longer; what is taken of a quota a ms more or less. */
const isListed = (name: string) =>
  /^:(sessions|due|about:|\{nodes\}|principal:|kept:|values:|calls:|quota:)|:ended$/.test(name)

async function valueOf(client: Redis, key: string, prefix: string): Promise<unknown> {
  const type = await client.type(key)
  if (type === 'string') return client.get(key)
  if (type === 'set') return (await client.smembers(key)).toSorted()
  // What is listed as ended goes by its own expiry, of which the list may be a ms off.
  if (type === 'zset' && key.endsWith('}:ended') && !key.includes(':calls:'))
    return (await client.zrange(key, '0', '-1')).toSorted()
  if (type === 'zset')
    return (await client.zrangebyscore(key, '-inf', '+inf', 'WITHSCORES')).map((text) =>
      text.replaceAll(prefix, ''),
    )
  if (type === 'stream')
    return (await client.xrange(key, '-', '+')).map(([id, fields]) => [id, shortest(fields)])
  const fields = Object.entries(await client.hgetall(key)).map(([name, value]) => [
    name,
    value.replaceAll(prefix, ''),
  ])
  // The words that a minute's repetition of a state entry is recognised by stay behind.
  return fields
    .filter(([name = '', value]) => !(value === '0' && /^(n:|b$)/.test(name)))
    .map(([name = '', value = '']) => [name, sorted(withoutNonce(name, value))])
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
}

/** A zero may be said or left out. */
const shortest = (fields: readonly string[]) => fields.join('\n').replace(/\nt\n0$/, '')

function withoutNonce(field: string, value: string): string {
  const [, head = '', size = ''] = /^(\d+@\d+) (\d+) /.exec(field.startsWith('s:') ? value : '') ?? []
  if (head === '') return value
  return `${head} 0 ${Buffer.from(value)
    .subarray(head.length + size.length + 2 + Number(size))
    .toString()}`
}

/** Scripts write the fields of an object in any order. */
const sorted = (value: string) =>
  value.startsWith('{"at":')
    ? [...value.matchAll(/"\w+":[^,{}[\]]*/g)].map(([field]) => field).toSorted()
    : value
