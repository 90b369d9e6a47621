import { cpuMeter, Stopwatch } from '../measure.js'
import type { Latencies } from '../measure.js'
import { Client } from './client.js'

export type LoopJob = {
  url: string
  clients: number
  warmUpMs: number
  /** The warm-up goes on until there were as many calls. */
  warmUpCalls?: number
  ms: number
  /** What is called: a tool that reports its progress as often, or one of as many steps; else `add`. */
  progress?: number
  steps?: number
  /** In protocol 2026-07-28. */
  sessionless?: boolean
}
export type LoopResult = { perSecond: number; latencies: Latencies; loadCpu: number }

const sessions = new Map<string, Client[]>()

/** Clients that call again as soon as they have the whole answer. Their sessions serve every round at the same server. */
export async function closedLoop({
  url,
  clients,
  warmUpMs,
  warmUpCalls = 0,
  ms,
  progress,
  steps,
  sessionless,
}: LoopJob): Promise<LoopResult> {
  const tool = progress ? 'progress' : steps ? 'at-least-once' : 'add'
  const used = await connected(url, clients, sessionless && tool)
  const call = progress
    ? callWithProgress(progress)
    : steps
      ? callWithSteps(steps)
      : (client: Client) => client.add()
  let warmUp = 0
  do warmUp += (await loop(used, call, warmUpMs)).count
  while (warmUp < warmUpCalls)
  const cpu = cpuMeter()
  const began = performance.now()
  const latencies = await loop(used, call, ms)
  const seconds = (performance.now() - began) / 1000
  return { perSecond: latencies.count / seconds, latencies, loadCpu: cpu() }
}

/** Clients, with sessions of their own or else for one tool, which serve every round at the same server. */
export async function connected(url: string, count: number, sessionless?: string | false): Promise<Client[]> {
  const key = sessionless ? `${url} ${sessionless}` : url
  const known = sessions.get(key) ?? []
  const connect = () =>
    sessionless ? Client.sessionless(new URL(url), sessionless) : Client.connect(new URL(url))
  await Promise.all(known.slice(0, count).map((client) => client.reconnect()))
  while (known.length < count) known.push(await connect())
  sessions.set(key, known)
  return known.slice(0, count)
}

async function loop(
  clients: readonly Client[],
  call: (client: Client) => Promise<unknown>,
  ms: number,
): Promise<Latencies> {
  const watch = new Stopwatch()
  const until = performance.now() + ms
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < until) await watch.time(() => call(client))
    }),
  )
  return watch.latencies
}

function callWithSteps(steps: number) {
  const call = { tool: 'at-least-once', args: { steps } }
  return (client: Client) => client.call(call, `"text":"${steps}"`)
}

function callWithProgress(steps: number) {
  const call = { tool: 'progress', args: { steps }, meta: { progressToken: 1 } }
  return async (client: Client) => {
    const { body } = await client.call(call, `"text":"${steps}"`)
    const messages = body.split('"notifications/progress"').length - 1
    if (messages !== steps) throw new Error(`${messages} progress messages came, not ${steps}`)
  }
}
