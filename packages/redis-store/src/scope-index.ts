import type { Client } from './client.js'
import type { Deadline } from './deadline.js'
import * as scripts from './scripts.generated.js'

/** How long an entry outlives the expiry it stands for, as a part of the ttl: an update may come late or get lost. */
const SLACK = 0.1

/** `CH` sets the expiry, `GT` moves it later only, `XX` moves it but does not add. `anyway`: also where there are `most`. */
export type Listing = {
  id: string
  ms: number
  most?: number | undefined
  anyway?: boolean
  how: 'CH' | 'GT' | 'XX'
}

export const lasting = (ttlMs: number) => Math.ceil(ttlMs * (1 + SLACK))

/** Lists of scopes by when they expire. In a Cluster they live in other slots than the scopes. */
export class ScopeIndex {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  /** False: it had `most` already. */
  async add(index: string, listing: Listing, deadline: Deadline): Promise<boolean> {
    const { id, ms, most = '', anyway, how } = listing
    const args = [id, ms, most, how, anyway ? '1' : '']
    const added = await this.#client.run(scripts.indexAdd, [index], args, deadline)
    return Number(added) === 1
  }

  async remove(index: string, ids: readonly string[], deadline: Deadline) {
    if (ids.length > 0) await this.#client.run(scripts.indexRemove, [index], [...ids], deadline)
  }

  /** In the order of their expiry. An entry that moves later meanwhile is not missed. */
  async page(index: string, cursor: string | undefined, limit: number, deadline?: Deadline) {
    const from = cursor === undefined ? [] : splitCursor(cursor)
    const reply = await this.#client.run(scripts.indexPage, [index], [limit, ...from], deadline)
    const [score, ...ids] = reply as [string, ...string[]]
    return { ids, cursor: ids.length < limit ? undefined : `${score} ${ids.at(-1)}` }
  }

  async *pages(index: string, limit: number): AsyncGenerator<string[], void> {
    for (let cursor: string | undefined; ;) {
      const page = await this.page(index, cursor, limit)
      yield page.ids
      cursor = page.cursor
      if (cursor === undefined) return
    }
  }
}

function splitCursor(cursor: string) {
  const space = cursor.indexOf(' ')
  return [cursor.slice(0, space), cursor.slice(space + 1)]
}
