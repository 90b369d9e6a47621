import { randomUUID } from 'node:crypto'
import assert from 'node:assert/strict'
import { connect, type Connection } from '@mcp-durable/core/client'
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { CallToolResult, Progress } from '@modelcontextprotocol/sdk/types.js'
import { fail, messageOf, readFlags, urlFlag } from '../cli.js'
import { Story } from '../demo/story.js'
import { formatTable } from '../table.js'
import type { LedgerEntry, Trouble } from './outside-service.js'

/** The client of an example: calls its tools, and compares what they say with what the outside service really did. */
export async function runClient(name: string, play: (stage: Stage) => Promise<void>): Promise<void> {
  const usage = `usage: node dist/${name}/client.js [--url URL] [--service URL]

Tries the example '${name}', and exits with 0 if all was as it should be. Its servers are killed on the way, so at
least two should run behind --url; npm run examples sees to that.

  --url URL       the MCP endpoint (default http://127.0.0.1:9991/mcp)
  --service URL   the outside service (default http://127.0.0.1:9992)`
  const { values } = readFlags(usage, {
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:9991/mcp' },
      service: { type: 'string', default: 'http://127.0.0.1:9992' },
    },
  })
  const url = urlFlag('url', values.url, ['http:', 'https:'], usage)
  const service = urlFlag('service', values.service, ['http:'], usage)
  try {
    const connection = await connect(url)
    const stage = new Stage(connection, { server: url.origin, service: service.origin })
    await stage.scene('a session begins', () => stage.listTools())
    await play(stage)
    await stage.showLedger()
    const held = stage.story.end()
    // After a failure there may be no server to end the session on.
    await (held ? connection.end() : connection.close())
    process.exitCode = held ? 0 : 1
  } catch (error) {
    fail(messageOf(error))
  }
}

export interface CallOptions {
  onprogress?: (progress: Progress) => void
  meta?: Record<string, unknown>
}

/** What the scenes of an example work with. */
export class Stage {
  readonly story = new Story()
  /** Tells what this run does from what others did. */
  readonly run = randomUUID().slice(0, 8)
  readonly #connection: Connection<Client>
  readonly #server: string
  readonly #service: string

  constructor(connection: Connection<Client>, { server, service }: { server: string; service: string }) {
    this.#connection = connection
    this.#server = server
    this.#service = service
  }

  scene(title: string, action: () => Promise<string>): Promise<void> {
    return this.story.scene(title, action)
  }

  async listTools(): Promise<string> {
    const { tools } = await this.#connection.client.listTools()
    return `tools: ${tools.map((tool) => tool.name).join(', ')}`
  }

  /** Calls a tool, and gives out what it says. */
  async call<T>(name: string, args: object, options: CallOptions = {}): Promise<T> {
    const result = await this.callTool(name, args, options)
    const [content] = result.content
    assert.equal(content?.type, 'text')
    assert.ok(!result.isError, `${name} failed: ${content.text}`)
    return JSON.parse(content.text) as T
  }

  /** Calls a tool that may fail. */
  async callTool(name: string, args: object, { onprogress, meta }: CallOptions = {}) {
    const params = { name, arguments: args as Record<string, unknown>, ...(meta && { _meta: meta }) }
    const options = onprogress && { onprogress }
    return (await this.#connection.client.callTool(params, undefined, options)) as CallToolResult
  }

  /** What a node has at a path; each request goes to the next node. */
  page(path: string): Promise<Response> {
    return fetch(`${this.#server}${path}`)
  }

  /** What the outside service has at a path. */
  async outside<T>(path: string): Promise<T> {
    return (await (await fetch(`${this.#service}${path}`)).json()) as T
  }

  /** Orders trouble for the next requests of an action. */
  async trouble(action: string, ...troubles: Trouble[]): Promise<void> {
    for (const trouble of troubles) {
      await fetch(`${this.#service}/trouble`, { method: 'POST', body: JSON.stringify({ action, trouble }) })
    }
  }

  /** What the outside service did to a subject of this run, in its order: `charge done`. Turned away is not done. */
  async done(subject: string): Promise<string[]> {
    const entries = (await this.#ledger()).filter((entry) => entry.subject === this.named(subject))
    const acts = entries.filter(({ outcome }) => outcome !== 'busy')
    return acts.map(({ action, outcome }) => `${action} ${outcome}`)
  }

  /** How often the service turned requests for a subject away. */
  async turnedAway(subject: string): Promise<number> {
    const entries = (await this.#ledger()).filter((entry) => entry.subject === this.named(subject))
    return entries.filter(({ outcome }) => outcome === 'busy').length
  }

  /** How many processes had to do with a subject: more than one after a node was killed. */
  async nodes(subject: string): Promise<number> {
    const entries = (await this.#ledger()).filter((entry) => entry.subject === this.named(subject))
    return new Set(entries.map(({ node }) => node)).size
  }

  named = (subject: string): string => `${subject}-${this.run}`

  async showLedger(): Promise<void> {
    const ours = (await this.#ledger()).filter(({ subject }) => subject.endsWith(this.run))
    const rows = ours.map((entry) => [entry.subject, entry.action, entry.outcome, `pid ${entry.node}`])
    console.log(
      `\nthe ledger of the outside service:\n${formatTable(['subject', 'action', 'outcome', 'by'], rows)}`,
    )
  }

  #ledger(): Promise<LedgerEntry[]> {
    return this.outside('/ledger')
  }
}
