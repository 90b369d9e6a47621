import { choiceFlag, exitOnSignal, fail, messageOf, readFlags } from './cli.js'
import { startCluster } from './demo/nodes.js'
import { hosts } from './demo/host.js'
import { Story } from './demo/story.js'
import { ObservedClient } from './demo/observed-client.js'
import { bookingTable } from './demo/question-scene.js'
import { play } from './demo/scenes.js'

const usage = `usage: npm run demo [-- --host H]

Two nodes, one session: shows that any node serves it, that it survives the death of a node, and that so does a call
that has asked the user something, also for a client that has no session (protocol 2026-07-28), and a task whose client
went away. Nodes are processes that are killed with SIGKILL. They share one file, or the Redis of REDIS_URL, in which
the session stays, to be looked at. Exits with 0 if all held.

  --host H   what is made durable: server (objects of the SDK, the default), handler (a server that exists, with
             the SDK's transports in a Map), or upstream (a server behind a URL)`

const { values } = readFlags(usage, {
  options: { host: { type: 'string', default: 'server' } },
})
const host = choiceFlag('host', values.host, hosts, usage)
const keepSession = Boolean(process.env['REDIS_URL'])

const lookInto = (sessionId: string) =>
  `\nWhat happened in its session, and the ids of its calls:\n  npm run mcp-durable -- session ${sessionId} --full-ids\n` +
  'The timeline of one of them:\n  npm run mcp-durable -- call ID'

exitOnSignal()
try {
  await using cluster = await startCluster(host)
  console.log(`${cluster.description}\n`)
  const client = new ObservedClient(cluster.endpoint)
  const story = new Story()
  try {
    const { done, questions } = await play(story, cluster, client)
    if (cluster.toolsRunOnNodes) console.log(`\n${bookingTable(done, questions)}`)
  } finally {
    await client.close({ keepSession })
  }
  process.exitCode = story.end() ? 0 : 1
  if (keepSession && client.sessionId) console.log(lookInto(client.sessionId))
} catch (error) {
  fail(messageOf(error))
}
