import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { RunRefusedError, StoreError } from '@mcp-durable/core/errors'
import type { Store } from '@mcp-durable/core'
import { runsOf } from '@mcp-durable/core/runs'
import type { CallPlace, Runs } from '@mcp-durable/core/runs'
import { AloneClient } from './alone-client.js'
import { VERSIONED } from './code-versions.js'
import { Journal } from './journal.js'
import { ObservedCall, ObservedCalls } from './observed-call.js'
import type { Tool } from './observed-call.js'
import { as, observedFetch } from './observed-fetch.js'
import { placeOf } from './operated.js'
import { Random } from './random.js'

const BEGINNERS = 2
const TAKES_TASKS_CHANCE = 0.5
/** Others wait on their streams, and begin no more calls meanwhile. */
const MOST_STREAMS = 10
const DELAYS_MS = [0, 600] as const
const BEGINS_AFTER_MS = [100, 900] as const
const ACTS_AFTER_MS = [200, 1200] as const
const CANCEL_CHANCE = 0.1
/** Who waits for a call has its result so soon after it has ended. */
const HEARS_WITHIN_MS = 30_000

type VersionedWork = { url: URL; seed: number; signal: AbortSignal; open: () => Promise<CallPlace[]> }

/** Clients of a tool of which each node has a version, and an operator who has calls tried again, and cancels some. */
export class Versioned {
  readonly calls: ObservedCall[] = []
  /** Of the calls that were cancelled. */
  readonly cancelled = new Set<string>()
  /** How often a call was to be tried again. */
  retries = 0
  readonly #store: Store
  readonly #runs: Runs
  readonly #streams = new Set<Promise<void>>()
  readonly #gone = new AbortController()

  constructor(store: Store) {
    this.#store = store
    this.#runs = runsOf(store, { by: 'chaos' })
    setMaxListeners(0, this.#gone.signal)
  }

  /** Until `signal` fires. Streams may go on. */
  async run(work: VersionedWork) {
    const { seed } = work
    await Promise.all([
      ...Array.from({ length: BEGINNERS }, (_, n) => this.#begin(work, new Random(seed, `versions ${n}`))),
      this.#operate(work, new Random(seed, 'versions, operator')),
    ])
  }

  /**
   * All calls have ended: until every client has its result, or should have. Before that nobody gives up: a call ends only once a
   * node whose code fits has lived for as long as it takes.
   */
  async streamsEnded() {
    const timer = setTimeout(() => this.#gone.abort(), HEARS_WITHIN_MS)
    await Promise.all(this.#streams)
    clearTimeout(timer)
  }

  async #begin({ url, signal }: VersionedWork, random: Random) {
    while (!signal.aborted) {
      await pause(random.between(...BEGINS_AFTER_MS), signal)
      const takesTasks = random.chance(TAKES_TASKS_CHANCE)
      const args = { id: `versioned.${this.calls.length + 1}`, delayMs: random.between(...DELAYS_MS) }
      if (!takesTasks && this.#streams.size >= MOST_STREAMS) continue
      const call = new ObservedCall(args.id, VERSIONED as Tool, args, { official: false, alone: true })
      this.calls.push(call)
      const observed = new ObservedCalls()
      observed.add(call)
      const fetch = observedFetch(observed, as('ann'))
      const client = new AloneClient({ fetch, url, takesTasks, answer: () => '', drops: () => undefined })
      const stream = client
        .call(call, { gone: this.#gone.signal })
        .finally(() => this.#streams.delete(stream))
      this.#streams.add(stream)
    }
  }

  async #operate({ signal, open }: VersionedWork, random: Random) {
    while (!signal.aborted) {
      await pause(random.between(...ACTS_AFTER_MS), signal)
      const isCancel = random.chance(CANCEL_CHANCE)
      await this.#act(open, isCancel, random).catch((error: unknown) => {
        if (!(error instanceof RunRefusedError || error instanceof StoreError)) throw error
      })
    }
  }

  async #act(open: VersionedWork['open'], isCancel: boolean, random: Random) {
    // The store may be away.
    const places = await open().catch(() => [])
    if (places.length === 0) return
    const place = random.pick(places)
    if (isCancel) {
      this.cancelled.add(place.callId)
      return void (await this.#runs.cancel(place))
    }
    for (const each of places) {
      const { records } = await Journal.read(this.#store, each.scope, each.callId)
      if (records.at(-1)?.kind !== 'diverged' || random.chance(0.5)) continue
      await this.#runs.retry(each)
      this.retries++
    }
  }
}

/** The place of a call that goes on as a task. */
export const placeOfTask = ({ task }: ObservedCall) => task && placeOf(task.taskId)

const pause = (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).catch(() => undefined)
