import assert from 'node:assert/strict'
import { escapeControls } from '@mcp-durable/core/inspect'
import { exitOnSignal, fail, messageOf, readFlags, urlFlag, usageError } from './cli.js'
import { findPlace } from './place.js'
import { disposeAll, startProgram } from './processes.js'
import { RawSession, type Step } from './raw-session.js'

const usage = `usage: node dist/resumability.js [--base URL …] [--to N] [--cut N]

Calls a tool that sends messages while it works, cuts the stream in the middle, and resumes it with
Last-Event-ID on another node. Prints the curl commands that do the same, and exits with 0 if no message was
lost or came twice.

  --base URL  MCP endpoints that share one store; the call starts on the first and resumes on the last.
              Without it, two nodes are started over one file, or over the Redis of REDIS_URL
  --to N      how far the tool counts, one message for each number (default 10)
  --cut N     after how many messages the stream is cut (default 4)`

const { values } = readFlags(usage, {
  options: {
    base: { type: 'string', multiple: true },
    to: { type: 'string', default: '10' },
    cut: { type: 'string', default: '4' },
  },
})
const bases = values.base?.map((text) => urlFlag('base', text, ['http:', 'https:'], usage))
const to = count('to', values.to, 1000)
const cut = count('cut', values.cut, to)

exitOnSignal()
try {
  if (bases === undefined) await onOwnNodes()
  else await walkThrough(bases)
} catch (error) {
  fail(messageOf(error))
}

async function walkThrough(nodes: readonly URL[]): Promise<void> {
  const first = nodes[0]!
  const last = nodes.at(-1)!
  const session = new RawSession(print)

  console.log('\n1. Begin a session.')
  await session.initialize(first)

  console.log(`\n2. Call a tool that sends ${to} messages, and cut the stream after ${cut} of them.`)
  const seen = await session.call(first, { to, everyMs: 50 }, cut)

  console.log('\n3. Resume from the last event, on another node if there is one.')
  seen.push(...(await session.resume(last, seen.at(-1)!.id)))

  const ids = seen.map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length, 'an event came twice')
  const counted = seen.map(({ message }) => message?.params?.data?.counted).filter((n) => n !== undefined)
  const expected = Array.from({ length: to }, (_, index) => index + 1)
  assert.deepEqual(counted, expected, 'a message was lost, repeated or out of order')
  assert.ok(seen.at(-1)?.message?.result, 'the result did not arrive')
  console.log(`\n${to} messages and the result: nothing lost, nothing repeated`)
}

async function onOwnNodes(): Promise<void> {
  const started: AsyncDisposable[] = []
  try {
    const place = await findPlace()
    started.push(place)
    console.log(`two nodes over ${place.title}`)
    const nodes: URL[] = []
    for (let node = 0; node < 2; node++) {
      const program = await startProgram('everything', ['--port', '0', ...place.flags])
      started.push(program)
      nodes.push(new URL('/mcp', program.url))
    }
    await walkThrough(nodes)
  } finally {
    await disposeAll(started)
  }
}

function print({ command, answer }: Step): void {
  console.log(`\n$ ${command}`)
  for (const line of answer) console.log(`  ${escapeControls(line)}`)
}

function count(name: string, text: string, most: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  return usageError(`--${name} must be a number from 1 to ${most}, not '${text}'`, usage)
}
