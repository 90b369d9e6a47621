const SHOWN = 6
/** Of one value. What is in many places is written in each of them. */
const MOST_CHARS = 1 << 24
/** What stands around each member, at most. */
const MARKS = 4

/** What of the users' data is shown: nothing of payloads and the beginning of ids, unless asked for. */
export class Privacy {
  readonly #showPayloads: boolean
  readonly #fullIds: boolean

  constructor({ showPayloads, fullIds }: { showPayloads: boolean; fullIds: boolean }) {
    this.#showPayloads = showPayloads
    this.#fullIds = fullIds
  }

  get showsPayloads() {
    return this.#showPayloads
  }

  /** Whoever has the id of a session may use it; the beginning is enough to find it again. */
  id(id: string): string {
    return this.#fullIds || id.length <= SHOWN ? id : `${id.slice(0, SHOWN)}…`
  }

  /** For text: the payload as JSON, or how large it is. `''` without one. */
  payload(payload: unknown): string {
    if (payload === undefined) return ''
    const json = toJson(payload)
    return this.#showPayloads ? json : `‹${Buffer.byteLength(json)} B›`
  }

  /** For JSON. */
  payloadValue(payload: unknown): unknown {
    if (payload === undefined) return undefined
    const json = toJson(payload)
    return this.#showPayloads ? (JSON.parse(json) as unknown) : { maskedBytes: Buffer.byteLength(json) }
  }

  /** A name that may hold the user's data. */
  key(key: string): string {
    return this.#showPayloads ? key : `‹${Buffer.byteLength(key)} B›`
  }
}

/** JSON of what need not be JSON: recorded values may hold dates, maps, bytes, big ints and themselves, and one thing in many places. */
export function toJson(value: unknown): string {
  // What is being written, from the outermost on; `as`: what is written in its place.
  const around: { member: unknown; as: unknown }[] = []
  let left = MOST_CHARS
  function write(this: unknown, key: string, member: unknown) {
    while (around.length > 0 && around.at(-1)?.as !== this) around.pop()
    const as = jsonable(member)
    left -= key.length + (typeof as === 'string' ? as.length : 0) + MARKS
    if (left < 0) return '…'
    if (typeof as !== 'object' || as === null) return as
    if (around.some((each) => each.member === member)) return '[circular]'
    around.push({ member, as })
    return as
  }
  return JSON.stringify(value, write) ?? 'null'
}

function jsonable(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Map) return [...(value as Map<unknown, unknown>)]
  if (value instanceof Set) return [...(value as Set<unknown>)]
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`
  return value
}
