import { BEGINNING } from './entries.js'
import type { Entry } from './entries.js'
import type { HistoryEntry, HistoryPage, Keeping } from './history.js'
import { MemoryLog } from './memory-log.js'
import type { LogName, Store } from './store.js'

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

type Session = { principal: string | undefined; version: number; logs: ReadonlyMap<string, MemoryLog> }

/** The store, with histories of what is written through it. What an operation changes is there as soon as it was called. */
export function keepingStore(
  store: Store,
  live: (scope: string) => Session | undefined,
  histories: MemoryHistories,
  keeping: Keeping,
): Store {
  const keepLog = <T>(scope: string, name: LogName, operation: () => T): T => {
    const before = live(scope)?.logs.get(name)?.lastId ?? BEGINNING
    const outcome = operation()
    const session = live(scope)
    const added = session?.logs.get(name)?.behind(before) ?? []
    histories.keep(scope, session?.principal, name, added, keeping)
    return outcome
  }
  const keepState = <T>(scope: string, data: string, operation: () => T): T => {
    const before = live(scope)?.version ?? 0
    const outcome = operation()
    const session = live(scope)
    const added = session && session.version > before ? [{ id: String(session.version), data }] : []
    histories.keep(scope, session?.principal, 'state', added, keeping)
    return outcome
  }
  const kept: Partial<Store> = {
    createSession: (session, limits) =>
      keepState(session.id, session.state.data, () => store.createSession(session, limits)),
    putState: (scope, entry, options) =>
      keepState(scope, entry.data, () => store.putState(scope, entry, options)),
    append: (scope, log, data, options) => keepLog(scope, log, () => store.append(scope, log, data, options)),
    openCall: (call) => keepLog(call.scope, `call:${call.callId}`, () => store.openCall(call)),
    appendCall: (scope, callId, ...rest) =>
      keepLog(scope, `call:${callId}`, () => store.appendCall(scope, callId, ...rest)),
    appendQuietly: (entries) => {
      const each = entries.map((entry) =>
        keepLog(entry.scope, `call:${entry.callId}`, () => store.appendQuietly([entry])),
      )
      return Promise.all(each).then((outcomes) => outcomes.flat())
    },
    claimCall: (scope, callId, claim) =>
      keepLog(scope, `call:${callId}`, () => store.claimCall(scope, callId, claim)),
  }
  return new Proxy(store, {
    get: (target, name) => Reflect.get(kept, name) ?? (Reflect.get(target, name) as unknown),
  })
}
