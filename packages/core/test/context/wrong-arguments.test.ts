import { describe, expect, test } from 'vitest'
import { connect, durableFetch, reconnect } from '../../src/client/index.js'
import type { DurableContext } from '../../src/context/context.js'
import type { Handles } from '../../src/context/handles.js'
import { sortedMap } from '../../src/context/sorted-map.js'
import type { SortedMap } from '../../src/context/sorted-map.js'
import type { SessionState } from '../../src/context/state-value.js'
import { express } from '../../src/adapters/express.js'
import { hono } from '../../src/adapters/hono.js'
import { fromNode, node } from '../../src/adapters/node.js'
import { durable, taskTools } from '../../src/index.js'
import { TestCall, thrown } from './support.js'

type Name = keyof DurableContext | keyof SortedMap | keyof SessionState | keyof Handles
/** As code without types sees it. */
type Anything = ((...args: unknown[]) => Anything) & { [name in Name]: Anything }
type Untyped = (ctx: Anything) => unknown

/** What a handler fails with that does this. It has asked nothing, sent nothing and recorded nothing. */
async function failure(use: Untyped): Promise<Error> {
  const call = new TestCall({ progressToken: 'p' })
  const error = await thrown(call.node().run(async (ctx: DurableContext) => use(ctx as never)))
  expect(call).toMatchObject({ records: [], questions: [], sent: [] })
  return error
}

const body = () => 1
const form = { message: '?', requestedSchema: { type: 'object', properties: {} } }

describe('an option that there is not is refused, and the one that was meant is named:', () => {
  test.each<[code: Untyped, says: string]>([
    [
      (ctx) => ctx.atLeastOnce('s', body, { timeout: 5 }),
      'The step "s": there is no option `timeout`. Did you mean `timeoutMs`?',
    ],
    [(ctx) => ctx.atMostOnce('s', body, { maxAttempts: 1 }), 'Did you mean `attempts`?'],
    [(ctx) => ctx.atLeastOnce('s', body, { retries: 1 }), 'There are: key, schema, attempts,'],
    [(ctx) => ctx.atLeastOnce('s', body, { backoff: { initial: 1 } }), 'Did you mean `initialMs`?'],
    [
      (ctx) => ctx.atLeastOnce('s', body, { backoff: 5 }),
      'options are an object, and the number 5 was given',
    ],
    [(ctx) => ctx.atLeastOnce('s', body, null), 'options are an object, and null was given'],
    [(ctx) => ctx.sleep('s', 5, { keys: 1 }), 'Did you mean `key`?'],
    [(ctx) => ctx.now('s', { keys: 1 }), 'Did you mean `key`?'],
    [
      (ctx) => ctx.elicit('q', form, { timeout: 5 }),
      'The question "q": there is no option `timeout`. Did you mean `timeoutMs`?',
    ],
    [(ctx) => ctx.sample('q', { messages: [], maxTokens: 1 }, { timeout: 5 }), 'Did you mean `timeoutMs`?'],
    [(ctx) => ctx.listRoots('q', { timeout: 5 }), 'Did you mean `timeoutMs`?'],
    [(ctx) => ctx.handle.create('h', { ttl: 5 }), 'Did you mean `ttlMs`?'],
    [(ctx) => ctx.handle.create('h'), '`ttlMs` of a handle is a whole number'],
    [(ctx) => ctx.map('m').range({ form: 'a' }), 'Did you mean `from`?'],
    [(ctx) => ctx.map('m').reverseRange({ before: 'a' }), 'There are: from, to, after, limit.'],
    [(ctx) => ctx.map('m').prefixRange('a', { limits: 5 }), 'Did you mean `limit`?'],
    [(ctx) => ctx.state.set(1, { names: 's' }), 'Did you mean `name`?'],
    [(ctx) => ctx.state.update(body, { key: 's' }), 'There are: name.'],
    [(ctx) => ctx.state.of('k', { shema: 1 }), 'Did you mean `schema`?'],
    [() => durableFetch({ giveUpAfter: 5 } as never), 'Did you mean `giveUpAfterMs`?'],
    [() => durableFetch(fetch as never), 'durableFetch(): options are an object, and a function was given'],
    [() => connect('http://127.0.0.1:9', { header: {} } as never), 'Did you mean `headers`?'],
    [() => reconnect('http://127.0.0.1:9', { session: '' } as never), 'Did you mean `sessionId`?'],
    [() => sortedMap({} as never, 'm', { maxRecordByte: 1 } as never), 'Did you mean `maxRecordBytes`?'],
  ])('%s', async (use, says) => {
    const error = await failure(use)
    expect(error.message).toContain(says)
    expect(error.name).toMatch(/^(Type|Range)Error$/)
  })
})

