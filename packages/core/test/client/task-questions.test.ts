import { describe, expect, test } from 'vitest'
import { within } from '../support/within.js'
import { done, working, question, connected, textOf, work } from './task-client.js'
import { answering, TaskServer } from './task-server.js'
import type { TaskScript } from './task-server.js'

describe.concurrent('questions of a task', () => {
  const asks = (...keys: string[]) => ({
    status: 'input_required',
    inputRequests: Object.fromEntries(keys.map((key) => [key, question(key)])),
  })

  async function asking(script: TaskScript) {
    await using server = await TaskServer.start(script)
    const asked: string[] = []
    await using client = await connected(server, {}, (message) => {
      asked.push(message)
      return { action: 'accept', content: { of: message } }
    })
    const outcome = await within(client.callTool(work).then(textOf, String), 'the outcome')
    return { server, asked, outcome, updates: server.of('tasks/update').map(({ params }) => params) }
  }
  const accepted = (of: string) => ({ action: 'accept', content: { of } })

  test('reach the client once, and its answers the server', async () => {
    // The second state is one that has not heard of the answer yet.
    const states = [working, asks('a', 'b'), asks('a', 'b'), asks('b'), working, asks('c'), done]
    const { server, asked, outcome, updates } = await asking({ states })
    expect(outcome).toBe('done')
    expect(asked).toEqual(['a', 'b', 'c'])
    expect(updates.map(({ taskId, inputResponses }) => ({ taskId, inputResponses }))).toEqual([
      { taskId: 'task 1', inputResponses: { a: accepted('a'), b: accepted('b') } },
      { taskId: 'task 1', inputResponses: { c: accepted('c') } },
    ])
    expect(server.count('tools/call')).toBe(1)
  })

  test('may come while others that were answered are still shown', async () => {
    const { asked, outcome, updates } = await asking({
      states: [asks('a'), asks('a', 'b'), asks('a', 'b'), done],
    })
    expect([outcome, asked]).toEqual(['done', ['a', 'b']])
    expect(updates.map(({ inputResponses }) => Object.keys(inputResponses as object))).toEqual([['a'], ['b']])
  })

  test('that are none are waited for', async () => {
    const empty = { status: 'input_required', inputRequests: {} }
    const { outcome, asked } = await asking({ states: [{ status: 'input_required' }, empty, done] })
    expect([outcome, asked]).toEqual(['done', []])
  })

  test('have names that objects have', async () => {
    const inputRequests = JSON.parse(
      JSON.stringify({ __proto__: null, constructor: question('x') }),
    ) as object
    const { outcome, asked } = await asking({ states: [{ status: 'input_required', inputRequests }, done] })
    expect([outcome, asked]).toEqual(['done', ['x']])
  })

  test('whose answers are lost get them again', async () => {
    const state = ({ asked }: TaskServer) =>
      asked.filter(({ method }) => method === 'tasks/update').length < 2 ? asks('a') : done
    const { outcome, asked, updates } = await asking({ states: [state] })
    expect([outcome, asked]).toEqual(['done', ['a']])
    expect(updates).toHaveLength(2)
  })

  test('whose answers are refused: the error says so', async () => {
    const refused = answering({ error: { code: -32602, message: 'too short' } })
    const { outcome } = await asking({ states: [asks('a')], instead: { 'tasks/update': [refused] } })
    expect(outcome).toMatch(/does not take the answers.*too short/)
  })

  test('whose answers are refused since it waits no more', async () => {
    const refused = answering({ error: { code: -32602, message: 'not waiting' } })
    const script = { states: [asks('a'), working, done], instead: { 'tasks/update': [refused] } }
    expect((await asking(script)).outcome).toBe('done')
  })

  test('are answered in part by a client that answers by itself', async () => {
    await using server = await TaskServer.start({ states: [asks('a', 'b'), asks('a', 'b'), working, done] })
    await using client = await connected(server)
    const raw = (params: object) =>
      client.request({ method: 'tools/call', params: { ...work, ...params } }, { allowInputRequired: true })
    const { inputRequests, requestState } = await raw({})
    expect(Object.keys(inputRequests as object)).toEqual(['a', 'b'])
    const second = await raw({ requestState, inputResponses: { a: accepted('a') } })
    expect(second).toMatchObject({ resultType: 'input_required', inputRequests: { b: question('b') } })
    const answers = { requestState: second['requestState'], inputResponses: { b: accepted('b') } }
    const last = await raw(answers)
    expect(last).toMatchObject(done.result)
    expect(server.of('tasks/update').map(({ params }) => params['inputResponses'])).toEqual([
      { a: accepted('a') },
      { b: accepted('b') },
    ])
  })

  test('before the task are the server’s', async () => {
    const before = {
      resultType: 'input_required',
      inputRequests: { n: question('n') },
      requestState: 'mcp-durable task 1',
    }
    const { asked, outcome, server } = await asking({
      call: ({ params }) => ({
        result:
          params['requestState'] === undefined
            ? before
            : { resultType: 'task', taskId: 't', status: 'working' },
      }),
      states: [done],
    })
    expect([outcome, asked]).toEqual(['done', ['n']])
    expect(server.count('tools/call')).toBe(2)
  })
})
