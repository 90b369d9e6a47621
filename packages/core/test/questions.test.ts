import { describe, expect, test } from 'vitest'
import type { JsonRpcRequest, RequestId } from '../src/json-rpc.js'
import { askerOf, Questions } from '../src/session/questions.js'

const CALL = 'abcdefghijklmnopqrstuv'
const ask = (id: RequestId, params?: JsonRpcRequest['params']): JsonRpcRequest => ({
  jsonrpc: '2.0',
  id,
  method: 'roots/list',
  ...(params && { params }),
})
const answer = (id: RequestId) => ({ jsonrpc: '2.0' as const, id, result: { roots: [] } })
const progress = (progressToken: unknown) => ({
  jsonrpc: '2.0' as const,
  method: 'notifications/progress',
  params: { progressToken, progress: 1 },
})

describe('ids of questions', () => {
  test('there and back, whatever number the server object gave them', () => {
    const questions = new Questions()
    for (const id of [0, 1, 2])
      expect(questions.outgoing(ask(id), `${CALL}.${id + 1}`).id).toBe(`${CALL}.${id + 1}`)
    expect(questions.pending).toBe(3)
    for (const id of [2, 0, 1]) expect(questions.incoming(answer(`${CALL}.${id + 1}`))).toEqual(answer(id))
    expect(questions.pending).toBe(0)
  })

  test('a second answer, and one that nobody waits for, are dropped', () => {
    const questions = new Questions()
    questions.outgoing(ask(0), `${CALL}.1`)
    expect(questions.incoming(answer(`${CALL}.1`))).toBeDefined()
    for (const id of [`${CALL}.1`, `${CALL}.2`, 0, '0', '__proto__', 'toString']) {
      expect(questions.incoming(answer(id))).toBeUndefined()
    }
  })

  test('an error is an answer', () => {
    const questions = new Questions()
    questions.outgoing(ask(0), `${CALL}.1`)
    const error = { jsonrpc: '2.0' as const, id: `${CALL}.1`, error: { code: -1, message: 'no' } }
    expect(questions.incoming(error)).toEqual({ ...error, id: 0 })
    expect(questions.incoming({ jsonrpc: '2.0', error: { code: -1, message: 'no' } })).toBeUndefined()
  })

  test('progress tokens, for as long as the question is open', () => {
    const questions = new Questions()
    const sent = questions.outgoing(ask(4, { _meta: { progressToken: 4, other: 1 } }), `${CALL}.1`)
    expect(sent.params).toEqual({ _meta: { progressToken: `${CALL}.1`, other: 1 } })
    expect(questions.incoming(progress(`${CALL}.1`))).toEqual(progress(4))
    questions.incoming(answer(`${CALL}.1`))
    expect(questions.incoming(progress(`${CALL}.1`))).toBeUndefined()
  })

  test('a question that asks for no progress is sent as it is', () => {
    const questions = new Questions()
    expect(questions.outgoing(ask(0, { a: 1 }), `${CALL}.1`)).toEqual({
      ...ask(0, { a: 1 }),
      id: `${CALL}.1`,
    })
    expect(questions.outgoing(ask(1), `${CALL}.2`)).toEqual({ ...ask(1), id: `${CALL}.2` })
  })

  test('withdrawn: the client hears its id, and a late answer is dropped', () => {
    const questions = new Questions()
    questions.outgoing(ask(0), `${CALL}.1`)
    expect(questions.withdrawn({ requestId: 0, reason: 'late' })).toEqual({
      requestId: `${CALL}.1`,
      reason: 'late',
    })
    expect(questions.withdrawn({ requestId: 0 })).toBeUndefined()
    expect(questions.withdrawn(undefined)).toBeUndefined()
    expect(questions.incoming(answer(`${CALL}.1`))).toBeUndefined()
    expect(questions.pending).toBe(0)
  })

  test('requests of the client are no answers', () => {
    const questions = new Questions()
    questions.outgoing(ask(0), `${CALL}.1`)
    expect(questions.incoming(ask(`${CALL}.1`))).toBeUndefined()
    expect(questions.pending).toBe(1)
  })

  test.each([`${CALL}.1`, `${CALL}.120`])('%s names its asker', (id) => expect(askerOf(id)).toBe(CALL))

  test.each([
    '',
    CALL,
    `${CALL}.`,
    `${CALL}.1.2`,
    `x${CALL}.1`,
    `${CALL}.1 `,
    `${CALL}.1\n`,
    `${CALL.slice(1)}.1`,
    1,
    null,
    {},
  ])('%j names nobody', (id) => expect(askerOf(id)).toBeUndefined())
})
