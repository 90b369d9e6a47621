import { expect, test } from 'vitest'
import { LOG_LEVELS } from '../../src/protocol.js'
import { TestCall, thrown } from './support.js'

const sentBy = (call: TestCall) =>
  call.sent.map(({ message }) => ('method' in message ? message.params : undefined))

test('progress goes out with the token of the request, and never decreases', async () => {
  const call = new TestCall({ progressToken: 'tok' })
  const { context } = call.node()
  await context.progress(1, 4)
  await context.progress(1)
  await context.progress(0.5)
  await context.progress(Number.NaN)
  await context.progress(2, 4, 'half')
  expect(sentBy(call)).toEqual([
    { progressToken: 'tok', progress: 1, total: 4 },
    { progressToken: 'tok', progress: 2, total: 4, message: 'half' },
  ])
})

test('the token may be 0; without one nothing is sent', async () => {
  const silent = new TestCall()
  await silent.node().context.progress(1)
  expect(silent.sent).toEqual([])
  const call = new TestCall()
  call.request.params = { _meta: { progressToken: 0 } }
  await call.node().context.progress(1)
  expect(sentBy(call)).toEqual([{ progressToken: 0, progress: 1 }])
})

test('progress is told again from the start in a new run', async () => {
  const call = new TestCall({ progressToken: 'tok' })
  await call.node().context.progress(2)
  const { context } = call.node()
  await context.progress(1)
  expect(sentBy(call).map((params) => params?.['progress'])).toEqual([2, 1])
})

test('every level has its method', async () => {
  const call = new TestCall()
  const { context } = call.node()
  for (const level of LOG_LEVELS) await context[level](`a ${level}`, 'me')
  expect(sentBy(call)).toEqual(LOG_LEVELS.map((level) => ({ level, data: `a ${level}`, logger: 'me' })))
})

test.each([
  ['debug', 8],
  ['notice', 6],
  ['error', 4],
  ['emergency', 1],
  [undefined, 8],
  ['unheard of', 8],
])('a client that wants %s gets %d of the levels', async (level, count) => {
  const call = new TestCall()
  call.logLevel = level
  const { context } = call.node()
  for (const each of LOG_LEVELS) await context.log(each, 1)
  expect(call.sent).toHaveLength(count)
  expect(sentBy(call).at(-1)?.['level']).toBe('emergency')
})

test('the level counts that holds when the message is sent', async () => {
  const call = new TestCall()
  const { context } = call.node()
  call.logLevel = 'error'
  await context.info(1)
  call.logLevel = 'info'
  await context.info(2)
  expect(sentBy(call)).toEqual([{ level: 'info', data: 2 }])
})

test('a level that does not exist throws', async () => {
  const { context } = new TestCall().node()
  expect(await thrown(context.log('loud' as 'info', 1))).toBeInstanceOf(TypeError)
})

test('what JSON cannot hold is logged as text', async () => {
  const call = new TestCall()
  const { context } = call.node()
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  for (const data of [{ n: 1n, e: new TypeError('x') }, circular, undefined, () => 1])
    await context.info(data)
  expect(sentBy(call).map((params) => params?.['data'])).toEqual([
    { n: '1', e: { name: 'TypeError', message: 'x' } },
    '[object Object]',
    null,
    null,
  ])
})

test('any notification', async () => {
  const call = new TestCall()
  const { context } = call.node()
  await context.notify({ method: 'notifications/resources/updated', params: { uri: 'x://y' } })
  await context.notify({ method: 'notifications/tools/list_changed' })
  expect(call.sent.map(({ message }) => message)).toEqual([
    { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'x://y' } },
    { jsonrpc: '2.0', method: 'notifications/tools/list_changed' },
  ])
})

test('messages from the body of a step name it', async () => {
  const call = new TestCall({ progressToken: 't' })
  const { context } = call.node()
  await context.info('before')
  await context.atLeastOnce('s', async () => {
    await context.progress(1)
    await context.info('in')
  })
  await context.atLeastOnce('s', () => context.info('in'), { key: 'k' })
  await context.info('after')
  expect(call.sent.map(({ step }) => step)).toEqual([undefined, 's', 's', 's\nk', undefined])
})
