import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { EarlierRuns } from '../../src/call/earlier-runs.js'
import type { CallRecord } from '../../src/call/record.js'
import { encodeRecord } from '../../src/call/record.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'

const MiB = 2 ** 20
const COUNT = 64

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function heapUsed() {
  collect()
  return process.memoryUsage().heapUsed
}

const notification = (n: number): JsonRpcMessage => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data: `${n} ${'x'.repeat(MiB)}` },
})
const question = (n: number): JsonRpcMessage => ({
  jsonrpc: '2.0',
  id: `call.${n}`,
  method: 'sampling/createMessage',
  params: { messages: [`${n} ${'x'.repeat(MiB)}`] },
})

function* pages() {
  for (let n = 1; n <= COUNT; n++) {
    const records: CallRecord[] = [
      { kind: 'message', message: notification(n) },
      { kind: 'question', message: question(n) as never },
    ]
    yield records.map((record, index) => ({ id: `1-${2 * n + index}`, data: encodeRecord(record) }))
  }
}

test('what a call has said takes little memory where it is taken over, and is known', async () => {
  const before = heapUsed()
  const runs = await EarlierRuns.read(pages())
  expect(heapUsed() - before).toBeLessThan((COUNT * MiB) / 8)
  expect(runs.sent.takeNotification(notification(COUNT))).toBe(true)
  expect(runs.sent.takeNotification(notification(COUNT))).toBe(false)
  expect(runs.sent.takeNotification(notification(COUNT + 1))).toBe(false)
  expect(runs.sent.takeQuestion(question(COUNT) as never)).toBe(`call.${COUNT}`)
})
