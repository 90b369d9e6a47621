import { setTimeout as sleep } from 'node:timers/promises'
import { acceptedContent, inputRequired, McpServer } from '@modelcontextprotocol/server'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { StoreError } from '../../src/errors.js'
import { nextScope } from '../../src/http/sessionless/retry.js'
import type { Store } from '../../src/index.js'
import { parsePlace } from '../../src/session/place.js'
import { waitFor } from '../../../../test-support/index.js'
import { overriding } from '../support/overriding.js'
import { startPassing } from '../support/passing.js'
import { Taker } from '../support/taker.js'
import { Gates, Happenings } from '../support/world.js'

// A task of a server behind this one, which asks by itself, is cancelled on one node while it is answered on another one.

const form = {
  message: 'Name?',
  requestedSchema: { type: 'object' as const, properties: { value: { type: 'string' as const } } },
}
const never = new AbortController().signal

/** Asks `times` times, one after the other; then works until it is cancelled. */
async function start(times: number, wrap: (store: Store, node: number) => Store) {
  const happened = new Happenings()
  const server = () => {
    const made = new McpServer({ name: 'asking', version: '1' })
    made.registerTool('ask', { inputSchema: z.object({ text: z.string() }) }, async (_args, { mcpReq }) => {
      const given = acceptedContent(mcpReq.inputResponses, 'name')
      const answered = Number(mcpReq.requestState() ?? 0) + (given ? 1 : 0)
      if (answered < times)
        return inputRequired({
          inputRequests: { name: inputRequired.elicit(form) },
          requestState: String(answered),
        })
      mcpReq.signal.addEventListener('abort', () => happened.add('aborted'))
      happened.add('works')
      await sleep(60_000, undefined, { signal: mcpReq.signal })
      return { content: [] }
    })
    return made
  }
  const settings = { server, tasks: 'always' as const }
  const nodes = await startPassing({ host: 'handler', settings, wrap })
  const taker = new Taker(nodes)
  const created = await taker.call({}, 'ask')
  await taker.until(created, 'input_required', { node: 1 })
  const inputResponses = { name: { action: 'accept', content: { value: 'Ann' } } }
  return {
    nodes,
    happened,
    answer: () => taker.about('update', created.taskId, { inputResponses }),
    cancel: () => taker.about('cancel', created.taskId, {}, { node: 1 }),
    get: () => taker.get(created, { node: 1 }),
    /** What goes on with it. */
    open: () => nodes.stores[0]!.listOpenCalls(nextScope(parsePlace(created.taskId)!)),
  }
}

/** Node 0 has an answer, and is about to send it on: it waits at the gate `open`. `canNote`: where the task goes on, after that. */
async function answerSlowly({ canNote = true } = {}) {
  const happened = new Happenings()
  const slow = { isSlow: false, gates: new Gates() }
  const wrap = (store: Store, node: number) =>
    overriding(store, {
      openCall: async (call) => {
        if (node === 0 && slow.isSlow) happened.add('opens')
        if (node === 0 && slow.isSlow) await slow.gates.pass('open', never)
        return store.openCall(call)
      },
      writeValue: async (...of) => {
        if (node === 0 && slow.isSlow && !canNote && of[1] === 'next')
          throw new StoreError('store-timeout', 'away')
        return store.writeValue(...of)
      },
    })
  const task = await start(1, wrap)
  slow.isSlow = true
  const answering = task.answer()
  await happened.until('opens')
  return { task, slow, answering }
}

test('before the answer is sent on: nothing runs on', async () => {
  const { task, slow, answering } = await answerSlowly()
  await using _ = task.nodes
  expect((await task.cancel()).status).toBe(200)
  expect(await task.get()).toMatchObject({ status: 'cancelled' })
  slow.gates.open('open')
  expect((await answering).status).toBe(200)
  await waitFor(async () => (await task.open()).length === 0)
  expect(await task.get()).toMatchObject({ status: 'cancelled' })
})

test('before the answer is sent on, and its node can not find that out: nothing runs on once it is answered again', async () => {
  const { task, slow, answering } = await answerSlowly({ canNote: false })
  await using _ = task.nodes
  expect((await task.cancel()).status).toBe(200)
  slow.gates.open('open')
  expect((await answering).status).toBe(503)
  slow.isSlow = false
  expect((await task.answer()).status).toBe(200)
  await waitFor(async () => (await task.open()).length === 0)
  expect(await task.get()).toMatchObject({ status: 'cancelled' })
})

test.each([
  ['works', 1],
  ['asks again', 2],
])('once the answer was sent on, and it %s: it is cancelled there', async (_what, times) => {
  const happened = new Happenings()
  const gates = new Gates()
  const wrap = (store: Store, node: number) =>
    overriding(store, {
      writeValue: async (...of) => {
        if (node === 1 && of[1] === 'next' && happened.count('cancels') === 0) {
          happened.add('cancels')
          await gates.pass('cancel', never)
        }
        return store.writeValue(...of)
      },
    })
  const task = await start(times, wrap)
  await using _ = task.nodes
  const cancelling = task.cancel()
  await happened.until('cancels')
  expect((await task.answer()).status).toBe(200)
  if (times === 1) await task.happened.until('works')
  else await waitFor(async () => (await task.get()).status === 'input_required')
  gates.open('cancel')
  expect((await cancelling).status).toBe(200)
  if (times === 1) await task.happened.until('aborted')
  await waitFor(async () => (await task.get()).status === 'cancelled')
})
