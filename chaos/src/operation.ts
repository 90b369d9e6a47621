import { sealedStore } from '@mcp-durable/core'
import type { SealOptions } from '@mcp-durable/core'
import { PREFIX } from './backend.js'
import type { Backend } from './backend.js'
import { checkOperated, isUnbegun } from './check-operated.js'
import type { Ended } from './check-operated.js'
import { openContents } from './contents.js'
import type { Contents } from './contents.js'
import { Journal } from './journal.js'
import { leftOpen, openCalls } from './left-open.js'
import type { Fate } from './node-pool.js'
import { Operated, OPERATED } from './operated.js'

export type Acts = { counted: number; over: number; acted: Record<string, number> }

/** The part of a run in which somebody acts on calls, from its beginning to its verdict. */
export class Operation implements AsyncDisposable {
  readonly #contents: Contents
  readonly #operated: Operated

  constructor(backend: Backend, seal: SealOptions | undefined) {
    const contents = openContents(backend.url, PREFIX, { name: OPERATED })
    this.#contents = seal ? { ...contents, store: sealedStore(contents.store, seal) } : contents
    this.#operated = new Operated(this.#contents.store)
  }

  /** Until `signal` fires. */
  async run(where: { url: URL; seed: number; signal: AbortSignal }) {
    await this.#operated.run({ ...where, url: new URL(`/${OPERATED}`, where.url) })
  }

  /** When nothing strikes any more. */
  async judge(
    evidence: { ledgerFile: string; fates: Iterable<readonly Fate[]> },
    violation: (what: string) => void,
  ): Promise<Acts> {
    const contents = this.#contents
    const made = (await this.#journals()).filter(isUnbegun).map(({ callId }) => callId)
    const open = await openCalls({ contents })
    await this.#operated.handOver(open.filter(({ callId }) => made.includes(callId)))
    const left = await leftOpen({ contents })
    const journals = await this.#journals()
    const unbegun = new Set(journals.filter(isUnbegun).map(({ callId }) => callId))
    for (const callId of left)
      if (!unbegun.has(callId)) violation(`the call ${callId}, which is counted, is still open`)
    for (const what of await checkOperated(this.#operated, journals, evidence)) violation(what)
    const acted: Record<string, number> = {}
    for (const { kind, doneAt } of this.#operated.actions)
      if (doneAt !== undefined) acted[kind] = (acted[kind] ?? 0) + 1
    return { counted: journals.length, over: this.#operated.over, acted }
  }

  async #journals(): Promise<Ended[]> {
    const journals: Ended[] = []
    for (const place of await this.#contents.journals()) {
      const journal = await Journal.read(this.#contents.store, place.scope, place.callId)
      const endedAt = await this.#contents.writtenAt(place)
      if (isCounted(journal)) journals.push(Object.assign(journal, { endedAt }))
    }
    return journals
  }

  async [Symbol.asyncDispose]() {
    await this.#contents.close()
  }
}

/** The tools for tasks have calls of their own. */
const isCounted = ({ request }: Journal) => request?.messages[0]?.params?.['name'] === 'counted'
