import { BEGINNING } from './entries.js'
import type { Entry, LogName } from './entries.js'
import type { HistoryEntry, HistoryPage, Keeping } from './history.js'
import { MemoryLog } from './memory-log.js'

type Kept = Pick<HistoryEntry, 'log' | 'entry' | 'data'>
type History = { log: MemoryLog; principal: string | undefined }

/** The histories of the in-memory store. */
export class MemoryHistories {
  readonly #histories = new Map<string, History>()

  keep(
    scope: string,
    principal: string | undefined,
    log: LogName | 'state',
    entries: readonly Entry[],
    { keepMs, maxEntries }: Keeping,
  ) {
    if (entries.length === 0) return
    const history = this.#live(scope) ?? { log: new MemoryLog(), principal }
    this.#histories.set(scope, history)
    for (const { id, data } of entries) {
      history.log.append(JSON.stringify({ log, entry: id, data } satisfies Kept))
    }
    history.log.trim(maxEntries)
    history.log.trimBefore(`${Date.now() - keepMs}-0`)
    history.log.expiresAt = Date.now() + keepMs
  }

  read(scope: string, { from, to, after, limit }: HistoryPage): HistoryEntry[] {
    const all = (this.#live(scope)?.log.behind(after ?? BEGINNING) ?? []).map(({ id, data }) => {
      return { id, at: Number.parseInt(id, 10), ...(JSON.parse(data) as Kept) }
    })
    const earliest = after === undefined ? (from ?? 0) : 0
    const isIn = ({ at }: HistoryEntry) => at >= earliest && at <= (to ?? Number.POSITIVE_INFINITY)
    return all.filter(isIn).slice(0, Math.max(1, limit))
  }

  /** Answers how many entries there were. */
  forget(scope: string): number {
    const entries = this.#live(scope)?.log.behind(BEGINNING).length ?? 0
    this.#histories.delete(scope)
    return entries
  }

  of(principal: string): string[] {
    return [...this.#histories]
      .filter(([, history]) => history.principal === principal)
      .map(([scope]) => scope)
  }

  sweep() {
    for (const [scope, { log }] of this.#histories) if (log.expired) this.#histories.delete(scope)
  }

  #live(scope: string) {
    const history = this.#histories.get(scope)
    return history && !history.log.expired ? history : undefined
  }
}
