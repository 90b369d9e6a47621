import { setTimeout as sleep } from 'node:timers/promises'
import { AloneClient } from './alone-client.js'
import { AGAIN } from './followed-call.js'
import { intrude } from './intruder.js'
import { LAST, Listener } from './listener.js'
import type { ObservedCalls, Args, CallClient, Tool } from './observed-call.js'
import { ObservedCall } from './observed-call.js'
import { connect, connectAlone } from './official-clients.js'
import type { ClientKind, McpClient } from './official-clients.js'
import { as, observedFetch } from './observed-fetch.js'
import { Random } from './random.js'
import { RawClient } from './raw-client.js'
import { TaskClient } from './task-client.js'

export type Work = {
  url: URL
  client: ClientKind
  seed: number
  /** What the ids of its calls begin with, where other work was done on the same store. */
  prefix?: string
  calls: ObservedCalls
  /** Those who listen. */
  listeners: Listener[]
  /** Told when a call has ended for its client. */
  ended: (call: ObservedCall) => void
  signal: AbortSignal
}

/** Of each kind, official and spoken by hand; more than half of all have no session. */
const OFFICIAL_CLIENTS = 3
const RAW_CLIENTS = 2
const PRINCIPALS = ['ann', 'bob'] as const
/** Calls of one session at the same time. */
const WIDTH = 3
const CALLS_OF_A_SESSION = [5, 20] as const
const DROP_CHANCE = 0.15
const AGAIN_CHANCE = 0.05
const CANCEL_CHANCE = 0.15
const CANCELS_MS = [0, 1500] as const
const URIS = ['chaos://1', 'chaos://2', 'chaos://3', 'chaos://4'] as const
/** Of those whose call lasts, so many go away; */
const GO_CHANCE = 0.6
/** how long they stay, */
const STAYS_MS = [50, 1000] as const
/** and how long its call would last. */
export const LINGER_MS = 8_000
const LISTENS_AFTER_MS = 30_000
const TOLD_EVERY_MS = 2_000
/** Some come with their wake-up, some fill what a connection may hold. */
const MESSAGE_CHARS = [100, 5_000, 100_000] as const

/** Clients that call until `signal` fires; resolves when each has its last result, and who listens has heard of the last change. */
export async function work(options: Work): Promise<void> {
  const clients = (count: number, name: string, session: Session) =>
    Array.from({ length: count }, (_, index) => sessions(options, `${name}${index}`, session))
  const listening = listen(options)
  await Promise.all([
    ...clients(OFFICIAL_CLIENTS, 'o', official1),
    ...clients(RAW_CLIENTS, 'r', raw1),
    ...clients(OFFICIAL_CLIENTS, 'ao', officialAlone),
    ...clients(RAW_CLIENTS, 'ar', rawAlone),
    ...clients(RAW_CLIENTS, 'at', takingTasks),
    intrude({ ...options, random: new Random(options.seed, 'intruder') }),
  ])
  await tellLast(options, listening)
}

type Session = (options: Work, name: string, random: Random) => Promise<void>

/** One session after the other. */
async function sessions(options: Work, name: string, session: Session) {
  for (let number = 1; !options.signal.aborted; number++) {
    const random = new Random(options.seed, `${name}/${number}`)
    await session(options, `${options.prefix ?? ''}${name}.${number}`, random)
  }
}

async function official1(options: Work, name: string, random: Random) {
  const { url, client: kind, calls } = options
  const client = await connect(kind, url, observedFetch(calls), answering(calls, random))
  await callInTurns(options, { name, random, client: { official: true } }, officially(client))
}

async function officialAlone(options: Work, name: string, random: Random) {
  const { url, calls } = options
  const principal = random.pick(PRINCIPALS)
  const client = await connectAlone(url, observedFetch(calls, as(principal)), answering(calls, random))
  await callInTurns(
    options,
    { name, random, client: { official: true, alone: true, principal } },
    officially(client),
  )
}

/** The application of an official client. */
function answering(calls: ObservedCalls, random: Random) {
  const asked = new Random(random.between(0, 2 ** 31), 'answers')
  return async (message: string) => {
    const call = calls.get(message.split(' ')[0] ?? '')
    const answer = `answer-${asked.between(0, 2 ** 31)}`
    call?.asked.push(message)
    call?.answers.set(message, answer)
    await sleep(asked.between(0, 300))
    return { action: 'accept' as const, content: { answer } }
  }
}

const officially = (client: McpClient): Caller => ({
  async call(call, gone) {
    try {
      const onProgress = (progress: number) => void call.progress.push(progress)
      const result = await client.callTool(call.tool, call.args, onProgress, gone)
      call.outcome = { text: result.content[0]?.text ?? '', isError: result.isError === true }
    } catch (error) {
      call.outcome = { failure: String(error) }
    }
  },
  close: () => client.close(),
})

async function raw1(options: Work, name: string, random: Random) {
  const { url, calls } = options
  const client = await RawClient.connect({
    fetch: observedFetch(calls),
    url,
    answer: () => `answer-${random.between(0, 2 ** 31)}`,
    drops: (eventIds) => (random.chance(DROP_CHANCE) ? random.pick(eventIds) : undefined),
  })
  await callInTurns(options, { name, random, client: { official: false } }, client)
}

async function rawAlone(options: Work, name: string, random: Random) {
  const { url, calls } = options
  const principal = random.pick(PRINCIPALS)
  const client = new AloneClient({
    fetch: observedFetch(calls, as(principal)),
    url,
    answer: () => `answer-${random.between(0, 2 ** 31)}`,
    drops: (eventIds) =>
      random.chance(AGAIN_CHANCE) ? AGAIN : random.chance(DROP_CHANCE) ? random.pick(eventIds) : undefined,
  })
  const caller: Caller = { call: (call, gone) => client.call(call, gone && { gone }) }
  await callInTurns(options, { name, random, client: { official: false, alone: true, principal } }, caller)
}

