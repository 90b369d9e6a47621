import type { DueCall, DueCallsStore } from '@mcp-durable/core/store'
import type { Space } from './space.js'

type Row = { scope: string; call: string; nonce: string }

const SET = 'INSERT OR REPLACE INTO due (name, scope, call, nonce, at) VALUES (?, ?, ?, ?, ?)'
const TAKE = 'SELECT scope, call, nonce FROM due WHERE name = ? AND at <= ? ORDER BY at LIMIT ?'
const REMOVE = 'DELETE FROM due WHERE name = ? AND scope = ? AND call = ? AND nonce = ?'

/** Which calls are to be claimed, by when. */
export class DueCalls implements DueCallsStore {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  setDue: DueCallsStore['setDue'] = (entry, at) => this.#space.write(() => this.#set(entry, at))

  #set({ scope, callId, nonce }: DueCall, at: number) {
    this.#space.sql.run(SET, this.#space.name, scope, callId, nonce, Math.ceil(at))
  }

  takeDue: DueCallsStore['takeDue'] = (now, again, limit) =>
    this.#space.write(() => {
      const { sql, name } = this.#space
      const rows = sql.all<Row>(TAKE, name, now, limit)
      const due = rows.map(({ scope, call, nonce }): DueCall => ({ scope, callId: call, nonce }))
      for (const entry of due) this.#set(entry, again)
      const next = sql.get<{ at: number | null }>('SELECT min(at) AS at FROM due WHERE name = ?', name)?.at
      return { due, next: next ?? undefined }
    })

  removeDue: DueCallsStore['removeDue'] = (entries) =>
    this.#space.write(() => {
      const { sql, name } = this.#space
      for (const { scope, callId, nonce } of entries) sql.run(REMOVE, name, scope, callId, nonce)
    })
}
