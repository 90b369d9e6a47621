import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeOnSignal, fail, messageOf, portFlag, readFlags } from '../cli.js'
import { listen } from '../listen.js'
import { seededRandom, type Random } from './random.js'

/** What really happened out there. `lost`: the caller was killed before it was done. */
export interface LedgerEntry {
  action: string
  /** What it was done to: an order, a document, … */
  subject: string
  outcome: 'done' | 'repeated' | 'refused' | 'busy' | 'lost'
  /** The process that asked. */
  node: number
  detail: string
}

/**
 * What goes wrong with the next request of an action: it is turned away, or the process that asked is killed, just
 * before or just after the thing was done, in both cases before it hears of it.
 */
export type Trouble = 'busy' | 'kill-before' | 'kill-after'

export interface Order {
  subject: string
  [detail: string]: unknown
}
export type Action = (order: Order, random: Random) => unknown

/** What a service says no to. It is no failure: asking again gets the same answer. */
export class Refusal extends Error {}

export interface ServiceOptions {
  actions: Record<string, Action>
  /** The actions that it does once for all requests with the same `Idempotency-Key`. */
  knowsKeys: readonly string[]
  /** What else it takes and tells, by path: the body of a request, if it had one, becomes the answer. */
  answers?: Record<string, (body: unknown) => unknown>
  /** How many of a hundred requests it turns away, by its seed. */
  busyPercent?: number
}

/** Runs the fake of an outside service, as a program of its own, so that what it did outlives every node. */
export async function runService(name: string, options: ServiceOptions): Promise<void> {
  const usage = `usage: node dist/${name}/service.js [--port N] [--seed N]

The outside service of the example '${name}'. GET /ledger tells what it really did; POST /trouble orders trouble.

  --port N   port to listen on; 0 takes a free one (default 9992)
  --seed N   of its random numbers (default 1)`
  const flags = { port: { type: 'string', default: '9992' }, seed: { type: 'string', default: '1' } } as const
  const { values } = readFlags(usage, { options: flags })
  try {
    const service = new Service(options, seededRandom(Number(values.seed)))
    const server = createServer((req, res) => {
      service.handle(req, res).catch(() => res.destroy())
    })
    const listening = await listen(server, '127.0.0.1', portFlag('port', values.port, usage))
    closeOnSignal(() => listening.close())
    console.log(`listening on ${listening.url}`)
  } catch (error) {
    fail(messageOf(error))
  }
}

class Service {
  readonly #ledger: LedgerEntry[] = []
  readonly #answers = new Map<string, unknown>()
  readonly #troubles: { action: string; trouble: Trouble }[] = []
  readonly #options: ServiceOptions
  readonly #random: Random

  constructor(options: ServiceOptions, random: Random) {
    this.#options = options
    this.#random = random
  }

  async handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const action = (req.url ?? '/').slice(1)
    if (action === 'ledger') return send(res, 200, this.#ledger)
    const text = await textOf(req)
    const body = (text === '' ? undefined : JSON.parse(text)) as Order
    const answer = this.#options.answers?.[action]
    if (answer) return send(res, 200, answer(body))
    if (action === 'trouble') {
      this.#troubles.push(body as unknown as { action: string; trouble: Trouble })
      return send(res, 200, {})
    }
    await this.#serve(action, body, req, res)
  }

  async #serve(action: string, order: Order, req: IncomingMessage, res: ServerResponse): Promise<void> {
    const node = Number(req.headers['x-node-pid'])
    const key = req.headers['idempotency-key'] as string
    const note = (outcome: LedgerEntry['outcome'], detail = ''): void =>
      void this.#ledger.push({ action, subject: order.subject, outcome, node, detail })
    const trouble = this.#takeTrouble(action)
    // Work takes a moment; so much that a reader of the ledger sees an order.
    await sleep(5)
    if (trouble === 'busy') {
      note('busy')
      return send(res, 503, { error: 'busy; nothing was done' })
    }
    if (trouble === 'kill-before') {
      note('lost')
      return strike(node, res)
    }
    const { status, answer, outcome, detail } = this.#perform(action, order, key)
    note(outcome, detail)
    if (trouble === 'kill-after') return strike(node, res)
    send(res, status, answer)
  }

  #perform(action: string, order: Order, key: string) {
    const known = this.#options.knowsKeys.includes(action) && this.#answers.has(key)
    try {
      const answer = known ? this.#answers.get(key) : this.#options.actions[action]?.(order, this.#random)
      this.#answers.set(key, answer)
      const outcome: LedgerEntry['outcome'] = known ? 'repeated' : 'done'
      return { status: 200, answer, outcome, detail: JSON.stringify(answer) }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { message } = error
      return { status: 422, answer: { error: message }, outcome: 'refused' as const, detail: message }
    }
  }

  #takeTrouble(action: string): Trouble | undefined {
    const index = this.#troubles.findIndex((ordered) => ordered.action === action)
    if (index >= 0) return this.#troubles.splice(index, 1)[0]?.trouble
    return this.#random() * 100 < (this.#options.busyPercent ?? 0) ? 'busy' : undefined
  }
}

/** Ends the process that asked, with nothing said: as good as a power cut just now. */
function strike(node: number, res: ServerResponse): void {
  if (Number.isInteger(node) && node > 1) process.kill(node, 'SIGKILL')
  res.destroy()
}

function send(res: ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function textOf(req: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of req.setEncoding('utf8')) text += chunk as string
  return text
}
