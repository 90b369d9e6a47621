import type { JsonRpcMessage } from '../json-rpc.js'

/** How the replay of a call differed from the call. `what` is for people, and clips what it quotes. */
export type Difference = { kind: DifferenceKind; what: string }
export type DifferenceKind =
  | 'new-step'
  | 'missing-step'
  | 'new-message'
  | 'missing-message'
  | 'changed-message'
  | 'new-map-change'
  | 'missing-map-change'
  | 'changed-map-change'
  | 'different-result'
  | 'no-end'

const CLIP = 80

/** Messages by content: what runs side by side may send in another order. */
export function compareMessages(
  sent: readonly JsonRpcMessage[],
  again: readonly JsonRpcMessage[],
): Difference[] {
  const missing = without(sent, again)
  const differences: Difference[] = []
  for (const message of without(again, sent)) {
    const index = missing.findIndex((candidate) => methodOf(candidate) === methodOf(message))
    const [before] = index < 0 ? [] : missing.splice(index, 1)
    differences.push(
      before
        ? { kind: 'changed-message', what: firstDifference(before, message, methodOf(message)) }
        : { kind: 'new-message', what: `${methodOf(message)} was sent by the replay only: ${clip(message)}` },
    )
  }
  const lost = missing.map((message): Difference => {
    return { kind: 'missing-message', what: `${methodOf(message)} was not sent again: ${clip(message)}` }
  })
  return [...differences, ...lost]
}

/** Where two values first differ, as JSON sees them. */
export function firstDifference(before: unknown, after: unknown, path: string): string {
  if (isObject(before) && isObject(after) && Array.isArray(before) === Array.isArray(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      if (canonical(before[key]) === canonical(after[key])) continue
      return firstDifference(before[key], after[key], `${path}.${key}`)
    }
  }
  return `${path} was ${clip(before)}, and ${clip(after)} in the replay`
}

/** The same text for values that are the same JSON, whatever the order of their members. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => normal(member)) ?? ''
}

function normal(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (!isObject(value) || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** What is in `from` beyond its counterparts in `others`; each of those counts once. */
function without(from: readonly JsonRpcMessage[], others: readonly JsonRpcMessage[]) {
  const left = others.map(canonical)
  return from.filter((message) => {
    const index = left.indexOf(canonical(message))
    if (index >= 0) left.splice(index, 1)
    return index < 0
  })
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

const methodOf = (message: JsonRpcMessage) => ('method' in message ? message.method : 'a response')

function clip(value: unknown): string {
  const text = value === undefined ? 'missing' : canonical(value) || typeof value
  return text.length > CLIP ? `${text.slice(0, CLIP)}…` : text
}
