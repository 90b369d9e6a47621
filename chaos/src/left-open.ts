import { setTimeout as sleep } from 'node:timers/promises'
import { CANCEL_AFTER_MS } from './check-departure.js'
import type { Contents, JournalName } from './contents.js'
import { LINGER_MS } from './workload.js'

export const LEASE_MS = 2500
export const SWEEP_MS = 1000
/** What is open when all clients have their results: calls whose clients went away, and those that lost their owner. */
const OPEN_FOR_MS = CANCEL_AFTER_MS + LINGER_MS + LEASE_MS + SWEEP_MS

type Looked = { contents: Pick<Contents, 'journals' | 'store'> }

/** Every client has its results; what is open still was left behind. */
export async function leftOpen(looked: Looked): Promise<string[]> {
  const deadline = Date.now() + OPEN_FOR_MS
  let open = await openCalls(looked)
  while (open.length > 0 && Date.now() < deadline) {
    await sleep(200)
    open = await openCalls(looked)
  }
  return open.map(({ callId }) => callId)
}

export async function openCalls({ contents }: Looked): Promise<JournalName[]> {
  const scopes = [...new Set((await contents.journals()).map(({ scope }) => scope))]
  const open = await Promise.all(
    scopes.map(async (scope) =>
      (await contents.store.listOpenCalls(scope)).map(({ callId }) => ({ scope, callId })),
    ),
  )
  return open.flat()
}
