import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend } from './backend.js'
import type { NodePool, PoolNode } from './node-pool.js'
import type { Random } from './random.js'
import type { TcpRouter } from './tcp-router.js'

export const faultKinds = ['kill', 'pause', 'successor', 'store', 'proxy'] as const
export type FaultKind = (typeof faultKinds)[number]

export type Targets = { pool: NodePool; backend: Backend; router: TcpRouter; leaseMs: number }

/** Where a fault has not struck yet, everything goes on as if there were none. */
const REST_MS = [300, 2000] as const
const LATE_MS = [100, 1500] as const
/** From when others may take over from a node that is paused, to the death of one of them. */
const SUCCEEDED_MS = [500, 2500] as const
const AWAY_MS = [100, 1200] as const

/** One fault after the other, some of them at the same time, until `signal` fires; then waits until all are healed. */
export async function strike(
  kinds: readonly FaultKind[],
  targets: Targets,
  random: Random,
  signal: AbortSignal,
): Promise<Record<FaultKind, number>> {
  const struck: Record<FaultKind, number> = { kill: 0, pause: 0, successor: 0, store: 0, proxy: 0 }
  const healing = new Set<Promise<void>>()
  let storeIsAway = false
  while (kinds.length > 0 && !signal.aborted) {
    await sleep(random.between(...REST_MS), undefined, { signal }).catch(() => undefined)
    if (signal.aborted) break
    const kind = random.pick(kinds)
    if (kind === 'store' && storeIsAway) continue
    if (kind === 'store') storeIsAway = true
    struck[kind]++
    const healed = apply(kind, targets, random).finally(() => {
      if (kind === 'store') storeIsAway = false
      healing.delete(healed)
    })
    healing.add(healed)
  }
  await Promise.all(healing)
  await targets.pool.settled()
  return struck
}

async function apply(kind: FaultKind, targets: Targets, random: Random) {
  const { pool, backend, router, leaseMs } = targets
  const { running } = pool
  switch (kind) {
    case 'kill':
      if (running.length === 0) return
      // Sometimes all of them at once.
      for (const node of random.chance(0.1) ? running : [random.pick(running)]) await pool.kill(node)
      return
    case 'pause':
      if (running.length > 0) await stop(targets, random.pick(running), leaseMs + random.between(...LATE_MS))
      return
    case 'successor':
      return killSuccessor(targets, random)
    case 'store':
      return backend.takeAwayFor(random.between(...AWAY_MS), random)
    case 'proxy':
      return router.cut(random)
  }
}

async function stop({ pool, backend }: Targets, node: PoolNode, ms: number) {
  const paused = pool.pause(node, ms)
  await Promise.all([paused, backend.nodeStandsStill?.(paused)])
}

/** A node stands still, its clients' connections with it, and another one dies that may have taken over from it; in either order it ends. */
async function killSuccessor(targets: Targets, random: Random) {
  const { pool, leaseMs } = targets
  const pausedMs = leaseMs + random.between(...SUCCEEDED_MS)
  const killedAfterMs = leaseMs + random.between(...SUCCEEDED_MS)
  if (pool.running.length < 2) return
  const paused = stop(targets, random.pick(pool.running), pausedMs)
  await sleep(killedAfterMs)
  if (pool.running.length > 0) await pool.kill(random.pick(pool.running))
  await paused
}
