import type { Socket } from 'node:net'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { Client as ClientV2, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { connect, reconnect } from '../../src/client/index.js'
import { Behind } from '../support/bad-answers.js'
import { byHand, resultFor, SSE } from '../support/raw-upstream.js'
import { within } from '../support/within.js'

// A new client of a session numbers its requests as the one before it did, whose call runs on: the two must not be mixed up.

const info = { name: 'test', version: '1' }
const url = 'http://127.0.0.1/mcp'
type Options = { signal?: AbortSignal; onprogress?: (progress: object) => void }
type Run = { id: string | number; token: string | number; socket: Socket }

const run = (n: number) => ({ name: 'run', arguments: { n } })

const setups = {
  v1: () => {
    const client = new ClientV1(info)
    return { client, callTool: (n: number, options: Options) => client.callTool(run(n), undefined, options) }
  },
  v2: () => {
    const client = new ClientV2(info)
    const transport = StreamableHTTPClientTransport
    return { client, transport, callTool: (n: number, options: Options) => client.callTool(run(n), options) }
  },
}

/** A call that a first client has begun, and one of a second, which would give it the same id and progress token. */
async function sameIds(sdk: keyof typeof setups, argument = 2) {
  const behind = await Behind.start()
  const runs: Run[] = []
  behind.answerCalls(({ message: { id, params } }, socket) =>
    byHand(socket, () => {
      const { _meta } = params as { _meta: { progressToken: string | number } }
      runs.push({ id: id!, token: _meta.progressToken, socket })
      socket.write(SSE)
    }),
  )
  const fetch = (to: string | URL, init?: RequestInit) => behind.mcps[0]!.fetch(new Request(to, init))
  const common = { fetch: async (to: string | URL, init?: RequestInit) => fetch(to, init) }
  const { callTool: callFirst, ...one } = setups[sdk]()
  const first = await connect(url, { ...common, ...one } as never)
  const lastEventId = await new Promise<string>((onresumptiontoken) => {
    const options = { onresumptiontoken, onprogress: () => undefined }
    callFirst(1, options).catch(() => undefined)
  })
  await waitFor(() => runs.length === 1)
  const { sessionId, protocolVersion } = first
  await first.close()
  const { callTool, ...other } = setups[sdk]()
  const second = await reconnect(url, {
    ...common,
    ...other,
    sessionId,
    protocolVersion,
    lastEventId,
  } as never)
  // `initialize` was the first request of the other.
  await other.client.ping()
  const told: object[] = []
  const stop = new AbortController()
  const mine = callTool(argument, {
    signal: stop.signal,
    onprogress: (progress) => void told.push(progress),
  })
  const outcome = mine.then(
    (result) => (result as { content: unknown[] }).content,
    (error: Error) => error.message,
  )
  await waitFor(() => runs.length === 2)
  return {
    behind,
    runs,
    told,
    stop,
    outcome,
    resumed: within(
      second.resumed!.catch((error: Error) => error.message),
      'the outcome',
    ),
    say: (n: number, message: object) =>
      void runs[n]!.socket.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`),
    async [Symbol.asyncDispose]() {
      await second.close()
      await behind[Symbol.asyncDispose]()
    },
  }
}

const text = (said: string) => [{ type: 'text', text: said }]

test.each(['v1', 'v2'] as const)(
  'errors and progress of a resumed call are not those of another; client %s',
  async (sdk) => {
    await using both = await sameIds(sdk)
    const { runs, say } = both
    for (const [n, { token }] of runs.entries())
      say(n, { method: 'notifications/progress', params: { progressToken: token, progress: n } })
    say(0, { id: runs[0]!.id, error: { code: -32050, message: 'the first failed' } })
    expect(await both.resumed).toBe('the first failed')
    say(1, resultFor(runs[1]!.id, 'mine'))
    expect(await both.outcome).toEqual(text('mine'))
    expect(both.told).toEqual([{ progress: 1 }])
  },
)

test.each(['v1', 'v2'] as const)(
  'who cancels a call does not cancel the one that it has resumed; client %s',
  async (sdk) => {
    await using both = await sameIds(sdk)
    const { behind, runs } = both
    both.stop.abort()
    const cancelled = () =>
      behind.upstream.requests
        .filter(({ message }) => message.method === 'notifications/cancelled')
        .map(({ message }) => (message.params as { requestId?: unknown }).requestId)
    await waitFor(() => cancelled().length > 0)
    both.say(0, resultFor(runs[0]!.id, 'theirs'))
    expect(await both.resumed).toMatchObject({ content: text('theirs') })
    expect(cancelled()).toEqual([runs[1]!.id])
  },
)

test.each(['v1', 'v2'] as const)(
  'a call like the one that was resumed is another one; client %s',
  async (sdk) => {
    await using both = await sameIds(sdk, 1)
    for (const [n, { id }] of both.runs.entries()) both.say(n, resultFor(id, `run ${n}`))
    expect(await both.outcome).toEqual(text('run 1'))
    expect(await both.resumed).toMatchObject({ content: text('run 0') })
  },
)
