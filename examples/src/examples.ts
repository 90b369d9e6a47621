import { exitOnSignal, fail, messageOf, portFlag, readFlags, usageError } from './cli.js'
import { examples, type Example } from './examples/catalog.js'
import { choices } from './examples/menu.js'
import { runExample } from './examples/run-example.js'
import { findPlace } from './place.js'

const names = examples.map(({ name }) => name).join(', ')
const usage = `usage: npm run examples [-- [--all | NAME …] [--port N]]

Runs examples of durable tools: starts two nodes of the server and the outside service it works with, runs the
client, and cleans up. Nodes share one file, or the Redis of REDIS_URL. Without --all or names it asks which.
Exits with 0 if all that was run held.

  --all      all of them, without asking
  NAME       of: ${names}
  --port N   where the server listens; 0 takes a free port (default 9991)`

const { values, positionals } = readFlags(usage, {
  allowPositionals: true,
  options: { all: { type: 'boolean', default: false }, port: { type: 'string', default: '9991' } },
})
const port = portFlag('port', values.port, usage)
const named = positionals.map((name) => exampleNamed(name))

exitOnSignal()
try {
  process.exitCode = (await run(values.all ? examples : named)) ? 0 : 1
} catch (error) {
  fail(messageOf(error))
}

async function run(chosen: readonly Example[]): Promise<boolean> {
  await using place = await findPlace()
  console.log(`kept in ${place.title}`)
  const failed: string[] = []
  for await (const example of chosen.length > 0 ? chosen : choices()) {
    if (!(await runExample(example, { place, port }))) failed.push(example.name)
  }
  if (failed.length > 0) console.error(`\nnot as it should be: ${failed.join(', ')}`)
  else if (chosen.length > 0) console.log(`\nheld: ${chosen.map(({ name }) => name).join(', ')}`)
  return failed.length === 0
}

function exampleNamed(name: string): Example {
  return examples.find((example) => example.name === name) ?? usageError(`no example '${name}'`, usage)
}
