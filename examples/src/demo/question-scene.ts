import assert from 'node:assert/strict'
import { formatTable } from '../table.js'
import { bookingSteps } from './booking-tool.js'
import type { Cluster, Done } from './nodes.js'
import type { DemoNode } from './demo-node.js'
import type { ObservedClient } from './observed-client.js'

/** What is at stake: a call, its question, and the node that dies while the user thinks. */
export async function playQuestionScene(
  cluster: Cluster,
  client: ObservedClient,
  runningSince: (since: number) => Promise<DemoNode>,
): Promise<string> {
  const since = client.exchanges.length
  const asked = client.questions
  let victim: string | undefined
  const stop = client.beforeAnswer(async () => {
    const node = await runningSince(since)
    victim = node.name
    await node.kill()
  })
  const asks = cluster.toolsRunOnNodes ? 'book_table' : 'test_elicitation'
  const result = await client.call(asks, cluster.toolsRunOnNodes ? {} : { message: 'Who are you?' })
  stop()

  assert.equal(client.questions, asked + 1, 'the question came more than once')
  if (!cluster.toolsRunOnNodes) {
    assert.match(result, /"username":"ada"/)
    return `sent by ${victim}, then killed with SIGKILL; the server behind it got the answer through the other`
  }
  const done = await cluster.ledger()
  const steps = done.map(({ step }) => step)
  assert.deepEqual(steps, ['hold a table', 'charge the deposit', 'confirm'], 'a step was lost or repeated')
  const confirmedBy = done.at(-1)?.node
  assert.deepEqual([done[0]?.node, done[1]?.node], [victim, victim])
  assert.notEqual(confirmedBy, victim, 'the node that was killed went on')
  assert.equal(result, `table 12 for ada, confirmed by ${confirmedBy}`)
  return `asked by ${victim}, then killed with SIGKILL; result by ${confirmedBy}`
}

/** What each step promised, and what came of it. */
export function bookingTable(done: readonly Done[], questions: number): string {
  const rows = bookingSteps.map(({ step, promise }) => {
    const by = done.filter((one) => one.step === step).map(({ node }) => node)
    const isQuestion = step === 'ask for the name'
    const times = isQuestion ? questions : by.length
    return [step, promise, String(times), isQuestion ? 'the client answered' : by.join(', ')]
  })
  return formatTable(['step of book_table', 'promise', 'times', 'by'], rows, ['times'])
}
