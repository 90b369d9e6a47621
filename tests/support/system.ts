import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, spawnNode, waitFor, type NodeProcess } from '../../test-support/index.js'
import type { Host } from '../src/flags.js'
import type { Command } from '../src/node.js'
import { TestClient, type Major } from './client.js'
import { Load } from './load.js'
import { Router, type Backend } from './router.js'

export interface SystemOptions {
  /** Major of the SDK of the server objects; default 1. */
  sdk?: Major
  /** What the nodes are given; default server objects. With `upstream` there is a process behind them. */
  host?: Host
  /** The upstream speaks HTTPS, with a certificate of its own; the nodes know it if it is `trusted`. */
  tls?: 'trusted' | 'unknown'
  /** Whether the upstream gives its events ids; default true. */
  resumable?: boolean
  /** What is wrapped, or behind the nodes, needs no sessions, and serves none. */
  sessionless?: boolean
  /** How many nodes; default 2. */
  nodes?: number
  /** Where Redis is; default the one of the test run. */
  redis?: string
  /** Start-up nodes of a Cluster, instead of `redis`. */
  cluster?: { host: string; port: number }[]
  /** Options of `durable()`. */
  options?: Record<string, unknown>
  storeOptions?: Record<string, unknown>
}

export type LedgerEntry = { event: string; detail: string; pid: number }
export interface Node extends NodeProcess, Backend {
  /** Speaks for the application code on the node. */
  control(command: Command): Promise<unknown>
}

/** Streams reconnect at once: a test waits for events, not for delays. */
const QUICK = { retryMs: 20 }
const CERTIFICATE = fileURLToPath(new URL('tls/cert.pem', import.meta.url))

/** Nodes over one Redis with keys of their own, and what they share with the test. */
export class System implements AsyncDisposable {
  readonly nodes: Node[] = []
  readonly prefix = `test-${randomUUID()}`
  #upstream: NodeProcess | undefined
  #upstreamPort = 0
  readonly #dir: string
  readonly #options: SystemOptions
  readonly #routers: Router[] = []
  readonly #clients: TestClient[] = []
  readonly #loads: Load[] = []

  private constructor(dir: string, options: SystemOptions) {
    this.#dir = dir
    this.#options = options
  }

  static async start(options: SystemOptions = {}): Promise<System> {
    const system = new System(await mkdtemp(join(tmpdir(), 'mcp-durable-system-')), options)
    try {
      if (system.#host === 'upstream') await system.startUpstream()
      await Promise.all(Array.from({ length: options.nodes ?? 2 }, () => system.add()))
      return system
    } catch (error) {
      await system[Symbol.asyncDispose]()
      throw error
    }
  }

  /** The server behind the nodes; with another host there is none. */
  get upstream(): NodeProcess {
    if (!this.#upstream) throw new Error('this system has no upstream')
    return this.#upstream
  }

  /** The process in which the tools of a node run. */
  toolsOf(node: Node): number {
    return (this.#upstream ?? node).pid
  }

  /** Starts the server behind the nodes, where the last one was. */
  async startUpstream(): Promise<NodeProcess> {
    const { sdk = 1, tls, resumable = true, sessionless } = this.#options
    this.#upstreamPort ||= await freePort()
    const flags = { port: String(this.#upstreamPort), sdk: String(sdk), dir: this.#dir }
    this.#upstream = await spawnNode(
      'tests/dist/upstream.js',
      [
        ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
        ...(tls ? ['--tls'] : []),
        ...(resumable ? [] : ['--no-events']),
        ...(sessionless ? ['--sessionless'] : []),
      ],
      { ready: /listening on (https?:\/\/\S+)/ },
    )
    return this.#upstream
  }

  get #host(): Host {
    return this.#options.host ?? 'server'
  }

  /** The first three nodes, by the names that tests like to use. */
  get abc(): [a: Node, b: Node, c: Node] {
    const [a, b = a, c = b] = this.nodes
    return [a!, b!, c!]
  }

  /** Starts one more node. Its port is its own, so another one can take its place there. */
  async add(extraFlags: string[] = []): Promise<Node> {
    const env = this.#options.tls === 'trusted' ? { NODE_EXTRA_CA_CERTS: CERTIFICATE } : {}
    const port = ['--port', String(await freePort())]
    const child = await spawnNode('tests/dist/node.js', [...this.#flags(), ...port, ...extraFlags], { env })
    const node = Object.assign(child, {
      name: String(child.pid),
      control: (command: Command) => control(child.url, command),
    })
    this.nodes.push(node)
    return node
  }

  /** A router of the test's own; without routes it takes all nodes in turn. */
  async router(...backends: Backend[]): Promise<Router> {
    const router = await Router.start(...(backends.length > 0 ? backends : this.nodes))
    this.#routers.push(router)
    return router
  }

  async client(major: Major, router: Router, token?: string): Promise<TestClient> {
    const client = await TestClient.connect(major, router, token)
    this.#clients.push(client)
    return client
  }

  /** Work that ends with the system at the latest. */
  load(...args: ConstructorParameters<typeof Load>): Load {
    const load = new Load(...args)
    this.#loads.push(load)
    return load
  }

  /** What tools did in the world, by whichever node. */
  async ledger(event?: string, detail?: string): Promise<LedgerEntry[]> {
    const text = await readFile(join(this.#dir, 'ledger'), 'utf8').catch(() => '')
    const entries = text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as LedgerEntry)
    return entries.filter(
      (entry) => (event ?? entry.event) === entry.event && (detail ?? entry.detail) === entry.detail,
    )
  }

  /** Waits until a tool has done it. */
  recorded(event: string, detail?: string): Promise<LedgerEntry> {
    const what = `${event} ${detail ?? ''} in the ledger`
    return waitFor(async () => (await this.ledger(event, detail))[0], { what })
  }

  openGate(name: string): Promise<void> {
    return writeFile(join(this.#dir, `gate-${name}`), '')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const idle = Promise.all(this.#loads.map((load) => load.stop()))
    await Promise.all(this.#clients.map((client) => client[Symbol.asyncDispose]().catch(() => undefined)))
    await Promise.all(this.#routers.map((router) => router[Symbol.asyncDispose]()))
    await Promise.all(this.nodes.map((node) => node.kill('SIGKILL')))
    await this.#upstream?.kill('SIGKILL')
    await idle
    await rm(this.#dir, { recursive: true, force: true })
  }

  #flags(): string[] {
    const { sdk = 1, redis = process.env['REDIS_URL'] ?? '', cluster, options, storeOptions } = this.#options
    const nodes = cluster?.map(({ host, port }) => `redis://${host}:${port}`)
    const flags: Record<string, string> = {
      ...(nodes ? { cluster: nodes.join(',') } : { redis }),
      sdk: String(sdk),
      host: this.#host,
      ...(this.#upstream && { upstream: `${this.#upstream.url}/mcp` }),
      prefix: this.prefix,
      dir: this.#dir,
      options: JSON.stringify({ ...QUICK, ...options }),
      'store-options': JSON.stringify(storeOptions ?? {}),
    }
    const given = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
    return this.#options.sessionless ? [...given, '--sessionless'] : given
  }
}

async function control(url: string, command: Command): Promise<unknown> {
  const response = await fetch(`${url}/control`, { method: 'POST', body: JSON.stringify(command) })
  const { result, error } = (await response.json()) as { result?: unknown; error?: string }
  if (error !== undefined) throw new Error(`the node could not ${command.do}: ${error}`)
  return result
}
