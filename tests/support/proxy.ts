import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child, ensureProgram, freePort, waitFor } from '../../test-support/index.js'
import type { Backend } from './router.js'

/** A load balancer that others make, with the configuration that docs/deploying.md shows. */
export type ProxyKind = {
  name: string
  file: string
  commands: string[]
  /** The package, of Debian and of brew. */
  debian: string
  brew: string
  /** Whether a request that one node could not take is given to the next one, whatever it is. */
  passesOn: boolean
  /** What the file of the docs needs around it to run here: without root, with files of its own. */
  wrap: (file: string, dir: string) => string
  args: (config: string, dir: string) => string[]
}

const TIMEOUT = '60s'
/** What the time-outs of the configuration are here. */
export const PROXY_TIMEOUT_MS = 3000

export const proxies: ProxyKind[] = [
  {
    name: 'nginx',
    file: 'nginx.conf',
    commands: ['nginx', '/usr/sbin/nginx'],
    debian: 'nginx-light',
    brew: 'nginx',
    passesOn: true,
    wrap: (file, dir) => `
      ${process.getuid?.() === 0 ? 'user root;' : ''}
      daemon off;
      master_process off;
      pid ${dir}/pid;
      error_log stderr warn;
      events {}
      http {
        access_log off;
        ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join('\n')}
        ${file}
      }`,
    args: (config, dir) => ['-p', dir, '-e', 'stderr', '-c', config],
  },
  {
    name: 'Caddy',
    file: 'Caddyfile',
    commands: ['caddy'],
    debian: 'caddy',
    brew: 'caddy',
    passesOn: false,
    wrap: (file) => `{\n\tadmin off\n}\n${file}`,
    args: (config) => ['run', '--adapter', 'caddyfile', '--config', config],
  },
]

/** The command of a proxy, which is installed if it has to be; `undefined` where it can't be. */
export const commandOf = (kind: ProxyKind) => ensureProgram(kind)

/** A real proxy on loopback, before two nodes. */
export class Proxy implements AsyncDisposable, Backend {
  readonly name: string
  readonly url: string
  readonly #child: Child
  readonly #dir: string

  private constructor(name: string, url: string, child: Child, dir: string) {
    this.name = name
    this.url = url
    this.#child = child
    this.#dir = dir
  }

  static async start(kind: ProxyKind, command: string, [a, b]: readonly Backend[]): Promise<Proxy> {
    const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-proxy-'))
    const port = await freePort()
    const file = await readFile(new URL(`../../docs/deploying/${kind.file}`, import.meta.url), 'utf8')
    const here = file
      .replaceAll(TIMEOUT, `${PROXY_TIMEOUT_MS}ms`)
      .replace('127.0.0.1:3000', `127.0.0.1:${port}`)
      .replace('127.0.0.1:3001', new URL(a!.url).host)
      .replace('127.0.0.1:3002', new URL(b!.url).host)
    const config = join(dir, 'config')
    await writeFile(config, kind.wrap(here, dir))
    const env = { ...process.env, HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir }
    const child = await Child.spawn(command, kind.args(config, dir), { env })
    const proxy = new Proxy(kind.name, `http://127.0.0.1:${port}`, child, dir)
    try {
      await waitFor(
        async () => {
          if (child.running) return (await fetch(proxy.url)).status > 0
          return true
        },
        { what: `${kind.name} serves` },
      )
      if (!child.running) throw new Error(`${kind.name} ended:\n${child.output}`)
      return proxy
    } catch (error) {
      await proxy[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose]() {
    await this.#child[Symbol.asyncDispose]()
    await rm(this.#dir, { recursive: true, force: true })
  }
}
