import { randomId } from '../ids.js'
import type { Logger } from '../logger.js'
import type { BegunSession, ProxyOrigin } from './server-factory.js'
import type { MessageExtra } from './transport.js'

export type ServerNamesOptions = {
  /** Whether sessions of other servers are there as well. Else what a server calls itself may change, or differ from node to node. */
  isUsed: () => boolean
  proxy: ProxyOrigin | undefined
  /** Told the name of the server, each time that it is heard. */
  onServer: (name: string) => void
  logger: Logger
}

/**
 * What the server of this node calls itself: `serverInfo.name` of its answers to `initialize`. Where several `durable()` of a
 * process use one store object without a `name`, a session belongs to the one whose name it began with.
 */
export class ServerNames {
  readonly #options: ServerNamesOptions
  #last: string | undefined
  /** Nobody's name. */
  readonly #unheard = randomId()
  #isOne = true

  constructor(options: ServerNamesOptions) {
    this.#options = options
  }

  get isUsed() {
    return this.#options.isUsed()
  }

  get isHeard() {
    return this.#last !== undefined
  }

  /** `''`: it does not say. */
  hear(name: string) {
    if (name !== '') this.#options.onServer(name)
    const other = this.#last
    this.#last = name
    if (!this.isUsed || !this.#isOne || other === undefined || other === name) return
    this.#isOne = false
    this.#options.logger.warn({ server: name, other }, SEVERAL)
  }

  /** As the store is asked for a session. Before a name was heard, only sessions without one are this server's for sure. */
  get own(): string | undefined {
    return this.isUsed ? (this.#last ?? this.#unheard) : undefined
  }

  /** As the store is asked for all sessions of this server; `undefined`: those of any, since it has no one name. */
  get common(): string | undefined {
    return this.isUsed && this.#isOne ? this.#last : undefined
  }

  /** What a server behind HTTP calls itself; `undefined`: there is none, or it does not say so now. */
  async ask(begun: BegunSession, extra: MessageExtra): Promise<string | undefined> {
    const name = await this.#options.proxy?.serverName(begun, extra)
    if (name !== undefined) this.hear(name)
    return name
  }
}

/** In the result of `initialize`; `''`: there is none. */
export function serverNameIn(result: Record<string, unknown>): string {
  const { name } = (result['serverInfo'] ?? {}) as { name?: unknown }
  return typeof name === 'string' ? name : ''
}

const SEVERAL =
  'the server calls itself by different names: where other servers use the same store, broadcasts reach their sessions too. ' +
  "Give it one name: durable({ name: 'orders', … })"
