import { setTimeout as sleep } from 'node:timers/promises'
import { sealedStore } from '@mcp-durable/core'
import type { SealOptions } from '@mcp-durable/core'
import { PREFIX } from './backend.js'
import type { Backend } from './backend.js'
import type { Fates } from './check-departure.js'
import { checkVersioned } from './check-versioned.js'
import { VERSIONED } from './code-versions.js'
import { openContents } from './contents.js'
import type { Contents } from './contents.js'
import { Journal } from './journal.js'
import { openCalls } from './left-open.js'
import type { NodePool } from './node-pool.js'
import { Versioned } from './versioned.js'

/** `parked`: how often a call was, as its code did not fit. */
export type Parkings = { versioned: number; parked: number; retried: number }

/** A call that was offered to a node that did not hear it is offered again, within 30 s at the latest. */
const ENDS_WITHIN_MS = 60_000

/** The part of a run in which nodes have several versions of the code, from its beginning to its verdict. */
export class CodeMix implements AsyncDisposable {
  readonly #contents: Contents
  readonly #versioned: Versioned

  constructor(backend: Backend, seal: SealOptions | undefined) {
    const contents = openContents(backend.url, PREFIX, { name: VERSIONED })
    this.#contents = seal ? { ...contents, store: sealedStore(contents.store, seal) } : contents
    this.#versioned = new Versioned(this.#contents.store)
  }

  /** Until `signal` fires. */
  async run(where: { url: URL; seed: number; signal: AbortSignal }) {
    const url = new URL(`/${VERSIONED}`, where.url)
    const open = () => openCalls({ contents: this.#contents })
    await this.#versioned.run({ ...where, url, open })
  }

  /** When nothing strikes any more. */
  async judge(
    pool: NodePool,
    evidence: { ledgerFile: string; fates: Fates },
    violation: (what: string) => void,
  ): Promise<Parkings> {
    const contents = this.#contents
    await pool.complete()
    const until = Date.now() + ENDS_WITHIN_MS
    let open = await openCalls({ contents })
    while (open.length > 0 && Date.now() < until) {
      await sleep(200)
      open = await openCalls({ contents })
    }
    for (const { callId } of open)
      violation(`the call ${callId} is still open, and there are nodes of every version`)
    await this.#versioned.streamsEnded()
    const journals = await this.#journals()
    for (const what of await checkVersioned(this.#versioned, journals, evidence)) violation(what)
    const records = journals.flatMap((journal) => journal.records)
    const parked = records.filter(({ kind }) => kind === 'diverged').length
    return { versioned: journals.length, parked, retried: this.#versioned.retries }
  }

  async #journals(): Promise<Journal[]> {
    const names = await this.#contents.journals()
    return Promise.all(names.map(({ scope, callId }) => Journal.read(this.#contents.store, scope, callId)))
  }

  async [Symbol.asyncDispose]() {
    await this.#contents.close()
  }
}
