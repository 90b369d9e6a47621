import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { freePort } from '../free-port.js'
import type { Place } from '../place.js'
import { disposeAll, end, firstLine, own, startProgram } from '../processes.js'

/** Everything an example's client needs: the outside service, two nodes behind a load balancer, and who restarts them. */
export interface System extends AsyncDisposable {
  url: string
  service: string
  /** What the nodes said on standard error. */
  complaints(): string
}

const nodes = 2

export async function startSystem(
  name: string,
  { place, port }: { place: Place; port: number },
): Promise<System> {
  const started: AsyncDisposable[] = []
  try {
    const service = await startProgram(`${name}/service`, ['--port', '0'])
    started.push(service)
    const flags = [...place.flags, '--service', service.url]
    const keepers = Array.from({ length: nodes }, () => new Keeper(`${name}/server`, flags))
    started.push(...keepers)
    const urls = await Promise.all(keepers.map(async (keeper) => keeper.start(await freePort())))
    const backends = urls.flatMap((url) => ['--backend', url])
    const balancer = await startProgram('round-robin-lb', ['--listen-port', String(port), ...backends])
    started.push(balancer)
    return {
      url: `${balancer.url}/mcp`,
      service: service.url,
      complaints: () => keepers.map(({ complaints }) => complaints).join(''),
      [Symbol.asyncDispose]: () => disposeAll(started),
    }
  } catch (error) {
    await disposeAll(started)
    throw error
  }
}

/** Starts a node, and starts it again on the same port whenever it dies: what systemd or Kubernetes does. */
class Keeper implements AsyncDisposable {
  complaints = ''
  readonly #file: string
  readonly #flags: readonly string[]
  #child: ChildProcess | undefined
  #stopped = false

  constructor(program: string, flags: readonly string[]) {
    this.#file = fileURLToPath(new URL(`../../dist/${program}.js`, import.meta.url))
    this.#flags = flags
  }

  async start(port: number): Promise<string> {
    const args = [this.#file, '--port', String(port), ...this.#flags]
    const child = own(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] }))
    this.#child = child
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.complaints += text))
    const url = await firstLine(child, /^listening on (.+)$/).catch((error: unknown) => {
      throw new Error(`the server did not start: ${this.complaints.trim() || String(error)}`)
    })
    child.once('exit', () => {
      if (this.#stopped) return
      this.start(port).catch((error: unknown) => (this.complaints += String(error)))
    })
    return url
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    if (this.#child) await end(this.#child, 'SIGTERM')
  }
}
