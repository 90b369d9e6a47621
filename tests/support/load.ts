import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestClient } from './client.js'
import { Log } from './log.js'

export type LoadTool = 'effect' | 'say' | 'announce'
export type Outcome = { name: string; tool: LoadTool; pid: number; error?: string }

/** After a failure, so that an outage is not one long run of refusals. */
const REST_MS = 10

/** A client that keeps calling, several calls at a time, each with a name of its own. */
export class Load {
  readonly client: TestClient
  readonly outcomes = new Log<Outcome>('outcomes of calls')
  readonly #workers: Promise<void>[]
  #stopped = false

  constructor(client: TestClient, tools: readonly LoadTool[], width = 4) {
    this.client = client
    this.#workers = Array.from({ length: width }, (_, worker) => this.#work(tools, worker))
  }

  get succeeded(): Outcome[] {
    return this.outcomes.items.filter(({ error }) => error === undefined)
  }

  get failed(): Outcome[] {
    return this.outcomes.items.filter(({ error }) => error !== undefined)
  }

  /** Waits until so many more calls have succeeded. */
  async progress(calls: number) {
    await this.outcomes.atLeast(calls, ({ error }) => error === undefined, this.outcomes.items.length)
  }

  /** Waits until every call has ended. */
  async stop() {
    this.#stopped = true
    await Promise.all(this.#workers)
  }

  async #work(tools: readonly LoadTool[], worker: number) {
    for (let turn = worker; !this.#stopped; turn++) {
      const tool = tools[turn % tools.length]!
      const name = `${tool}-${randomUUID()}`
      try {
        const { text, pid } = await this.client.call(tool, argumentsOf(tool, name))
        this.outcomes.push({ name, tool, pid, ...(text !== name && { error: `answered '${text}'` }) })
      } catch (error) {
        this.outcomes.push({ name, tool, pid: 0, error: String(error) })
        await sleep(REST_MS)
      }
    }
  }
}

function argumentsOf(tool: LoadTool, name: string): Record<string, unknown> {
  switch (tool) {
    case 'effect':
      return { name }
    case 'say':
      return { texts: [name] }
    case 'announce':
      return { text: name }
  }
}
