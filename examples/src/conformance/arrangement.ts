import type { Adapter } from '../listen.js'
import { disposeAll, startProgram, type Program } from '../processes.js'

export interface Arrangement {
  adapter: Adapter
  nodes: number
}

export const nameOf = ({ adapter, nodes }: Arrangement): string =>
  nodes === 1 ? `${adapter}, 1 node` : `${adapter}, ${nodes} nodes behind the balancer`

/** Starts the nodes, all on one Redis, and the load balancer if there are several. */
export async function startArrangement(
  { adapter, nodes }: Arrangement,
  redisUrl: string,
): Promise<AsyncDisposable & { url: string }> {
  const started: Program[] = []
  const start = async (name: string, args: string[]): Promise<string> => {
    const program = await startProgram(name, args)
    started.push(program)
    return program.url
  }
  try {
    const backends: string[] = []
    for (let node = 0; node < nodes; node++) {
      backends.push(await start('everything', ['--port', '0', '--redis', redisUrl, '--adapter', adapter]))
    }
    const flags = backends.flatMap((backend) => ['--backend', backend])
    const front = nodes === 1 ? backends[0]! : await start('round-robin-lb', ['--listen-port', '0', ...flags])
    return { url: `${front}/mcp`, [Symbol.asyncDispose]: () => disposeAll(started) }
  } catch (error) {
    await disposeAll(started)
    throw error
  }
}
