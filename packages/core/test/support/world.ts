import { within } from './within.js'

/** What happened in the handlers of all nodes, in order, to look at and to wait for. */
export class Happenings {
  readonly all: string[] = []
  readonly #waiting = new Set<() => void>()

  add(name: string) {
    this.all.push(name)
    for (const look of this.#waiting) look()
  }

  count(name: string) {
    return this.all.filter((happened) => happened === name).length
  }

  /** Resolves once `name` has happened `times` times in all. */
  async until(name: string, times = 1) {
    let look: (() => void) | undefined
    const happened = new Promise<void>((resolve) => {
      look = () => {
        if (this.count(name) >= times) resolve()
      }
      this.#waiting.add(look)
      look()
    })
    try {
      await within(happened, `"${name}" × ${times} (happened: ${this.all.join(', ')})`)
    } finally {
      if (look) this.#waiting.delete(look)
    }
  }
}

type Gate = { passed: Promise<void>; open: () => void }

/** Named gates: a tool waits at one until the test opens it. */
export class Gates {
  readonly #gates = new Map<string, Gate>()

  open(name: string) {
    this.#gate(name).open()
  }

  /** Resolves when the gate is open; rejects when `signal` fires before. */
  async pass(name: string, signal: AbortSignal) {
    const aborted = new Promise<never>((_resolve, reject) => {
      if (signal.aborted) reject(new Error('aborted'))
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
    })
    await Promise.race([this.#gate(name).passed, aborted])
  }

  #gate(name: string): Gate {
    const existing = this.#gates.get(name)
    if (existing) return existing
    let open!: () => void
    const passed = new Promise<void>((resolve) => (open = resolve))
    const gate = { passed, open }
    this.#gates.set(name, gate)
    return gate
  }
}

export type Question = 'elicitation' | 'sampling' | 'roots'

export type AskOptions = { timeout?: number; onprogress?: (progress: { progress: number }) => void }

/** The application's hold on a server object, outside any handler. */
export type Speaker = {
  /** `related`: the id of the request that it belongs to. */
  ask(question: Question, related?: string | number, options?: AskOptions): Promise<unknown>
  notify(method: string, params: Record<string, unknown>): Promise<void>
  log(level: string, data: unknown, sessionId: string | undefined): Promise<void>
  updated(uri: string): Promise<void>
  toolsChanged(): void
}

/** What the server objects of all nodes share with the test. */
export class World {
  readonly happened = new Happenings()
  readonly gates = new Gates()
  /** The newest server object of each node. */
  readonly speakers = new Map<string, Speaker>()

  speaker(node: string): Speaker {
    const speaker = this.speakers.get(node)
    if (!speaker) throw new Error(`${node} has made no server object`)
    return speaker
  }
}