/** As `rawAlone`, and it takes tasks, of which it cancels some. */
async function takingTasks(options: Work, name: string, random: Random) {
  const { url, calls } = options
  const principal = random.pick(PRINCIPALS)
  const client = new TaskClient({
    fetch: observedFetch(calls, as(principal)),
    url,
    answer: () => `answer-${random.between(0, 2 ** 31)}`,
    drops: (eventIds) =>
      random.chance(AGAIN_CHANCE) ? AGAIN : random.chance(DROP_CHANCE) ? random.pick(eventIds) : undefined,
    cancelAfterMs: () => (random.chance(CANCEL_CHANCE) ? random.between(...CANCELS_MS) : undefined),
  })
  const caller: Caller = { call: (call, gone) => client.call(call, { gone }) }
  await callInTurns(options, { name, random, client: { official: false, alone: true, principal } }, caller)
}

async function listen({ url, seed, listeners }: Work) {
  const random = new Random(seed, 'listeners')
  const [ann, bob] = PRINCIPALS.map((principal) => new Listener(principal, [...URIS.slice(0, 3), LAST]))
  listeners.push(ann!, bob!)
  // Mostly a few events back, or it would hear the same ones for ever; now and then from what is not kept any more.
  const drops = (eventIds: readonly string[]) =>
    random.chance(DROP_CHANCE) ? random.pick(random.chance(0.1) ? eventIds : eventIds.slice(-5)) : undefined
  const listening = [
    ann!.listenOfficially(url, as(ann!.principal)),
    bob!.listenByHand(url, as(bob!.principal), drops),
  ]
  const settled = await Promise.allSettled(listening)
  for (const [place, outcome] of settled.entries())
    if (outcome.status === 'rejected') listeners[place]!.failure ??= String(outcome.reason)
}

/**
 * Until then, nobody knows whether who listens has heard everything. More than once: who goes on from what is not kept any more has to
 * begin anew, and hears only what is told after that.
 */
async function tellLast({ url, calls, ended, prefix = '' }: Work, listening: Promise<void>) {
  const until = Date.now() + LISTENS_AFTER_MS
  for (let n = 1, isHeard = false; !isHeard && Date.now() < until; n++) {
    const id = `${prefix}last.${n}`
    const call = calls.add(new ObservedCall(id, 'tell', { id, uri: LAST }, { official: false, alone: true }))
    await new AloneClient({ fetch: observedFetch(calls), url, answer: () => '' }).call(call)
    ended(call)
    const heard = listening.then(() => true)
    isHeard = await Promise.race([heard, sleep(TOLD_EVERY_MS, false, { ref: false })])
  }
}

type Caller = {
  call(call: ObservedCall, gone?: AbortSignal): Promise<void>
  close?: () => Promise<void>
}

async function callInTurns(
  { calls, ended, signal }: Work,
  { name, random, client }: { name: string; random: Random; client: CallClient },
  caller: Caller,
) {
  let left = random.between(...CALLS_OF_A_SESSION)
  let number = 0
  const lanes = Array.from({ length: WIDTH }, async () => {
    while (left-- > 0 && !signal.aborted) {
      const { tool, args } = anyCall(random, client.alone === true)
      const id = `${name}.${++number}`
      const call = calls.add(new ObservedCall(id, tool, { id, ...args }, client))
      if (tool === 'linger' && random.chance(GO_CHANCE))
        await callAndGo(call, caller, random.between(...STAYS_MS))
      else await caller.call(call)
      ended(call)
    }
  })
  await Promise.all(lanes)
  await caller.close?.()
}

/** Its client goes away. */
async function callAndGo(call: ObservedCall, caller: Caller, afterMs: number) {
  const gone = new AbortController()
  const timer = setTimeout(() => {
    call.abortedAt = Date.now()
    gone.abort()
  }, afterMs)
  await caller.call(call, gone.signal)
  clearTimeout(timer)
}

type AnyTool = Exclude<Tool, 'scenario' | 'plain'>

function anyCall(random: Random, alone: boolean): { tool: Tool; args: Args } {
  const tool = random.pick<AnyTool>([
    'ledger_steps',
    'ledger_charge',
    'ledger_ask',
    'ledger_parallel',
    'bulk',
    'look',
    'beside',
    ...(alone ? (['linger', 'tell', 'task'] as const) : []),
  ])
  const delayMs = random.between(0, 150)
  switch (tool) {
    case 'ledger_steps':
      return { tool, args: { steps: random.between(1, 5), delayMs } }
    case 'ledger_charge': {
      const failWith = random.pick([undefined, undefined, undefined, 'network', 'declined'])
      return { tool, args: { delayMs, ...(failWith !== undefined && { failWith }) } }
    }
    case 'ledger_ask':
      return { tool, args: { questions: random.between(1, 3) } }
    case 'bulk':
      return { tool, args: { chars: random.pick(MESSAGE_CHARS), delayMs } }
    case 'look':
      return { tool, args: { delayMs: random.chance(0.5) ? 0 : delayMs } }
    case 'beside':
      return { tool, args: { delayMs: random.between(0, 20) } }
    case 'task':
      return { tool, args: {} }
    case 'linger':
      return { tool, args: { delayMs: LINGER_MS } }
    case 'tell': {
      const to = random.pick([undefined, undefined, ...PRINCIPALS])
      return { tool, args: { uri: random.pick(URIS), ...(to !== undefined && { to }) } }
    }
    case 'ledger_parallel':
      return { tool, args: { width: random.between(2, 6), delayMs } }
  }
}
