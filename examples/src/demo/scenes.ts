import assert from 'node:assert/strict'
import type { DemoNode } from './demo-node.js'
import type { Cluster, Done } from './nodes.js'
import type { ObservedClient } from './observed-client.js'
import { playQuestionScene } from './question-scene.js'
import { playSessionlessScene } from './sessionless-scene.js'
import type { Story } from './story.js'
import { playTaskScene } from './task-scene.js'

const watchedUri = 'test://watched-resource'
const lastNumber = 24
/** After this number the tool ends its stream, so that the client comes back, on whichever node is next. */
const leaveAfter = 4
/** After this number the node that carries the stream is killed. */
const killAfter = 10

/** What came of the booking whose node died: what its steps did, and how many questions it asked. */
export interface Booked {
  done: readonly Done[]
  questions: number
}

export async function play(story: Story, cluster: Cluster, client: ObservedClient): Promise<Booked> {
  const { nodes } = cluster
  const nodeAt = (url: string): DemoNode => {
    const node = nodes.find((candidate) => candidate.url === url)
    return node ?? assert.fail(`a request was served by an unknown node: '${url}'`)
  }
  const servedSince = async (what: string, since: number): Promise<DemoNode> =>
    nodeAt((await client.exchange(what, since)).servedBy)

  /** The node that has run a call: it says so itself, unless it stands before the server that did. */
  const ranOn = async (): Promise<string> => {
    const since = client.exchanges.length
    const name = await client.call('which_node')
    return cluster.toolsRunOnNodes ? name : (await servedSince('POST tools/call', since)).name
  }

  await story.scene('a session begins', async () => {
    await client.connect()
    assert.ok(client.sessionId)
    await client.subscribe(watchedUri)
    return `initialized on ${(await servedSince('POST initialize', 0)).name}`
  })

  await story.scene('calls run on both nodes', async () => {
    const seen = new Set<string>()
    for (let call = 0; call < 10 && seen.size < nodes.length; call++) seen.add(await ranOn())
    assert.deepEqual([...seen].toSorted(), nodes.map(({ name }) => name).toSorted())
    return `one session on ${[...seen].join(' and ')}`
  })

  await story.scene('a question is answered on the other node', async () => {
    for (let attempt = 1; ; attempt++) {
      const since = client.exchanges.length
      const asked = client.questions
      const result = await client.call('test_elicitation', { message: 'Who are you?' })
      assert.match(result, /"username":"ada"/)
      assert.equal(client.questions, asked + 1, 'the question came more than once')
      const asking = await servedSince('POST tools/call', since)
      const answered = await servedSince('POST answer', since)
      // In turn, but another request of the client may come between the two.
      if (asking === answered && attempt < 5) continue
      assert.notEqual(answered, asking, 'the answer never went to the other node')
      return `asked by ${asking.name}, answer taken by ${answered.name}`
    }
  })

  let victim: DemoNode | undefined
  await story.scene('the node that carries a stream dies', async () => {
    const since = client.exchanges.length
    const steps: number[] = []
    const countedBy = new Set<string>()
    let killed: Promise<unknown> | undefined
    const kill = async (): Promise<void> => {
      victim = await servedSince('GET resume', since)
      await victim.kill()
    }
    const result = await client.call(
      'count_slowly',
      { to: lastNumber, leaveAfter, everyMs: 150 },
      (step, by) => {
        steps.push(step)
        countedBy.add(by)
        if (step === killAfter) killed = kill().catch((error: unknown) => error)
      },
    )
    assert.ifError(await killed)
    const all = Array.from({ length: lastNumber }, (_, index) => index + 1)
    assert.deepEqual(steps, all, 'progress was lost, repeated or out of order')
    assert.deepEqual(client.counted, all, 'log messages were lost, repeated or out of order')
    assert.equal(result, `counted to ${lastNumber}`)
    assert.ok(victim)
    assert.deepEqual(countedBy.has(victim.name), false, 'the call ran on the node that was killed')
    return `${victim.name} killed with SIGKILL at message ${killAfter} of ${lastNumber}; none lost or repeated`
  })

  await story.scene('the session goes on without it', async () => {
    const name = await ranOn()
    assert.notEqual(name, victim?.name)
    return `on ${name}, with the same session id`
  })

  await story.scene('its subscription still holds', async () => {
    assert.equal(await client.call('update_watched_resource'), 'told the subscriber')
    assert.equal(await client.updated(), watchedUri)
    return 'notifications/resources/updated came on the standalone stream'
  })

  const restart = (died: DemoNode | undefined) =>
    story.scene('another node takes its place', async () => {
      await died?.restart()
      return `${died?.name} at the same address`
    })
  await restart(victim)

  const askedBefore = client.questions
  let asking: DemoNode | undefined
  await story.scene('the node that has asked a question dies', () =>
    playQuestionScene(cluster, client, async (since) => {
      asking = await servedSince('POST tools/call', since)
      return asking
    }),
  )
  const booked = { done: await cluster.ledger(), questions: client.questions - askedBefore }
  if (!cluster.servesWithoutSessions) return booked
  await restart(asking)
  let gone: DemoNode | undefined
  await story.scene('the same without a session (2026-07-28)', async () => {
    const { seen, victim: died } = await playSessionlessScene(cluster, nodeAt)
    gone = died
    return seen
  })
  if (!cluster.hasTasks) return booked
  await restart(gone)
  await story.scene('a long job outlives its client and node', () => playTaskScene(cluster, nodeAt))
  return booked
}
