import { exitOnSignal, fail, messageOf, readFlags } from './cli.js'
import { startCluster } from './demo/nodes.js'
import { Story } from './demo/story.js'
import { ObservedClient } from './demo/observed-client.js'
import { bookingTable } from './demo/question-scene.js'
import { play } from './demo/scenes.js'

const usage = `usage: npm run demo [-- --in-memory]

Two nodes, one session: shows that any node serves it, that it survives the death of a node, and that so does a call
that has asked the user something. Uses the Redis of REDIS_URL, or a redis-server that is installed, or none.
Exits with 0 if all held.

  --in-memory   do without Redis even where there is one`

const { values } = readFlags(usage, { options: { 'in-memory': { type: 'boolean', default: false } } })

exitOnSignal()
try {
  await using cluster = await startCluster({ inMemory: values['in-memory'] })
  console.log(`${cluster.description}\n`)
  const client = new ObservedClient(cluster.endpoint)
  const story = new Story(45_000)
  try {
    const asked = await play(story, cluster, client)
    console.log(`\n${bookingTable(await cluster.ledger(), asked)}`)
  } finally {
    await client.close()
  }
  process.exitCode = story.end() ? 0 : 1
} catch (error) {
  fail(messageOf(error))
}