describe('an argument that is none is refused, and the right one is told:', () => {
  test.each<[code: Untyped, says: string]>([
    [(ctx) => ctx.now(), 'The name of a step is one line of text.'],
    [(ctx) => ctx.atLeastOnce(5, body), 'The name of a step is one line of text.'],
    [(ctx) => ctx.patched(), 'The name of a patch is one line of text.'],
    [(ctx) => ctx.elicit('e'), 'elicit(name, { message, requestedSchema }). It was given undefined.'],
    [(ctx) => ctx.sample('e', 'Hello'), 'sample(name, { messages, maxTokens }). It was given a string.'],
    [(ctx) => ctx.state.update(), 'update((value) => …). It was given undefined.'],
    [(ctx) => ctx.map('m').insert('a', 'b'), 'insert({ key: bytes }). It was given a string.'],
    [(ctx) => ctx.map('m').remove(), 'remove() takes a key, or a list of keys. It was given undefined.'],
    [(ctx) => ctx.map('m').getMany('ab'), 'getMany() takes a list of keys. It was given a string.'],
    [
      (ctx) => ctx.notify('notifications/x'),
      "{ method: 'notifications/…', params: { … } }. It was given a string.",
    ],
    [(ctx) => ctx.notify(), 'It was given undefined.'],
    [(ctx) => ctx.notify({ params: {} }), 'It was given an object.'],
    [(ctx) => ctx.notify({ method: 'notifications/x', params: 'text' }), 'It was given an object.'],
    [(ctx) => ctx.progress(Infinity), 'progress(done, total, message). It was given the number Infinity.'],
    [(ctx) => ctx.progress('1'), 'It was given a string.'],
    [(ctx) => ctx.progress(1, null), 'It was given null.'],
    [(ctx) => ctx.progress(1, 2, { a: 1 }), 'It was given an object.'],
    [() => taskTools(undefined as never), 'taskTools(server). It was given undefined.'],
    [
      () => node(undefined as never),
      'node() takes what durable() returns: node(durable({ server, store })).',
    ],
    [() => node((() => undefined) as never), 'It was given a function.'],
    [() => node(Promise.resolve() as never), 'It was given an object.'],
    [() => hono(null as never), 'hono(durable({ server, store })). It was given null.'],
    [() => express(undefined as never), 'express(durable({ server, store })). It was given undefined.'],
    [() => fromNode(undefined as never), 'fromNode() takes a (req, res) handler'],
  ])('%s', async (use, says) => {
    const error = await failure(use)
    expect(error.message).toContain(says)
    expect(error).toBeInstanceOf(TypeError)
  })

  test('a notification of a session, or of all', async () => {
    const mcp = durable({ handler: () => new Response() })
    const wrong = 'notifications/x' as never
    await expect(mcp.notify('s', wrong)).rejects.toThrow('notify() takes a notification: {')
    await expect(mcp.notify(undefined as never, { method: 'x' })).rejects.toThrow('the id of a session')
    await expect(mcp.broadcast(wrong)).rejects.toThrow('broadcast() takes a notification: {')
    await mcp.close()
  })
})

test.each(['close', 'drain'] as const)('%s() does not take another time than it was given', async (leave) => {
  const mcp = durable({ handler: () => new Response() })
  const how = { grace: 0 } as object
  await expect(mcp[leave](how)).rejects.toThrow(
    `${leave}(): there is no option \`grace\`. Did you mean \`graceMs\`?`,
  )
  expect(await mcp.health()).toMatchObject({ leaving: false })
  await mcp.close()
})

test('options that are undefined are not set', async () => {
  const backoff = { initialMs: undefined, factor: 1, maxMs: 0 }
  const call = new TestCall()
  const step = ({ attempt }: { attempt: number }) => {
    if (attempt < 3) throw new Error('not yet')
    return attempt
  }
  const run = (ctx: DurableContext) => ctx.atLeastOnce('s', step, { backoff, timeoutMs: undefined })
  const last = call.node()
  expect(await last.run(run)).toBe(3)
  expect(last.told.map(({ fields }) => fields['nextTryMs'])).toEqual([0, 0])
  const answer = await durableFetch({ fetch: undefined, giveUpAfterMs: undefined })('data:,here', {})
  expect(await answer.text()).toBe('here')
})
