// The thread in which code is tried: it may stand still or end itself, and what it leaves open ends with it.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import type { ServerFactory } from '@mcp-durable/core/sdk'
import type { replayCall } from '@mcp-durable/core/testing'
import type { Asked, Said } from './messages.js'

const { file } = workerData as { file: string }
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
const say = (said: Said) => parentPort?.postMessage(said)

// Standard output is that of the command, and Deno passes on what a thread writes there.
if ('Deno' in globalThis)
  for (const method of ['debug', 'info', 'log'] as const) console[method] = console.error

try {
  // A durable tool is known to the copy of the library that it is made with.
  const { replayCall: replay } = (await import(testingFor(file))) as { replayCall?: typeof replayCall }
  const server = factoryIn((await import(pathToFileURL(file).href)) as Record<string, unknown>)
  if (!replay) say({ failed: 'the @mcp-durable/core that it imports is older than this command.', lines: [] })
  else if (!server) say({ failed: 'it exports no function that makes the server.', lines: [] })
  else {
    parentPort?.on('message', ({ call, withinMs }: Asked) => {
      void replay(call, server, { withinMs }).then((report) => say({ report }))
    })
    say({ ready: true })
  }
} catch (error) {
  say(failureOf(error))
}

function testingFor(path: string): string {
  try {
    return pathToFileURL(createRequire(path).resolve('@mcp-durable/core/testing')).href
  } catch {
    return '@mcp-durable/core/testing'
  }
}

/** The default export or `server`: the factory itself, or the options of `durable()` that have it. */
function factoryIn(exported: Record<string, unknown>): ServerFactory | undefined {
  for (const given of [exported['server'], exported['default']]) {
    if (typeof given === 'function') return given as ServerFactory
    const { server } = (given ?? {}) as { server?: unknown }
    if (typeof server === 'function') return server as ServerFactory
  }
  return undefined
}

function failureOf(error: unknown): Said {
  if (!(error instanceof Error)) return { failed: `it throws ${String(error)}`, lines: [] }
  const { code } = error as { code?: unknown }
  const lines = (error.stack ?? '').split('\n').filter((line) => /^ {4}at (?!.*\bnode:)|^file:/.test(line))
  const failed = `it throws ${error.name}: ${error.message}`
  return { failed, lines: lines.slice(0, 3), ...(typeof code === 'string' && { code }) }
}
