import { randomId } from '../ids.js'
import type { JsonRpcRequest } from '../json-rpc.js'
import { META, SESSIONLESS } from '../protocol.js'
import type { Spoken } from '../session/server-factory.js'
import { ServerRefusedError } from '../session/session-errors.js'
import type { MessageExtra } from '../session/transport.js'
import { BadAnswerError, drain, isOk } from './answer.js'
import type { Answer } from './answer.js'
import { ALONE, UnsentError } from './channel.js'
import type { Channel } from './channel.js'
import { broken, refusalOf, unreachable } from './refusal.js'
import { answerIn } from './server-session.js'

const ANSWERED_WITHIN_MS = 10_000
/** After this time it is asked again, while requests go on with what was known. */
const KNOWN_MS = 60_000
/** What a server answers that has failed says little of what it speaks. */
const SURMISED_MS = 5_000
/** Words on the caller, or on the moment. */
const NOT_NOW = new Set([401, 403, 407, 408, 409, 425, 429, 502, 503, 504])

/** Whoever asks without a client says this of itself. */
const ENVELOPE = {
  [META.protocolVersion]: SESSIONLESS,
  [META.clientCapabilities]: {},
  [META.clientInfo]: { name: 'mcp-durable', version: '1' },
}

/** The request, as one that stands alone. */
export function enveloped(request: JsonRpcRequest): JsonRpcRequest {
  const { params } = request
  return { ...request, params: { ...params, _meta: { ...ENVELOPE, ...params?._meta } } }
}

export const discover = (): JsonRpcRequest =>
  enveloped({ jsonrpc: '2.0', id: randomId(), method: 'server/discover' })

/** Finds out which versions a server behind this one speaks: it is asked once, and again after a time or when in doubt. */
export class Discovery {
  readonly #channel: Channel
  readonly #maxBytes: number
  #known: Spoken | undefined
  #goodUntil = 0
  #isDoubted = false
  #asking: Promise<Spoken> | undefined

  constructor(channel: Channel, maxBytes: number) {
    this.#channel = channel
    this.#maxBytes = maxBytes
  }

  /** As far as nothing has to be done for it. */
  get known(): Spoken | undefined {
    return this.#isDoubted || performance.now() >= this.#goodUntil ? undefined : this.#known
  }

  /** Throws a `ServerRefusedError` if the server lets this caller not in, or can't be asked. */
  async spoken(extra: MessageExtra): Promise<Spoken> {
    const { known } = this
    if (known) return known
    const before = this.#known
    if (before && !this.#isDoubted) {
      if (!this.#asking) this.#ask(extra).catch(() => undefined)
      return before
    }
    try {
      // Where another caller is refused, this one need not be.
      return await (this.#asking?.catch(() => this.#ask(extra)) ?? this.#ask(extra))
    } catch (error) {
      // The request itself will hear what keeps it from being served.
      if (before) return before
      throw error
    }
  }

  /** It has answered as one that speaks another version. */
  doubt() {
    this.#isDoubted = true
  }

  #ask(extra: MessageExtra): Promise<Spoken> {
    const asking = this.#find(extra)
    this.#asking = asking
    const end = () => {
      if (this.#asking === asking) this.#asking = undefined
    }
    asking.then(end, end)
    return asking
  }

  async #find(extra: MessageExtra): Promise<Spoken> {
    const request = discover()
    try {
      const answer = await this.#channel.post(ALONE, request, extra, AbortSignal.timeout(ANSWERED_WITHIN_MS))
      if (NOT_NOW.has(answer.status) || (answer.status >= 300 && answer.status < 400))
        throw new ServerRefusedError(await refusalOf(request.id, answer))
      return this.#learn(await this.#read(answer, request), answer.status < 500 ? KNOWN_MS : SURMISED_MS)
    } catch (error) {
      if (error instanceof ServerRefusedError) throw error
      // It has answered, and what it answers to `initialize` may be of use.
      if (error instanceof BadAnswerError) return this.#learn({ sessionless: false }, SURMISED_MS)
      throw new ServerRefusedError(
        error instanceof UnsentError
          ? unreachable(request.id)
          : broken(request.id, 'broke off, or was silent'),
      )
    }
  }

  #learn(spoken: Spoken, forMs: number): Spoken {
    this.#known = spoken
    this.#isDoubted = false
    this.#goodUntil = performance.now() + forMs
    return spoken
  }

  async #read(answer: Answer, request: JsonRpcRequest): Promise<Spoken> {
    // A server of another version does not know the question.
    if (!isOk(answer)) {
      await drain(answer)
      return { sessionless: false }
    }
    const response = await answerIn(answer, request, this.#maxBytes)
    const versions = 'result' in response ? response.result['supportedVersions'] : undefined
    return 'result' in response && Array.isArray(versions) && versions.includes(SESSIONLESS)
      ? { sessionless: true, about: response.result }
      : { sessionless: false }
  }
}
