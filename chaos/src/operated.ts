import { setTimeout as sleep } from 'node:timers/promises'
import { RunRefusedError, StoreError } from '@mcp-durable/core/errors'
import type { Store } from '@mcp-durable/core'
import { runsOf } from '@mcp-durable/core/runs'
import type { CallPlace, Runs } from '@mcp-durable/core/runs'
import { AloneClient } from './alone-client.js'
import { ObservedCall, ObservedCalls } from './observed-call.js'
import type { Tool } from './observed-call.js'
import { as, observedFetch } from './observed-fetch.js'
import { Random } from './random.js'

/** Of the tool `counted`: so many run at once, and so many are open, of each principal. */
export const MOST = { runsAtOnce: 2, maxOpen: 8 } as const
export const QUOTAS = [{ tool: 'counted', perPrincipal: true, ...MOST }]
/** The name of their server, and its path. */
export const OPERATED = 'operated'
const PRINCIPALS = ['ann', 'bob'] as const

const BEGINNERS = 3
const TAKES_TASKS_CHANCE = 0.6
const DELAYS_MS = [0, 900] as const
const FAILS_PERCENT = 40
const CANCEL_CHANCE = 0.15
const BEGINS_AFTER_MS = [50, 600] as const
const ACTS_AFTER_MS = [50, 400] as const
/** Among the newest of those that are known. */
const NEWEST = 20
const TRIES = 40
const TRY_AGAIN_MS = 500
/** Of a client that has only tools, how its call is told to go on. */
const STARTED = /goes on as task ([\w:-]+)\./

export type ActionKind = 'cancel' | 'resume' | 'retry' | 'fork'
/** `made`: by a retry or a fork; `isRefused`: it was told why not; neither: the store was away. */
export type Action = {
  kind: ActionKind
  on: CallPlace
  doneAt: number | undefined
  made: CallPlace | undefined
  isRefused: boolean
}

type OperatedWork = { url: URL; seed: number; signal: AbortSignal }

/** Clients that are counted in quotas, some with tools for tasks alone, and an operator who acts on their calls. */
export class Operated {
  readonly actions: Action[] = []
  /** Calls that were begun, by the names of their tasks, and whose they are. */
  readonly begun = new Map<string, string>()
  /** Those whose cancellation was acknowledged to their client: when, and what it was told. */
  readonly cancelled = new Map<string, { at: number; told: string }>()
  /** Requests that were over a quota. */
  over = 0
  readonly #runs: Runs
  #number = 0

  constructor(store: Store) {
    this.#runs = runsOf(store, { by: 'chaos' })
  }

  /** Until `signal` fires. */
  async run(work: OperatedWork) {
    const { seed } = work
    await Promise.all([
      ...Array.from({ length: BEGINNERS }, (_, n) => this.#begin(work, new Random(seed, `counted ${n}`))),
      this.#operate(work, new Random(seed, 'operator')),
    ])
  }

  /** Hands over what a retry or a fork has left. What can't be is left. */
  async handOver(open: readonly CallPlace[]) {
    for (const place of open) await this.#persistently(() => this.#runs.resume(place))
  }

  async #begin({ url, signal }: OperatedWork, random: Random) {
    while (!signal.aborted) {
      await pause(random.between(...BEGINS_AFTER_MS), signal)
      const principal = random.pick(PRINCIPALS)
      const id = `counted.${++this.#number}`
      const args = { id, delayMs: random.between(...DELAYS_MS), fails: FAILS_PERCENT }
      const takesTasks = random.chance(TAKES_TASKS_CHANCE)
      const call = await this.#call(url, 'counted', args, principal, takesTasks)
      const text = call.outcome && 'text' in call.outcome ? call.outcome.text : ''
      const name = call.task?.taskId ?? STARTED.exec(text)?.[1]
      if (name === undefined) {
        if (call.outcome && 'failure' in call.outcome && call.outcome.failure.includes('429')) this.over++
        continue
      }
      this.begun.set(name, principal)
      if (random.chance(CANCEL_CHANCE)) await this.#cancelByTool(url, name, principal)
      else if (!takesTasks && random.chance(0.5))
        await this.#call(url, 'task_result', { id, taskId: name, waitMs: 500 }, principal)
    }
  }

  async #cancelByTool(url: URL, name: string, principal: string) {
    const call = await this.#call(url, 'task_cancel', { id: `cancel ${name}`, taskId: name }, principal)
    const { outcome } = call
    // An error says that it may not have been: the store was away, or the node died.
    if (outcome && 'text' in outcome && !outcome.isError)
      this.cancelled.set(name, { at: Date.now(), told: outcome.text })
  }

  async #call(url: URL, tool: string, args: ObservedCall['args'], principal: string, takesTasks = false) {
    const fetch = observedFetch(new ObservedCalls(), as(principal))
    const call = new ObservedCall(String(args['id']), tool as Tool, args, {
      official: false,
      alone: true,
      principal,
    })
    await new AloneClient({ fetch, url, takesTasks, answer: () => '', drops: () => undefined }).call(call)
    return call
  }

  async #operate({ signal }: OperatedWork, random: Random) {
    while (!signal.aborted) {
      await pause(random.between(...ACTS_AFTER_MS), signal)
      const known = [
        ...[...this.begun.keys()].map(placeOf),
        ...this.actions.flatMap(({ made }) => made ?? []),
      ].slice(-NEWEST)
      if (known.length > 0)
        await this.#act(
          random.pick<ActionKind>(['cancel', 'resume', 'retry', 'retry', 'fork']),
          random.pick(known),
        )
    }
  }

  async #act(kind: ActionKind, on: CallPlace) {
    const action: Action = { kind, on, doneAt: undefined, made: undefined, isRefused: false }
    this.actions.push(action)
    try {
      if (kind === 'cancel') await this.#runs.cancel(on)
      else if (kind === 'resume') await this.#runs.resume(on)
      else if (kind === 'retry') action.made = (await this.#runs.retry(on, { repeat: true })).call
      else action.made = (await this.#runs.fork(on, { from: { name: 'second' }, repeat: true })).call
      action.doneAt = Date.now()
    } catch (error) {
      action.isRefused = error instanceof RunRefusedError
      if (!action.isRefused && !(error instanceof StoreError)) throw error
    }
  }

  async #persistently(act: () => Promise<unknown>) {
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        return await act()
      } catch (error) {
        if (!(error instanceof StoreError)) return undefined
        await sleep(TRY_AGAIN_MS)
      }
    }
    return undefined
  }
}

const pause = (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).catch(() => undefined)

/** The place that the name of a task says. */
export function placeOf(name: string): CallPlace {
  const [scope = '', callId = scope] = name.split(':')
  return { scope, callId }
}
