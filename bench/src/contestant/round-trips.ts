import { durable } from '@mcp-durable/core'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import type { Command } from 'ioredis'
import { createDurableServer } from './add-server.js'
import { OwnClient } from './own-client.js'

const STEPS = 10
/** Much longer than Redis takes to answer, so that what was asked at once is answered at once. */
const HOLD_MS = 15
const NEVER_MS = 24 * 60 * 60_000

/** How often one call, and one step, wait for the store. */
export async function countRoundTrips(redisUrl: string) {
  const gate = new Gate(redisUrl)
  // A node that does nothing else meanwhile.
  const quiet = { heartbeatMs: NEVER_MS, sweepMs: NEVER_MS, reconcileEveryMs: NEVER_MS }
  const mcp = durable({ server: createDurableServer, store: redisStore(gate.redis), ...quiet })
  const fetch = (request: Request) => mcp.fetch(request)
  const inSession = await OwnClient.connect(fetch)
  const sessionless = OwnClient.sessionless(fetch)
  for (const client of [inSession, sessionless]) await client.call('at-least-once', { steps: 1 }, '1')
  const count = async (client: OwnClient, tool: string, steps: number) => {
    const before = gate.openings
    await client.call(tool, { steps }, String(steps))
    return gate.openings - before
  }
  const call = await count(inSession, 'at-least-once', 0)
  const atLeastOnce = ((await count(inSession, 'at-least-once', STEPS)) - call) / STEPS
  const atMostOnce = ((await count(inSession, 'at-most-once', STEPS)) - call) / STEPS
  const callSessionless = await count(sessionless, 'at-least-once', 0)
  await mcp.close({ graceMs: 0 })
  gate.redis.disconnect()
  return { call, atLeastOnce, atMostOnce, callSessionless }
}

/**
 * Holds back what Redis answers, and lets it out all at once when nothing more comes. So whoever goes on at an opening
 * has waited for the store, and openings count how often, whatever was asked at once or without waiting.
 */
class Gate {
  readonly redis: Redis
  openings = 0
  #held: (() => void)[] = []

  constructor(url: string) {
    this.redis = new Redis(url)
    const send = this.redis.sendCommand.bind(this.redis)
    this.redis.sendCommand = (command: Command, ...rest) => {
      this.#hold(command, 'resolve')
      this.#hold(command, 'reject')
      return send(command, ...rest)
    }
  }

  #hold(command: Command, outcome: 'resolve' | 'reject') {
    const settle = command[outcome].bind(command) as (value: never) => void
    const hold = (value: never) => {
      if (this.#held.length === 0) setTimeout(() => this.#open(), HOLD_MS)
      this.#held.push(() => settle(value))
    }
    Object.assign(command, { [outcome]: hold })
  }

  #open() {
    this.openings++
    for (const settle of this.#held.splice(0)) settle()
  }
}
