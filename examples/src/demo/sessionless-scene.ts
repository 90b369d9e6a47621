import assert from 'node:assert/strict'
import type { DemoNode } from './demo-node.js'
import type { Cluster } from './nodes.js'
import { SessionlessClient } from './sessionless-client.js'

/**
 * The same without a session: the question is the result of the request, its node dies, and the answer comes with the request
 * again, to the other node.
 */
export async function playSessionlessScene(
  cluster: Cluster,
  nodeAt: (url: string) => DemoNode,
): Promise<{ seen: string; victim: DemoNode | undefined }> {
  const before = (await cluster.ledger()).length
  let victim: DemoNode | undefined
  const client: SessionlessClient = new SessionlessClient(cluster.endpoint, async () => {
    const [asking] = client.sent.filter(({ method }) => method === 'tools/call')
    victim = nodeAt(asking?.servedBy ?? '')
    await victim.kill()
  })
  const result = await client.call('book_table')

  assert.equal(client.questions, 1, 'the question came more than once')
  assert.deepEqual(client.sessionIds, [], 'there was a session')
  const answered = client.sent.find(({ isRetry }) => isRetry)
  const other = nodeAt(answered?.servedBy ?? '')
  assert.notEqual(other, victim)
  const done = (await cluster.ledger()).slice(before)
  const steps = done.map(({ step }) => step)
  assert.deepEqual(steps, ['hold a table', 'charge the deposit', 'confirm'], 'a step was lost or repeated')
  assert.deepEqual([done[0]?.node, done[1]?.node], [victim?.name, victim?.name])
  assert.equal(result, `table 12 for ada, confirmed by ${other.name}`)
  const seen = `asked by ${victim?.name}, then killed with SIGKILL; answer and result on ${other.name}`
  return { seen, victim }
}
