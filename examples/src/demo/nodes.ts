import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '@mcp-durable/core'
import { listen } from '../listen.js'
import { createLoadBalancer } from '../load-balancer.js'
import { findRedis } from '../local-redis.js'
import { disposeAll, startProgram } from '../processes.js'
import { served, type Host } from './host.js'
import { LocalNode, ProcessNode, type DemoNode } from './node-kinds.js'

/** A step that was really done, and the node that did it. */
export interface Done {
  step: string
  node: string
}

export interface Cluster extends AsyncDisposable {
  nodes: readonly DemoNode[]
  /** Tools run in the nodes, and not in a server behind them. */
  toolsRunOnNodes: boolean
  /** The MCP endpoint of the load balancer. */
  endpoint: URL
  /** What the steps of all nodes really did, in order. */
  ledger(): Promise<Done[]>
  /** For people: what runs here, and on which store. */
  description: string
  /** For people: what `kill` does to a node. */
  killing: string
}

type What = { host: Host; upstream: string }
const KINDS: Record<Host, string> = {
  server: 'processes',
  handler: 'processes that wrap a server with transports in a Map',
  upstream: 'proxies before a server that knows nothing of them',
}

/** Two nodes as processes of their own where there is a Redis, else in this process over one in-memory store. */
export async function startCluster({ inMemory, host }: { inMemory: boolean; host: Host }): Promise<Cluster> {
  const started: AsyncDisposable[] = []
  try {
    const redis = inMemory ? undefined : await findRedis({ install: false })
    const upstream = host === 'upstream' ? await startProgram('existing', ['--port', '0']) : undefined
    if (upstream) started.push(upstream)
    const what = { host, upstream: upstream ? `${upstream.url}/mcp` : '' }
    if (redis === undefined) return await inThisProcess(started, what)
    started.push(redis)
    return await asProcesses(started, redis, what)
  } catch (error) {
    await disposeAll(started)
    throw error
  }
}

async function asProcesses(
  started: AsyncDisposable[],
  redis: { url: string; origin: string },
  { host, upstream }: What,
): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-demo-'))
  started.push({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) })
  const file = join(folder, 'ledger')
  const nodes: DemoNode[] = []
  const flags = ['--redis', redis.url, '--ledger', file, '--host', host, '--upstream', upstream]
  for (let count = 0; count < 2; count++) {
    const node = await ProcessNode.start(flags)
    started.push(node)
    nodes.push(node)
  }
  const backends = nodes.flatMap(({ url }) => ['--backend', url])
  const balancer = await startProgram('round-robin-lb', ['--listen-port', '0', ...backends])
  started.push(balancer)
  return {
    nodes,
    endpoint: new URL('/mcp', balancer.url),
    ledger: async () => readLedger(await readFile(file, 'utf8').catch(() => '')),
    toolsRunOnNodes: host !== 'upstream',
    description: `two ${KINDS[host]} on Redis (${redis.origin}), behind a load balancer without sticky sessions`,
    killing: 'killed with SIGKILL',
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

async function inThisProcess(started: AsyncDisposable[], { host, upstream }: What): Promise<Cluster> {
  const store = memoryStore()
  const done: Done[] = []
  const nodes: DemoNode[] = []
  for (const name of ['node A', 'node B']) {
    const node = await LocalNode.start(
      name,
      store,
      served(host, upstream, name, (step) => void done.push({ step, node: name })),
    )
    started.push(node)
    nodes.push(node)
  }
  const balancer = createLoadBalancer({ backends: nodes.map(({ url }) => new URL(url)) })
  const front = await listen(balancer, '127.0.0.1', 0)
  started.push({ [Symbol.asyncDispose]: () => front.close() })
  return {
    nodes,
    endpoint: new URL('/mcp', front.url),
    ledger: () => Promise.resolve(done),
    toolsRunOnNodes: host !== 'upstream',
    description: 'no Redis here: two nodes in this process over one in-memory store, behind a load balancer',
    killing: 'shut down at once (there is no process to kill)',
    [Symbol.asyncDispose]: () => disposeAll(started),
  }
}
