import type { DueCallsStore } from './due-calls.js'
import type { MemoryData } from './memory-data.js'

/** When calls are to be claimed, in the in-memory store. */
export class MemoryDueCalls implements DueCallsStore {
  readonly #data: MemoryData

  constructor({ data }: { data: MemoryData }) {
    this.#data = data
  }

  setDue: DueCallsStore['setDue'] = async ({ scope, callId, nonce }, at) => {
    this.#data.due.set(`${scope} ${callId} ${nonce}`, at)
  }

  takeDue: DueCallsStore['takeDue'] = async (now, again, limit) => {
    const { due } = this.#data
    const over = [...due].filter(([, at]) => at <= now).toSorted(([, a], [, b]) => a - b)
    const taken = over.slice(0, limit)
    for (const [entry] of taken) due.set(entry, again)
    let next: number | undefined
    for (const at of due.values()) next = Math.min(at, next ?? at)
    return { due: taken.map(([entry]) => decode(entry)), next }
  }

  removeDue: DueCallsStore['removeDue'] = async (entries) => {
    for (const { scope, callId, nonce } of entries) this.#data.due.delete(`${scope} ${callId} ${nonce}`)
  }
}

function decode(entry: string) {
  const [scope = '', callId = '', nonce = ''] = entry.split(' ')
  return { scope, callId, nonce }
}
