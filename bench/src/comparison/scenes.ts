import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, waitFor } from '../../../test-support/index.js'
import type { NodeProcess } from '../../../test-support/index.js'
import { Cleanup } from '../cleanup.js'
import { Router } from '../router.js'
import { Caller } from './caller.js'
import type { Heard } from './caller.js'
import type { Contender } from './contenders.js'
import { effectsIn } from './effects.js'

/** Where a contender stands: what it keeps things in, and a folder of its own. */
export type Ground = { place: string; folder: string }
/** How many charges the tool makes, how long each takes, and after how many of them something happens. */
export type Charges = { steps: number; delayMs: number; strikeAfter: number }
/** `seconds`: from the strike to the answer, or to the time when it was lost. */
export type Survival = { heard: Heard; seconds: number; effects: string[]; servedAfter: boolean }
export type Cut = { heard: Heard; reports: number }
export type Spread = { served: number; of: number }

const PATIENCE_MS = { session: 30_000, sessionless: 30_000, task: 15 * 60_000 }
/** A process that was told to end is killed after that, as whoever runs it would. */
const END_WITHIN_MS = 3000
const BEGIN_WITHIN_MS = 30_000
const REPORTS = 20
const REPORT_EVERY_MS = 100
const CUT_AFTER = 5
const CALLS = 20

/** SIGKILL right behind an effect, which no server can have noted by then; the same command starts it again at once. */
export async function killed(
  contender: Contender,
  ground: Ground,
  { steps, delayMs, strikeAfter }: Charges,
): Promise<Survival> {
  await using cleanup = new Cleanup()
  const port = await freePort()
  const ledger = join(ground.folder, 'killed')
  const victim = cleanup.use(await contender.start(port, ground.place, ledger))
  const caller = await callerOf(contender, victim.url)
  const call = caller.call('charge', { steps, delayMs })
  await effect(ledger, strikeAfter)
  const struckAt = performance.now()
  await victim.kill('SIGKILL')
  cleanup.use(await contender.start(port, ground.place, ledger))
  return await survivalOf({ caller, call, ledger, struckAt })
}

/** A deploy: the new process serves before the old one is told to end, with a call under way that takes longer than it may. */
export async function replaced(
  contender: Contender,
  ground: Ground,
  { steps, delayMs, strikeAfter }: Charges,
): Promise<Survival> {
  await using cleanup = new Cleanup()
  const ledger = join(ground.folder, 'replaced')
  const start = async () => cleanup.use(await contender.start(await freePort(), ground.place, ledger))
  const router = cleanup.use(await Router.start())
  const before = await start()
  const next = await start()
  // It takes part when the call is under way: to start it then may take longer than the call.
  next.pause()
  router.target = portOf(before)
  const caller = await callerOf(contender, router.url.origin)
  const call = caller.call('charge', { steps, delayMs })
  await effect(ledger, strikeAfter)
  next.resume()
  router.target = portOf(next)
  const struckAt = performance.now()
  const ended = before.kill('SIGTERM')
  await Promise.race([ended, sleep(END_WITHIN_MS, undefined, { ref: false })])
  await before.kill('SIGKILL')
  return await survivalOf({ caller, call, ledger, struckAt })
}

/** The client's connection breaks in the middle of a stream, and the server lives on. */
export async function cut(contender: Contender, ground: Ground): Promise<Cut> {
  await using server = await contender.start(await freePort(), ground.place, join(ground.folder, 'cut'))
  const caller = await callerOf(contender, server.url)
  const args = { count: REPORTS, everyMs: REPORT_EVERY_MS }
  const heard = await caller.call('progress', args, { cutAfter: CUT_AFTER })
  return { heard, reports: REPORTS }
}

/** One client, whose requests go to two processes in turns. */
export async function spread(contender: Contender, ground: Ground): Promise<Spread> {
  await using cleanup = new Cleanup()
  const ledger = join(ground.folder, 'spread')
  const urls: URL[] = []
  for (let node = 0; node < 2; node++) {
    const { url } = cleanup.use(await contender.start(await freePort(), ground.place, ledger))
    urls.push(new URL(contender.path, url))
  }
  const caller = await callerOf(contender, urls[0]!.origin)
  let served = 0
  for (let call = 0; call < CALLS; call++) {
    caller.url = urls[(call + 1) % urls.length]!
    if (await caller.isServed()) served++
  }
  return { served, of: CALLS }
}

const callerOf = ({ path, way }: Contender, origin: string) =>
  Caller.connect(new URL(path, origin), way, PATIENCE_MS[way])

const effect = (ledger: string, count: number) =>
  waitFor(async () => (await effectsIn(ledger)).length >= count, {
    timeoutMs: BEGIN_WITHIN_MS,
    intervalMs: 5,
  })

type Struck = { caller: Caller; call: Promise<Heard>; ledger: string; struckAt: number }

async function survivalOf({ caller, call, ledger, struckAt }: Struck): Promise<Survival> {
  const heard = await call
  const seconds = (heard.at - struckAt) / 1000
  // Of those that nobody waits for any more, too.
  await sleep(1000)
  const effects = await effectsIn(ledger)
  return { heard, seconds, effects, servedAfter: await caller.isServed() }
}

const portOf = ({ url }: NodeProcess) => Number(new URL(url).port)
