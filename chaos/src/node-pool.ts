import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { spawnNode, waitFor } from '../../test-support/index.js'
import type { NodeProcess } from '../../test-support/index.js'
import { isMutation } from './mutations.js'

/** A node process, and the id under which the other nodes know it. */
export type PoolNode = {
  process: NodeProcess
  id: string
  port: number
  paused: boolean
  code: string | undefined
}

/** `to`: when it went on, if it did. */
export type Fate = { what: 'killed' | 'paused' | 'held'; from: number; to: number }

export type NodeFlags = {
  /** URL, as of `openStore`. */
  store: string
  prefix: string
  ledger: string
  settings: object
  operated?: boolean | undefined
  /** A `Code`: it has a server with that version, too. */
  code?: string | undefined
  /** The step of that behind which it does not go on. */
  staysAt?: string | undefined
  crash?: object
  /** Names of a `Mutation`, or of `Mutant`s with commas between. */
  mutation?: string | undefined
}

// What runs is always the compiled program, whether this file is compiled or not.
const HERE = fileURLToPath(new URL('.', import.meta.url))
const COMPILED = HERE.includes('/dist/') ? HERE : `${HERE}../dist/chaos/src/`
const PROGRAM = `${COMPILED}node.js`
const HOOK = pathToFileURL(`${COMPILED}mutant-hook.js`).href

export async function startNode({
  settings,
  operated,
  code,
  staysAt,
  crash,
  mutation,
  ...flags
}: NodeFlags): Promise<PoolNode> {
  const texts = {
    ...flags,
    ...(code !== undefined && { code }),
    ...(staysAt !== undefined && { 'stays-at': staysAt }),
    settings: JSON.stringify(settings),
    ...(crash && { crash: JSON.stringify(crash) }),
  }
  const args = Object.entries<string>(texts).flatMap(([name, value]) => [`--${name}`, value])
  if (operated) args.push('--operated')
  // A hook takes its time, so only where code is to be changed.
  const hook = mutation && !isMutation(mutation) ? { NODE_OPTIONS: `--import ${HOOK}` } : {}
  const env = mutation ? { MCP_CHAOS_MUTATION: mutation, ...hook } : {}
  const process = await spawnNode(PROGRAM, args, { env })
  const [, id = ''] = await waitFor(() => /^node (\S+)/m.exec(process.output))
  return { process, id, port: Number(new URL(process.url).port), paused: false, code }
}

/** The nodes of a run: as many as wanted, whatever happens to them. */
export class NodePool implements AsyncDisposable {
  /** When each killed node died, by its id. */
  readonly killedAt = new Map<string, number>()
  /** What happened to each node, by its id. */
  readonly fates = new Map<string, Fate[]>()
  /** Nodes that ended without being killed, with their last words. */
  readonly crashes: string[] = []
  kills = 0
  pauses = 0
  restarts = 0
  readonly #flags: NodeFlags
  readonly #codes: readonly string[]
  #started = 0
  readonly #nodes = new Set<PoolNode>()
  readonly #starting = new Set<Promise<void>>()
  #closed = false

  private constructor(flags: NodeFlags, codes: readonly string[]) {
    this.#flags = flags
    this.#codes = codes
  }

  /** `codes`: each node has the next one of them. */
  static async start(count: number, flags: NodeFlags, codes: readonly string[] = []): Promise<NodePool> {
    const pool = new NodePool(flags, codes)
    await Promise.all(Array.from({ length: count }, () => pool.#add()))
    return pool
  }

  /** Where new connections go: not to a node that is paused, if a balancer can help it. Open ones stay. */
  readonly ports = (): number[] => {
    const { running } = this
    return (running.length > 0 ? running : [...this.#nodes]).map(({ port }) => port)
  }

  /** Nodes that run. */
  get running(): PoolNode[] {
    return [...this.#nodes].filter(({ paused }) => !paused)
  }

  /** SIGKILL; a new node takes its place as soon as it has started. */
  async kill(node: PoolNode): Promise<void> {
    this.kills++
    this.killedAt.set(node.id, Date.now())
    await this.#replace(node, 'SIGKILL')
  }

  /** SIGTERM, as at a deploy. */
  async restart(node: PoolNode): Promise<void> {
    this.restarts++
    await this.#replace(node, 'SIGTERM')
  }

  async #replace(node: PoolNode, signal: 'SIGKILL' | 'SIGTERM') {
    this.#nodes.delete(node)
    this.#note(node, { what: 'killed', from: Date.now(), to: Number.POSITIVE_INFINITY })
    await node.process.kill(signal)
    const started = this.#add().catch(
      (error: unknown) => void this.crashes.push(`a node did not start: ${String(error)}`),
    )
    this.#starting.add(started)
    void started.finally(() => this.#starting.delete(started))
  }

  /** SIGSTOP, and SIGCONT after that time. */
  async pause(node: PoolNode, ms: number): Promise<void> {
    this.pauses++
    node.paused = true
    const from = Date.now()
    node.process.pause()
    await sleep(ms)
    node.process.resume()
    node.paused = false
    this.#note(node, { what: 'paused', from, to: Date.now() })
  }

  /** Waits until every replacement has started. */
  async settled(): Promise<void> {
    await Promise.all(this.#starting)
  }

  /** Starts a node of each code that none has. */
  async complete(): Promise<void> {
    await this.settled()
    const missing = this.#codes.filter((code) => this.running.every((node) => node.code !== code))
    await Promise.all(missing.map((code) => this.#add(code)))
  }

  /** What the nodes that live have complained about. */
  get complaints(): string[] {
    return [...this.#nodes].flatMap(({ process }) =>
      process.output.split('\n').filter((line) => /\] error: |not repeatable|unhandled/i.test(line)),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.settled()
    await Promise.all([...this.#nodes].map(({ process }) => process.kill('SIGKILL')))
  }

  #note({ id }: PoolNode, fate: Fate) {
    this.fates.set(id, [...(this.fates.get(id) ?? []), fate])
  }

  async #add(code = this.#codes[this.#started++ % this.#codes.length]) {
    const node = await startNode({ ...this.#flags, code })
    if (this.#closed) return void (await node.process.kill('SIGKILL'))
    this.#nodes.add(node)
    void this.#watch(node)
  }

  async #watch(node: PoolNode) {
    const { code, signal } = await node.process.exited
    if (!this.#nodes.delete(node) || this.#closed) return
    this.crashes.push(`a node ended by itself (${signal ?? code}):\n${node.process.output.slice(-2000)}`)
  }
}
