import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Child, type StopSignal } from './child.js'
import { freePort } from './ports.js'
import { ensureRedis, findRedis, type RedisLauncher } from './redis-launcher.js'

export interface RedisOptions {
  /** The program; default: the one that all tests use. */
  command?: string
  /** Append-only file: `always` flushes before each answer, `no` (the default) keeps nothing. */
  aof?: 'always' | 'everysec' | 'no'
  /** Default: a free one. */
  port?: number
  /** Where it keeps its files; default: a temporary directory that ends with the server. */
  dir?: string
  /** More settings, named as in redis.conf: `{ maxmemory: '2mb' }`; those of several words as a list. */
  config?: Record<string, string | number | readonly string[]>
}

/** A Redis server on 127.0.0.1 that one test owns, to kill and restart as it likes. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Changes with every restart. */
  readonly pid: number
  readonly dir: string
  readonly running: boolean
  /** Ends it and waits until it has ended; default SIGKILL. */
  kill(signal?: StopSignal): Promise<void>
  /** Starts it again on the same port and directory; kills it first if it still runs. Returns when it has loaded its data. */
  restart(): Promise<void>
  /** Freezes it: connections stay open, nothing is answered. */
  pause(): void
  resume(): void
}

const READY = /ready to accept connections/i

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const { command } = options
  const launcher =
    command === undefined
      ? ((await findRedis()) ?? (await ensureRedis()))
      : { command, prefix: (): string[] => [] }
  const port = options.port ?? (await freePort())
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'mcp-durable-redis-')))
  const server = new OwnRedis(launcher, port, dir, serverArgs(port, dir, options), options.dir === undefined)
  try {
    await server.restart()
    return server
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

function serverArgs(port: number, dir: string, { aof = 'no', config }: RedisOptions): string[] {
  const settings = {
    bind: '127.0.0.1',
    port,
    dir,
    daemonize: 'no',
    save: '',
    appendonly: aof === 'no' ? 'no' : 'yes',
    appendfsync: aof,
    'repl-diskless-sync-delay': 0,
    ...config,
  }
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, ...[value].flat().map(String)])
}

class OwnRedis implements RedisServer {
  readonly url: string
  readonly #name = `mcp-durable-${randomUUID()}`
  #child: Child | undefined

  constructor(
    readonly launcher: RedisLauncher,
    readonly port: number,
    readonly dir: string,
    readonly args: string[],
    readonly ownsDir: boolean,
  ) {
    this.url = `redis://127.0.0.1:${port}`
  }

  get pid(): number {
    return this.#running().pid
  }

  get running(): boolean {
    return this.#child?.running ?? false
  }

  async restart(): Promise<void> {
    if (this.#child?.running) await this.kill()
    const prefix = this.launcher.prefix(this.dir, this.#name)
    this.#child = await Child.spawn(this.launcher.command, [...prefix, ...this.args])
    await this.#child.waitForLine(READY)
  }

  async kill(signal: StopSignal = 'SIGKILL'): Promise<void> {
    if (signal === 'SIGKILL') await this.launcher.killServer?.(this.#name)
    await this.#running().kill(signal)
  }

  pause(): void {
    this.#running().pause()
  }

  resume(): void {
    this.#running().resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]()
    if (this.ownsDir) await rm(this.dir, { recursive: true, force: true })
  }

  #running(): Child {
    if (!this.#child) throw new Error('the Redis server was never started')
    return this.#child
  }
}
