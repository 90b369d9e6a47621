import { choiceFlag, exitOnSignal, fail, messageOf, readFlags } from './cli.js'
import { startCluster } from './demo/nodes.js'
import { hosts } from './demo/host.js'
import { Story } from './demo/story.js'
import { ObservedClient } from './demo/observed-client.js'
import { bookingTable } from './demo/question-scene.js'
import { play } from './demo/scenes.js'

const usage = `usage: npm run demo [-- [--host H] [--in-memory]]

Two nodes, one session: shows that any node serves it, that it survives the death of a node, and that so does a call
that has asked the user something. Uses the Redis of REDIS_URL, or a redis-server that is installed, or none.
In the Redis of REDIS_URL its session stays, to be looked at. Exits with 0 if all held.

  --host H      what is made durable: server (objects of the SDK, the default), handler (a server that exists, with
                the SDK's transports in a Map), or upstream (a server behind a URL)
  --in-memory   do without Redis even where there is one`

const { values } = readFlags(usage, {
  options: {
    host: { type: 'string', default: 'server' },
    'in-memory': { type: 'boolean', default: false },
  },
})
const host = choiceFlag('host', values.host, hosts, usage)
const keepSession = process.env['REDIS_URL'] !== undefined && !values['in-memory']

const lookInto = (sessionId: string) =>
  `\nWhat happened in its session, and the ids of its calls:\n  npm run mcp-durable -- session ${sessionId} --full-ids\n` +
  'The timeline of one of them:\n  npm run mcp-durable -- call ID'

exitOnSignal()
try {
  await using cluster = await startCluster({ inMemory: values['in-memory'], host })
  console.log(`${cluster.description}\n`)
  const client = new ObservedClient(cluster.endpoint)
  const story = new Story(45_000)
  try {
    const asked = await play(story, cluster, client)
    if (cluster.toolsRunOnNodes) console.log(`\n${bookingTable(await cluster.ledger(), asked)}`)
  } finally {
    await client.close({ keepSession })
  }
  process.exitCode = story.end() ? 0 : 1
  if (keepSession && client.sessionId) console.log(lookInto(client.sessionId))
} catch (error) {
  fail(messageOf(error))
}
