import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { disposeAll, own, startProgram } from '../processes.js'
import type { Program } from '../processes.js'
import { script } from './python.js'

/** A server that has the tool `ledger_steps`, of which several are started on one Redis. */
export type Contender = {
  name: string
  start(redisUrl: string, ledger: string): Promise<Program>
}

export type Run = {
  id: string
  steps: number
  delayMs: number
  redisUrl: string
  folder: string
  python: string
}
/** `done`: every time that a step was done. */
export type Outcome = { hasResult: boolean; secondsAfterKill: number; done: string[]; steps: number }

const NODES = 2
/** The node dies when it has done so many steps, and is in the middle of the next one. */
const STEPS_BEFORE = 2
const LOOK_MS = 20
const GIVE_UP_MS = 15 * 60_000

/** Calls the tool through a load balancer, kills the node that runs it, and waits for what the client gets. */
export async function runTask(contender: Contender, run: Run): Promise<Outcome> {
  const { id, steps, delayMs, redisUrl, folder, python } = run
  const ledger = join(folder, 'ledger')
  const nodes: Program[] = []
  try {
    for (let node = 0; node < NODES; node++) nodes.push(await contender.start(redisUrl, ledger))
    const backends = nodes.flatMap(({ url }) => ['--backend', url])
    await using balancer = await startProgram('round-robin-lb', ['--listen-port', '0', ...backends])
    const args = [`${balancer.url}/mcp`, 'ledger_steps', JSON.stringify({ id, steps, delayMs }), '']
    const client = call(python, args)
    const owner = await until(async () => (await stepsIn(ledger))[STEPS_BEFORE - 1]?.pid)
    // Half of a step is behind its effect.
    await sleep(delayMs)
    await nodes.find(({ pid }) => pid === owner)?.kill()
    const killedAt = performance.now()
    const hasResult = await Promise.race([client, sleep(GIVE_UP_MS, false, { ref: false })])
    const secondsAfterKill = (performance.now() - killedAt) / 1000
    const done = (await stepsIn(ledger)).map(({ step }) => step)
    return { hasResult, secondsAfterKill, done, steps }
  } finally {
    await disposeAll(nodes)
  }
}

/** Whether it has got a result that is no error. */
async function call(python: string, args: readonly string[]): Promise<boolean> {
  const child = spawn(python, [script('fastmcp_client.py'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  own(child)
  let hasResult = false
  for await (const line of createInterface({ input: child.stdout }))
    hasResult ||= (JSON.parse(line) as { isError?: boolean }).isError === false
  return hasResult
}

async function stepsIn(ledger: string): Promise<{ step: string; pid: number }[]> {
  const text = await readFile(ledger, 'utf8').catch(() => '')
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.map((line) => {
    const [, , step = '', pid] = line.split(' ')
    return { step, pid: Number(pid) }
  })
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + GIVE_UP_MS
  while (Date.now() < deadline) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(LOOK_MS)
  }
  throw new Error('the tool did not begin')
}
