import { expect } from 'vitest'
import type { CommonOptions } from '../../src/index.js'
import { durable } from '../../src/index.js'
import { StdioBackend } from '../../src/proxy/stdio/stdio-backend.js'
import type { Nodes } from './nodes.js'
import { openStorage } from './stores.js'

// Servers that speak stdio by hand, a few lines of JavaScript each.

/** What all of them begin with: `on` has a function for each method, and the last line of a test's own is after it. */
const BEGINNING = `
  const put = (text) => process.stdout.write(text + '\\n')
  const say = (message) => put(JSON.stringify({ jsonrpc: '2.0', ...message }))
  const answer = (id, text) => say({ id, result: { content: [{ type: 'text', text: String(text) }] } })
  const serverInfo = { name: 'stdio', version: '1' }
  const tools = ['run', 'look'].map((name) => ({ name, inputSchema: { type: 'object' }, annotations: { readOnlyHint: name === 'look' } }))
  const on = {
    initialize: ({ id, params: { protocolVersion } }) => say({ id, result: { protocolVersion, capabilities: { tools: {} }, serverInfo } }),
    'tools/list': ({ id }) => say({ id, result: { tools } }),
    'tools/call': ({ id }) => answer(id, process.pid),
    ping: ({ id }) => say({ id, result: {} }),
  }
  const answered = (message) => {}
  const hear = (line) => {
    const message = JSON.parse(line)
    if (message.method) on[message.method]?.(message)
    else on.answered?.(message)
  }
  const lines = require('node:readline').createInterface({ input: process.stdin })
  lines.on('line', hear)
  lines.on('close', () => process.exit(0))
`

export const LIMIT = 100_000

export const serverOf = (script: string) => ({ command: process.execPath, args: ['-e', BEGINNING + script] })

/** A node before such a server. */
export class BeforeStdio implements AsyncDisposable {
  readonly log: string[] = []
  readonly #storage = openStorage('memory')
  readonly mcp
  readonly nodes: Nodes

  constructor(script: string, options: Partial<CommonOptions> = {}) {
    const note = (fields: object, message: string) =>
      void this.log.push(`${message} ${(fields as { error?: Error }).error?.message ?? ''}`)
    this.mcp = durable({
      stdio: serverOf(script),
      store: this.#storage.forNode(),
      logger: { error: note, warn: note, info: note, debug: () => undefined },
      heartbeatMs: 50,
      sweepMs: 50,
      maxAnswerBytes: LIMIT,
      ...options,
    })
    const fetch = (init?: RequestInit) => this.mcp.fetch(new Request('http://127.0.0.1/mcp', init))
    this.nodes = { endpoint: () => ({ fetch }) } as unknown as Nodes
  }

  async [Symbol.asyncDispose]() {
    await this.mcp.close({ graceMs: 0 })
    await this.#storage[Symbol.asyncDispose]()
  }
}

/** Such a server without a node before it. */
export class StdioAlone implements AsyncDisposable {
  readonly log: string[] = []
  readonly backend: StdioBackend

  constructor(script: string) {
    const note = (_fields: object, message: string) => void this.log.push(message)
    const logger = { error: note, warn: note, info: note, debug: note }
    this.backend = new StdioBackend({ server: serverOf(script), maxBytes: 1_000_000, logger })
  }

  exchange(method: string, params: object, session?: string, { signal } = new AbortController()) {
    const headers: Record<string, string> = session === undefined ? {} : { 'mcp-session-id': session }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    return this.backend.exchange({ method: 'POST', headers, body, signal, extra: {} })
  }

  initialize(gone?: AbortController) {
    return this.exchange('initialize', { protocolVersion: '2025-11-25' }, undefined, gone)
  }

  /** Resolves to the id of a session. */
  async begin() {
    const begun = await this.initialize()
    expect(await textIn(begun.body)).toMatch(/serverInfo/)
    return begun.header('mcp-session-id')
  }

  async [Symbol.asyncDispose]() {
    await this.backend.close()
  }
}

export async function textIn(body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = ''
  for await (const chunk of body) text += Buffer.from(chunk).toString()
  return text
}

/** Whether there is a process of this number. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
