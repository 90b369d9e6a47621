import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '@mcp-durable/core'
import type { InspectedNode, Inspection } from '@mcp-durable/core/inspect'
import { messageOf } from '../errors.js'
import { follow } from '../look/follow.js'
import { placeOf } from '../look/node-names.js'
import type { Privacy } from '../show/privacy.js'
import type { Showing } from '../show/session-events.js'
import type { Shown } from './sections.js'

export type FeedServices = Shown & { inspect: Inspection; store: Store; leaseMs: number }
type Head = { now: number; problem: string | null }

const KEPT = 2000
const MOST_CHARS = 16_384
const AGAIN_MS = 1000
const MOST_WAIT_MS = 15_000

/** What is kept of one thing, and goes on, for all browsers that have it open: its head as it is, and its rows, which are only added to. */
export abstract class Feed<HeadOf extends Head, Row, Frame> {
  protected readonly services: FeedServices
  protected readonly showing: Showing
  readonly #places = new Map<string, string>()
  readonly #listeners = new Set<(frame: Frame) => void>()
  readonly #closed = new AbortController()
  #rows: Row[] = []
  #left = 0
  #head: HeadOf | undefined
  #waitMs = AGAIN_MS

  constructor(services: FeedServices) {
    this.services = services
    const { privacy } = services
    this.showing = {
      privacy,
      nodeName: (node) => this.#places.get(node) ?? services.placeOf(node) ?? privacy.id(node),
    }
  }

  /** Tells what is new. `false`: nothing comes any more. */
  protected abstract look(): Promise<boolean>
  /** `left`: rows that are not kept any more. */
  protected abstract frame(head: HeadOf, rows: Row[], about: { first: boolean; left: number }): Frame

  get isUsed() {
    return this.#listeners.size > 0
  }

  /** Gets all that is known at once, then what is new. */
  listen(listener: (frame: Frame) => void): () => void {
    this.#listeners.add(listener)
    if (this.#head) listener(this.frame(this.#head, this.#rows, { first: true, left: this.#left }))
    return () => void this.#listeners.delete(listener)
  }

  close() {
    this.#closed.abort()
  }

  /** `heard`: the topics of what has happened in the scope. */
  protected async run(scope: string, heard: (topic: string) => void = () => undefined) {
    const { signal } = this.#closed
    const look = async () => {
      const goesOn = await this.look()
      this.#waitMs = AGAIN_MS
      return goesOn
    }
    while (!signal.aborted) {
      try {
        return await follow(this.services.store, scope, { heard, look, signal })
      } catch (error) {
        if (this.#head) this.tell({ ...this.#head, problem: messageOf(error) }, [])
        await sleep(this.#waitMs, undefined, { signal }).catch(() => undefined)
        this.#waitMs = Math.min(MOST_WAIT_MS, this.#waitMs * 2)
      }
    }
  }

  protected notePlaces(nodes: readonly InspectedNode[]) {
    for (const { node, about } of nodes) {
      const place = placeOf(about)
      if (place !== undefined) this.#places.set(node, place)
    }
  }

  protected tell(head: HeadOf, rows: Row[]) {
    const isSame =
      this.#head && JSON.stringify({ ...this.#head, now: 0 }) === JSON.stringify({ ...head, now: 0 })
    const first = this.#head === undefined
    this.#head = head
    const all = [...this.#rows, ...rows]
    const left = Math.max(0, all.length - KEPT)
    this.#left += left
    this.#rows = all.slice(left)
    if (isSame && rows.length === 0) return
    const frame = this.frame(head, first ? this.#rows : rows.slice(-KEPT), { first, left: this.#left })
    for (const listener of this.#listeners) listener(frame)
  }
}

/** As it is shown: masked, and never longer than a page bears. */
export function shownPayload(privacy: Privacy, payload: unknown): string {
  const text = privacy.payload(payload)
  const left = text.length - MOST_CHARS
  return left > 0 ? `${text.slice(0, MOST_CHARS)}… and ${left} more characters` : text
}
