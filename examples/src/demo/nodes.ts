import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findPlace, temporaryFolder } from '../place.js'
import { disposeAll, startProgram } from '../processes.js'
import { DemoNode } from './demo-node.js'
import type { Host } from './host.js'

/** A step that was really done, and the node that did it. */
export interface Done {
  step: string
  node: string
}

export interface Cluster extends AsyncDisposable {
  nodes: readonly DemoNode[]
  /** Tools run in the nodes, and not in a server behind them. */
  toolsRunOnNodes: boolean
  /** Clients may come without a session (protocol 2026-07-28). */
  servesWithoutSessions: boolean
  /** Its tools may be tasks. */
  hasTasks: boolean
  /** The MCP endpoint of the load balancer. */
  endpoint: URL
  /** What the steps of all nodes really did, in order. */
  ledger(): Promise<Done[]>
  /** For people: what runs here, and on which store. */
  description: string
}

const KINDS: Record<Host, string> = {
  server: 'processes',
  handler: 'processes that wrap a server with transports in a Map',
  upstream: 'proxies before a server that knows nothing of them',
}

/** Two nodes, over the Redis of `REDIS_URL` or over one file. */
export async function startCluster(host: Host): Promise<Cluster> {
  const started: AsyncDisposable[] = []
  try {
    return await start(started, host)
  } catch (error) {
    await disposeAll(started)
    throw error
  }
}

async function start(started: AsyncDisposable[], host: Host): Promise<Cluster> {
  const place = await findPlace()
  started.push(place)
  const folder = await temporaryFolder('demo')
  started.push(folder)
  const upstream = host === 'upstream' ? await startProgram('existing', ['--port', '0']) : undefined
  if (upstream) started.push(upstream)
  const ledger = join(folder.path, 'ledger')
  const behind = upstream ? ['--upstream', `${upstream.url}/mcp`] : []
  const flags = [...place.flags, '--ledger', ledger, '--host', host, ...behind]
  const nodes: DemoNode[] = []
  for (let count = 0; count < 2; count++) {
    const node = await DemoNode.start(flags)
    started.push(node)
    nodes.push(node)
  }
  const backends = nodes.flatMap(({ url }) => ['--backend', url])
  const balancer = await startProgram('round-robin-lb', ['--listen-port', '0', ...backends])
  started.push(balancer)
  return {
    nodes,
    endpoint: new URL('/mcp', balancer.url),
    ledger: async () => readLedger(await readFile(ledger, 'utf8').catch(() => '')),
    toolsRunOnNodes: host !== 'upstream',
    servesWithoutSessions: host !== 'upstream',
    hasTasks: host === 'server',
    description: `two ${KINDS[host]} over ${place.title}, behind a load balancer without sticky sessions`,
    [Symbol.asyncDispose]: () => disposeAll(started),
  }
}

function readLedger(text: string): Done[] {
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.map((line) => {
    const [step = '', node = ''] = line.split('\t')
    return { step, node }
  })
}
