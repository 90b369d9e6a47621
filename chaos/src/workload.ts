import { setTimeout as sleep } from 'node:timers/promises'
import type { ObservedCalls, Args, Tool } from './observed-call.js'
import { ObservedCall } from './observed-call.js'
import { connect } from './official-clients.js'
import type { ClientKind } from './official-clients.js'
import { observedFetch } from './observed-fetch.js'
import { Random } from './random.js'
import { RawClient } from './raw-client.js'

export type Work = {
  url: URL
  client: ClientKind
  seed: number
  calls: ObservedCalls
  /** Told when a call has ended for its client. */
  ended: (call: ObservedCall) => void
  signal: AbortSignal
}

const OFFICIAL_CLIENTS = 4
const RAW_CLIENTS = 2
/** Calls of one session at the same time. */
const WIDTH = 3
const CALLS_OF_A_SESSION = [5, 20] as const
const DROP_CHANCE = 0.15
/** Some come with their wake-up, some fill what a connection may hold. */
const MESSAGE_CHARS = [100, 5_000, 100_000] as const

/** Clients that call until `signal` fires; resolves when each has its last result. */
export async function work(options: Work): Promise<void> {
  const official = Array.from({ length: OFFICIAL_CLIENTS }, (_, index) =>
    sessions(options, `o${index}`, official1),
  )
  const raw = Array.from({ length: RAW_CLIENTS }, (_, index) => sessions(options, `r${index}`, raw1))
  await Promise.all([...official, ...raw])
}

type Session = (options: Work, name: string, random: Random) => Promise<void>

/** One session after the other. */
async function sessions(options: Work, name: string, session: Session) {
  for (let number = 1; !options.signal.aborted; number++) {
    const random = new Random(options.seed, `${name}/${number}`)
    await session(options, `${name}.${number}`, random)
  }
}

async function official1(options: Work, name: string, random: Random) {
  const { url, client: kind, calls } = options
  const asked = new Random(random.between(0, 2 ** 31), 'answers')
  const client = await connect(kind, url, observedFetch(calls), async (message) => {
    const call = calls.get(message.split(' ')[0] ?? '')
    const answer = `answer-${asked.between(0, 2 ** 31)}`
    call?.asked.push(message)
    call?.answers.set(message, answer)
    await sleep(asked.between(0, 300))
    return { action: 'accept', content: { answer } }
  })
  await callInTurns(options, name, random, true, async (call) => {
    try {
      const result = await client.callTool(call.tool, call.args, (progress) => call.progress.push(progress))
      call.outcome = { text: result.content[0]?.text ?? '', isError: result.isError === true }
    } catch (error) {
      call.outcome = { failure: String(error) }
    }
  })
  await client.close()
}

async function raw1(options: Work, name: string, random: Random) {
  const { url, calls } = options
  const client = await RawClient.connect({
    fetch: observedFetch(calls),
    url,
    answer: () => `answer-${random.between(0, 2 ** 31)}`,
    drops: (eventIds) => (random.chance(DROP_CHANCE) ? random.pick(eventIds) : undefined),
  })
  await callInTurns(options, name, random, false, (call) => client.call(call))
}

async function callInTurns(
  { calls, ended, signal }: Work,
  name: string,
  random: Random,
  official: boolean,
  run: (call: ObservedCall) => Promise<void>,
) {
  let left = random.between(...CALLS_OF_A_SESSION)
  let number = 0
  const lanes = Array.from({ length: WIDTH }, async () => {
    while (left-- > 0 && !signal.aborted) {
      const { tool, args } = anyCall(random)
      const id = `${name}.${++number}`
      const call = calls.add(new ObservedCall(id, tool, { id, ...args }, official))
      await run(call)
      ended(call)
    }
  })
  await Promise.all(lanes)
}

function anyCall(random: Random): { tool: Tool; args: Args } {
  const tool = random.pick([
    'ledger_steps',
    'ledger_charge',
    'ledger_ask',
    'ledger_parallel',
    'bulk',
    'look',
  ] as const)
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
    case 'ledger_parallel':
      return { tool, args: { width: random.between(2, 6), delayMs } }
  }
}
