import type { ContextStore } from '../store/context-store.js'
import type { JsonRpcError, JsonRpcRequest } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { StateEntry } from '../store/store.js'
import { withAlteredSignature } from './caller.js'
import type { Claim } from './caller.js'
import { httpAnswerOf } from './refusal.js'

/** `unproven`: the server lets anybody in, so it can't tell whose a token is. `refused`: with its own words. */
export type Verdict = { status: 'accepted' | 'unproven' } | { status: 'refused'; refusal: JsonRpcError }

export type VouchingServices = {
  store: ContextStore & { readState(scope: string, after: number): Promise<readonly StateEntry[]> }
  /** What the server says to `initialize` of this caller; `undefined`: it lets it in. */
  tryCaller: (initialize: JsonRpcRequest, request: Request) => Promise<JsonRpcError | undefined>
  /** The same, of a caller without a session. */
  tryAlone: (request: Request) => Promise<JsonRpcError | undefined>
  logger: Logger
}

type Accepted = { credential: string; until: number }

const KEY = 'mcp-durable:callers'
/** In place of a session. */
const ALONE = 'alone'
const UNPROVEN_ALONE = 'unproven'
/** Tokens of one session that count at a time: its client has one, and perhaps the next. */
const MOST_ACCEPTED = 8
const MOST_KNOWN = 10_000
/** For how long a token counts that has no expiry, and at least. */
const WITHOUT_EXPIRY_MS = 60 * 60_000
const LEAST_MS = 60_000
const REFUSED = new Set([401, 403])

/**
 * Whether a token is its subject's is known to the server behind this one alone, so it is asked before anything of a
 * session is given out.
 *
 * Invariant: a request that names a session goes on only with a token which the server has let in: with the
 * `initialize` that began the session, or with another one that is made to ask. A server that lets the same token in with
 * an altered signature has not checked it, and its word counts for nothing.
 */
export class Vouching {
  readonly #services: VouchingServices
  /** `<session> <credential>`, and until when it counts. */
  readonly #known = new Map<string, number>()
  readonly #asking = new Map<string, Promise<Verdict>>()

  constructor(services: VouchingServices) {
    this.#services = services
  }

  knows(sessionId: string, { credential }: Claim): boolean {
    return (this.#known.get(keyOf(sessionId, credential)) ?? 0) > Date.now()
  }

  /** The server has let the token in: with it, any node may go on. */
  async accept(sessionId: string, claim: Claim) {
    const { credential } = claim
    const accepted = { credential, until: untilOf(claim) }
    for (;;) {
      const { list, version } = await this.#read(sessionId)
      const next = [accepted, ...list.filter((other) => other.credential !== credential)].slice(
        0,
        MOST_ACCEPTED,
      )
      const { store } = this.#services
      if ((await store.writeValue(sessionId, KEY, version, JSON.stringify(next))) !== 'conflict') break
    }
    this.#remember(sessionId, accepted)
  }

  /** Asks the server, if no node has; once for all who come with the token meanwhile. */
  vouch(sessionId: string, claim: Claim, request: Request): Promise<Verdict> {
    const key = keyOf(sessionId, claim.credential)
    const asking = this.#asking.get(key) ?? this.#ask(sessionId, claim, request)
    this.#asking.set(key, asking)
    return asking.finally(() => this.#asking.delete(key))
  }

  /**
   * Of a caller without a session, whose every request says who it is. Asked once for each token and node; an `unproven` one
   * is asked about again after a while.
   */
  async vouchAlone(claim: Claim, request: Request): Promise<Verdict> {
    const { credential } = claim
    if (this.knows(ALONE, claim)) return { status: 'accepted' }
    if (this.knows(UNPROVEN_ALONE, claim)) return { status: 'unproven' }
    const asking = this.#asking.get(credential) ?? this.#try(request, this.#services.tryAlone)
    this.#asking.set(credential, asking)
    const verdict = await asking.finally(() => this.#asking.delete(credential))
    if (verdict.status === 'accepted') this.#remember(ALONE, { credential, until: untilOf(claim) })
    if (verdict.status === 'unproven')
      this.#remember(UNPROVEN_ALONE, { credential, until: Date.now() + LEAST_MS })
    return verdict
  }

  async #try(
    request: Request,
    tryCaller: (request: Request) => Promise<JsonRpcError | undefined>,
  ): Promise<Verdict> {
    const refusal = await tryCaller(request)
    if (refusal) return { status: 'refused', refusal }
    const altered = await tryCaller(withAlteredSignature(request))
    const { status = 0 } = httpAnswerOf(altered) ?? {}
    if (REFUSED.has(status)) return { status: 'accepted' }
    // It can't be asked now, and nobody knows what it would have said.
    return altered && (status === 429 || status >= 500)
      ? { status: 'refused', refusal: altered }
      : { status: 'unproven' }
  }

  async #ask(sessionId: string, claim: Claim, request: Request): Promise<Verdict> {
    const { list } = await this.#read(sessionId)
    const known = list.find(({ credential, until }) => credential === claim.credential && until > Date.now())
    if (known) {
      this.#remember(sessionId, known)
      return { status: 'accepted' }
    }
    const { store, tryCaller, logger } = this.#services
    const [first] = await store.readState(sessionId, 0)
    if (!first) return { status: 'unproven' }
    const initialize = JSON.parse(first.data) as JsonRpcRequest
    const verdict = await this.#try(request, (tried) => tryCaller(initialize, tried))
    if (verdict.status === 'unproven') logger.warn({ session: shortId(sessionId) }, UNPROVEN)
    if (verdict.status === 'accepted') await this.accept(sessionId, claim)
    return verdict
  }

  async #read(sessionId: string): Promise<{ list: readonly Accepted[]; version: number }> {
    const stored = await this.#services.store.readValue(sessionId, KEY)
    return stored
      ? { list: JSON.parse(stored.data) as Accepted[], version: stored.version }
      : { list: [], version: 0 }
  }

  #remember(sessionId: string, { credential, until }: Accepted) {
    this.#known.set(keyOf(sessionId, credential), until)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MOST_KNOWN && oldest !== undefined) this.#known.delete(oldest)
  }
}

const keyOf = (sessionId: string, credential: string) => `${sessionId} ${credential}`

const untilOf = ({ expiresAt }: Claim) =>
  Math.max(expiresAt ?? Date.now() + WITHOUT_EXPIRY_MS, Date.now() + LEAST_MS)

const UNPROVEN =
  'a new token for a session was refused, since the server behind this one does not check signatures of tokens at initialize; ' +
  'say with `principal` (--principal) who your callers are'
