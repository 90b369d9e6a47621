import { expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { dataOf, Session, textOf } from '../support/session.js'
import { BeforeStdio } from '../support/stdio.js'

// Over stdio nothing but its progress token says to which call a message belongs.

test('a question and a line of the log belong to the only call; of several, to none', async () => {
  const asking = `
    const waiting = []
    on['tools/call'] = ({ id, params }) => {
      if (params.arguments.wait) return waiting.push(id)
      say({ method: 'notifications/message', params: { level: 'info', data: 'asking' } })
      say({ id: 1, method: 'roots/list' })
      on.answered = ({ result }) => { answer(id, JSON.stringify(result)); for (const one of waiting) answer(one, 'waited') }
    }`
  await using before = new BeforeStdio(asking)
  const session = await Session.begin(before.nodes)
  const alone = await session.call('run')
  expect(dataOf((await alone.nextMessage()).message)).toBe('asking')
  const asked = (await alone.nextMessage()).message as { id: string; method: string }
  expect(asked.method).toBe('roots/list')
  await session.answer(asked.id, { roots: [] })
  expect(textOf((await alone.messages()).at(-1))).toBe('{"roots":[]}')

  const standalone = await session.stream()
  const other = await session.call('run', { wait: true })
  const one = await session.call('run')
  expect(dataOf((await standalone.nextMessage()).message)).toBe('asking')
  const { id } = (await standalone.nextMessage()).message as { id: string }
  await session.answer(id, { roots: [] })
  expect((await one.messages()).map(textOf)).toEqual(['{"roots":[]}'])
  expect((await other.messages()).map(textOf)).toEqual(['waited'])
})

test('calls with the same progress token have their own progress each', async () => {
  await using before = new BeforeStdio(`
    const waiting = []
    on['tools/call'] = (call) => {
      if (waiting.push(call) < 2) return
      for (const { id, params } of waiting.reverse()) {
        const { progressToken } = params._meta
        say({ method: 'notifications/progress', params: { progressToken, progress: 1, message: params.arguments.name } })
        answer(id, params.arguments.name)
      }
    }`)
  const session = await Session.begin(before.nodes)
  const calls = []
  for (const name of ['one', 'two']) calls.push(await session.call('run', { name }, { token: 0, id: name }))
  for (const [n, name] of ['one', 'two'].entries()) {
    const [progress, answer] = await calls[n]!.messages()
    expect(progress).toMatchObject({ params: { progressToken: 0, message: name } })
    expect(textOf(answer)).toBe(name)
  }
})

test('what was asked in a call is answered with an error when that has ended', async () => {
  const asking = `
    on['tools/call'] = ({ id, params }) => {
      if (params.arguments.told) return answer(id, on.error)
      say({ id: 1, method: 'roots/list' }), answer(id, 'done')
    }
    on.answered = ({ error }) => { on.error = error.message }`
  await using before = new BeforeStdio(asking)
  const session = await Session.begin(before.nodes)
  expect(textOf((await (await session.call('run')).messages()).at(-1))).toBe('done')
  await waitFor(async () => /over/.test(await session.result('run', { told: true })))
})
