import { ASLEEP, NOBODY } from '@mcp-durable/core/store'
import { styled } from '../show/line.js'
import type { Line, Styled } from '../show/line.js'
import type { Privacy } from '../show/privacy.js'
import { count, span, timeOfDay } from '../show/text.js'
import type { NodeRow, Snapshot } from './snapshot.js'

/** What has changed from one snapshot to the next, a line each: the monitor where there is no terminal. */
export class PlainLines {
  readonly #privacy: Privacy
  #last: Snapshot | undefined
  readonly #told = new Set<string>()

  constructor(privacy: Privacy) {
    this.#privacy = privacy
  }

  lines(now: Snapshot): Line[] {
    const before = this.#last
    this.#last = now
    const lines: Array<string | Styled> = [
      ...this.#problem(before, now),
      ...(before ? [] : [summary(now)]),
      ...changes(before?.nodes, now.nodes, keyOfNode, {
        come: (node) => `node ${this.#node(node)} is ${node.state}`,
        gone: (node) => `node ${this.#node(node)} is no longer listed`,
        changed: (old, node) =>
          old.state === node.state ? undefined : `node ${this.#node(node)} is ${node.state}`,
      }),
      ...changes(before?.sessions, now.sessions, ({ id }) => id, {
        come: ({ id }) => `session ${this.#privacy.id(id)} is there`,
        gone: ({ id }) => `session ${this.#privacy.id(id)} has ended or is not among the last used`,
      }),
      ...now.takeovers.flatMap((takeover) => {
        const key = `${takeover.callId} ${takeover.at}`
        if (this.#told.has(key)) return []
        this.#told.add(key)
        const { callId, title, to } = takeover
        return [
          styled(
            'mark',
            `call ${this.#privacy.id(callId)} ${title} was taken over by ${this.#privacy.id(to)}`,
          ),
        ]
      }),
      ...changes(before?.calls, now.calls, ({ callId }) => callId, {
        come: (call) =>
          `call ${this.#privacy.id(call.callId)} ${call.title} ${this.#whereabouts(call.owner)}: ${call.last}`,
        gone: (call) =>
          `call ${this.#privacy.id(call.callId)} ${call.title} has ended after ${span(call.ageMs)}`,
        changed: (old, call) =>
          old.last === call.last ? undefined : `call ${this.#privacy.id(call.callId)} ${call.last}`,
      }),
    ]
    return lines.map((line) => [styled('dim', timeOfDay(now.at)), '  ', line])
  }

  #problem(before: Snapshot | undefined, now: Snapshot): Array<string | Styled> {
    if (before?.problem === now.problem) return []
    return now.problem === undefined ? ['the store is back'] : [styled('bad', now.problem)]
  }

  #whereabouts(owner: string) {
    if (owner === ASLEEP) return 'is asleep'
    return owner === NOBODY ? 'is parked' : `runs on ${this.#privacy.id(owner)}`
  }

  #node({ node, place }: NodeRow) {
    return place === undefined ? this.#privacy.id(node) : `${place} ${this.#privacy.id(node)}`
  }
}

const keyOfNode = ({ node }: NodeRow) => node

function summary({ nodes, totalSessions, calls }: Snapshot) {
  return `${count(nodes.length, 'node')}, ${count(totalSessions, 'session')}, ${count(calls.length, 'open call')}`
}

type Words<T> = {
  come: (row: T) => string
  gone: (row: T) => string
  changed?: (old: T, row: T) => string | undefined
}

function changes<T>(
  before: readonly T[] = [],
  now: readonly T[],
  key: (row: T) => string,
  words: Words<T>,
): string[] {
  const old = new Map(before.map((row) => [key(row), row]))
  const present = new Set(now.map(key))
  return [
    ...now.flatMap((row) => {
      const known = old.get(key(row))
      return (known ? words.changed?.(known, row) : words.come(row)) ?? []
    }),
    ...before.filter((row) => !present.has(key(row))).map(words.gone),
  ]
}
