import { BEGINNING, OLDEST } from './entries.js'
import { MemoryLog } from './memory-log.js'
import { isOf, isOpen, newSession, NONCE_MS } from './memory-session.js'
import type { MemorySpace } from './memory-space.js'
import type { AppendOptions, Store } from './store.js'

/** The logs that any node writes. */
export class MemoryLogs implements Pick<Store, 'append' | 'expect' | 'read' | 'dropLog'> {
  readonly #space: MemorySpace

  constructor(space: MemorySpace) {
    this.#space = space
  }

  append: Store['append'] = async (scope, name, data, options) => {
    const { nonce, maxLength, maxBytes = Number.POSITIVE_INFINITY, whenFull, answers, ifOpen } = options
    const session = this.#space.live(scope) ?? this.#begin(scope, options)
    if (!session || !isOf(session, options.server)) return undefined
    if (options.begins) session.expiresAt = Date.now() + options.begins.ttlMs
    const repeated = session.once.get(nonce)
    if (repeated) return repeated.id
    if (ifOpen !== undefined && !isOpen(session, ifOpen)) return undefined
    if (answers !== undefined && !session.expected.has(answers)) return undefined
    const log = session.logs.get(name) ?? new MemoryLog()
    const isFull = log.length >= maxLength || log.bytes + Buffer.byteLength(data) > maxBytes
    if (whenFull === 'refuse' && isFull) return false
    if (answers !== undefined) session.expected.delete(answers)
    session.logs.set(name, log)
    const id = log.append(data)
    log.trim(maxLength, maxBytes)
    session.once.set(nonce, { id, expiresAt: Date.now() + NONCE_MS })
    this.#space.keep(scope, name, [{ id, data }])
    this.#space.wake(scope, name, id)
    return id
  }

  #begin(scope: string, { begins, server }: AppendOptions) {
    if (!begins) return undefined
    const begun = newSession({ principal: undefined, server, protocolVersion: '', ...begins })
    this.#space.data.sessions.set(scope, begun)
    return begun
  }

  expect: Store['expect'] = async (scope, name, { ifOpen } = {}) => {
    const session = this.#space.live(scope)
    if (!session || (ifOpen !== undefined && !isOpen(session, ifOpen))) return false
    session.expected.add(name)
    return true
  }

  read: Store['read'] = async (scope, name, after, limit, maxBytes) => {
    const log = this.#space.live(scope)?.logs.get(name)
    if (!log || log.expired) return after === BEGINNING || after === OLDEST ? [] : undefined
    return log.read(after, limit, maxBytes)
  }

  dropLog: Store['dropLog'] = async (scope, name, names = []) => {
    const session = this.#space.live(scope)
    session?.logs.delete(name)
    for (const each of names) session?.expected.delete(each)
  }
}
