import type { Adapter } from '../listen.js'
import { disposeAll, startProgram, startProxy, type Program } from '../processes.js'

/** `server`: server objects. `handler`: a server that exists, wrapped. `upstream`: one behind proxies. `alone`: the same, on its own. */
export const hosts = ['server', 'handler', 'upstream', 'alone'] as const
export type Host = (typeof hosts)[number]

export interface Arrangement {
  host: Host
  adapter: Adapter
  nodes: number
}

/** All adapters with server objects, on one node and on two; what is wrapped on two; and that alone, to compare. */
export function arrangements(
  chosenHosts: readonly Host[],
  adapters: readonly Adapter[],
  nodes: readonly number[],
): Arrangement[] {
  return chosenHosts.flatMap((host): Arrangement[] => {
    if (host === 'server')
      return adapters.flatMap((adapter) => nodes.map((count) => ({ host, adapter, nodes: count })))
    if (host === 'handler') return [{ host, adapter: 'hono', nodes: Math.max(...nodes) }]
    return [{ host, adapter: 'node', nodes: host === 'alone' ? 1 : Math.max(...nodes) }]
  })
}

export function nameOf({ host, adapter, nodes }: Arrangement): string {
  if (host === 'alone') return 'existing server alone'
  const what = { server: adapter, handler: `handler, ${adapter}`, upstream: 'proxy' }[host]
  return nodes === 1 ? `${what}, 1 node` : `${what}, ${nodes} nodes behind the balancer`
}

/** Starts the nodes, all on one Redis, and the load balancer if there are several. */
export async function startArrangement(
  { host, adapter, nodes }: Arrangement,
  redisUrl: string,
): Promise<AsyncDisposable & { url: string }> {
  const started: Program[] = []
  const own = async (starting: Promise<Program>): Promise<string> => {
    const program = await starting
    started.push(program)
    return program.url
  }
  const start = (name: string, args: string[]): Promise<string> => own(startProgram(name, args))
  const startNode = (upstream: string): Promise<string> => {
    const common = ['--port', '0', '--redis', redisUrl]
    if (host === 'upstream') return own(startProxy([...common, '--upstream', `${upstream}/mcp`]))
    return start('everything', [
      ...common,
      '--adapter',
      adapter,
      ...(host === 'handler' ? ['--existing'] : []),
    ])
  }
  try {
    const isBehind = host === 'upstream' || host === 'alone'
    const existing = isBehind ? await start('existing', ['--port', '0']) : ''
    const backends: string[] = []
    const count = host === 'alone' ? 0 : nodes
    for (let node = 0; node < count; node++) backends.push(await startNode(existing))
    const flags = backends.flatMap((backend) => ['--backend', backend])
    const front =
      backends.length > 1
        ? await start('round-robin-lb', ['--listen-port', '0', ...flags])
        : (backends[0] ?? existing)
    return { url: `${front}/mcp`, [Symbol.asyncDispose]: () => disposeAll(started) }
  } catch (error) {
    await disposeAll(started)
    throw error
  }
}
