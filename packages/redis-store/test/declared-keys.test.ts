import { randomUUID } from 'node:crypto'
import { storeContract } from '@mcp-durable/core/testing/store'
import { redisStore } from '@mcp-durable/redis-store'
import type { RedisLike } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRedis } from '../../../test-support/index.js'
import type { RedisServer } from '../../../test-support/index.js'
import * as scripts from '../src/scripts.generated.js'
import { HOUR, keysOf, LIMITS, newSession, sharedUrl } from './support.js'

/** Before the text of a script: what it touches must be one of its KEYS. The server says which arguments are keys. */
const STRICT = `
local server = redis
local allowed = {}
for _, key in ipairs(KEYS) do allowed[key] = true end
local function strictly(call)
  return function(...)
    local keys = server.pcall('COMMAND', 'GETKEYS', ...)
    for _, key in ipairs(keys.err and {} or keys) do
      if not allowed[key] then error('undeclared key ' .. key .. ' of ' .. (...)) end
    end
    return call(...)
  end
end
local redis = setmetatable({ call = strictly(server.call), pcall = strictly(server.pcall) }, { __index = server })
`

let server: RedisServer
const titleOf = (lua: string) => lua.slice(0, lua.indexOf('\n'))
const names = new Map(Object.entries(scripts).map(([name, { lua }]) => [titleOf(lua), name]))
const ran = new Set<string>()

beforeAll(async () => {
  server = await startRedis()
  const admin = new Redis(server.url)
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-spublish', '-ssubscribe')
  await admin.call('ACL', 'SETUSER', 'mute', 'on', '>secret', '~*', '&*', '+@all', '-@pubsub')
  admin.disconnect()
})
afterAll(() => server[Symbol.asyncDispose]())

/** The same client; its server refuses scripts that touch a key which was not given. */
function strict(client: Redis): RedisLike {
  return new Proxy(client, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (key === 'evalsha' || key === 'sendCommand') return () => Promise.reject(new Error('NOSCRIPT'))
      if (key === 'eval')
        return (lua: string, count: number, ...rest: (string | number)[]) => {
          ran.add(names.get(titleOf(lua))!)
          return target.eval(`${STRICT}${lua}`, count, ...rest)
        }
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

test('the check refuses a key that was not given', async () => {
  const client = new Redis(sharedUrl())
  const touch = (lua: string) => client.eval(`${STRICT}${lua}`, 1, 'given')
  await expect(touch(`return redis.call('GET', KEYS[1] .. ':more')`)).rejects.toThrow(
    'undeclared key given:more',
  )
  await expect(touch(`return redis.pcall('COPY', KEYS[1], 'other')`)).rejects.toThrow(
    'undeclared key other of COPY',
  )
  expect(await touch(`return redis.call('GET', KEYS[1])`)).toBeNull()
  client.disconnect()
})

/** Without sharded pub/sub, so that what takes its place has to keep the contract as well. */
describe('[N-1] [N-2]', () => {
  storeContract('every key that a script touches is given to it', () => {
    const prefix = `test-${randomUUID()}`
    const clients = [1, 2].map(() => new Redis(server.url, { username: 'app', password: 'secret' }))
    const [store, peer] = clients.map((client) => redisStore(strict(client), { prefix }))
    return {
      store: store!,
      peer: peer!,
      dispose: async () => clients.forEach((client) => client.disconnect()),
    }
  })
})

test('also where more is deleted than one script deletes, and where there is no pub/sub', async () => {
  const prefix = `test-${randomUUID()}`
  const client = new Redis(server.url, { username: 'mute', password: 'secret' })
  const store = redisStore(strict(client), { prefix })
  await store.watch('scope', () => undefined)
  await store.publish('scope', 'topic', '')
  for (const end of ['deleteSession', 'forget'] as const) {
    const { id } = newSession()
    await store.createSession(newSession({ id }), LIMITS)
    const ended = Array.from({ length: 1001 }, (_, n) => `call:${n}`)
    await client.zadd(`${prefix}:{${id}}:ended`, ...ended.flatMap((name) => [Date.now() + HOUR, name]))
    await client.xadd(`${prefix}:{${id}}:call:1000`, '1-1', 'd', 'x')
    await (end === 'forget' ? store.forget({ scope: id }) : store.deleteSession(id, 'alice'))
    expect((await keysOf(client, prefix)).filter((key) => key.includes(`{${id}}:call`))).toEqual([])
  }
  client.disconnect()
})

afterAll(() => {
  const unseen = [...names.values()].filter((name) => !ran.has(name))
  expect(unseen, 'scripts that no test of the contract runs').toEqual([])
})
