import type { Backend } from './backend.js'
import { checkCall, checkJournal } from './checks.js'
import { epochOf, Journal } from './journal.js'
import { Ledger } from './ledger.js'
import type { NodePool } from './node-pool.js'
import type { ObservedCall, ObservedCalls } from './observed-call.js'

/** Violations beyond this many are counted, not printed. */
const PRINTED = 20

export type Verdict = {
  violations: number
  takeovers: number
  recoveryMsP50: number | null
  recoveryMsP99: number | null
}

/** Judges a run: everything at its end, when nothing changes any more. */
export class Referee {
  readonly #backend: Backend
  readonly #calls: ObservedCalls
  readonly #pool: NodePool
  readonly #ledgerFile: string
  readonly #say: (line: string) => void
  #ended = 0
  #failed = 0
  #violations = 0

  constructor(
    backend: Backend,
    calls: ObservedCalls,
    pool: NodePool,
    ledgerFile: string,
    say: (line: string) => void,
  ) {
    this.#backend = backend
    this.#calls = calls
    this.#pool = pool
    this.#ledgerFile = ledgerFile
    this.#say = say
  }

  ended(call: ObservedCall) {
    this.#ended++
    if (!call.outcome || 'failure' in call.outcome) {
      this.#failed++
      this.#say(`${call.tool} ${call.id}: ${JSON.stringify(call.outcome)}`)
    }
  }

  progress(began: number): string {
    const { kills, pauses } = this.#pool
    const seconds = Math.round((Date.now() - began) / 1000)
    return `${seconds} s: ${this.#ended} calls ended, ${this.#failed} without a result, ${kills} kills, ${pauses} pauses`
  }

  violation(what: string, details = '') {
    this.#violations++
    if (this.#violations <= PRINTED) this.#say(`VIOLATION: ${what}${details && `\n${details}`}`)
  }

  /** Judges everything; `open`: calls that are still open although every client has its results. */
  async verdict(open: readonly string[]): Promise<Verdict> {
    const journals = await this.#journals()
    const ledger = await Ledger.read(this.#ledgerFile)
    const recoveries: number[] = []
    let takeovers = 0
    for (const call of this.#calls.all) {
      const own = journals.get(call.id) ?? []
      journals.delete(call.id)
      for (const what of checkCall(call, own, ledger))
        this.violation(`${call.tool} ${call.id}: ${what}`, this.#tell(call, own))
      for (const { owners } of own) takeovers += Math.max(0, owners.length - 1)
      recoveries.push(...own.flatMap((journal) => this.#recoveries(call, journal)))
    }
    for (const journal of [...journals.values()].flat()) {
      for (const what of checkJournal(journal)) this.violation(`an unknown call: ${what}`, journal.print())
    }
    for (const callId of open) this.violation(`the call ${callId} is still open`)
    for (const crash of this.#pool.crashes) this.violation(crash)
    for (const complaint of new Set(this.#pool.complaints)) this.#say(`a node said: ${complaint}`)
    recoveries.sort((a, b) => a - b)
    return {
      violations: this.#violations,
      takeovers,
      recoveryMsP50: percentile(recoveries, 0.5),
      recoveryMsP99: percentile(recoveries, 0.99),
    }
  }

  /** All that are in the store, by the `id` among the arguments of their calls. */
  async #journals(): Promise<Map<string, Journal[]>> {
    const journals = new Map<string, Journal[]>()
    for (const { scope, callId } of await this.#backend.journals()) {
      const journal = await Journal.read(this.#backend.store, scope, callId)
      const id = journal.id ?? callId
      journals.set(id, [...(journals.get(id) ?? []), journal])
    }
    return journals
  }

  #tell(call: ObservedCall, journals: readonly Journal[]): string {
    const connections = call.connections.map(
      ({ after, events }) =>
        `    after ${after ?? 'nothing'}: ${events.map(({ id }) => id.split('.')[1]).join(' ')}`,
    )
    const owners = new Set(journals.flatMap((journal) => journal.owners.map(({ node }) => node)))
    const fates = [...owners].map(
      (node) => `    ${node}: ${this.#pool.fates.get(node)?.join(', ') ?? 'nothing'}`,
    )
    return [
      `  arguments ${JSON.stringify(call.args)}, outcome ${JSON.stringify(call.outcome)}`,
      '  connections',
      ...connections,
      '  what happened to its owners',
      ...fates,
      ...journals.map((journal) => journal.print()),
    ].join('\n')
  }

  /** For every owner that was killed: the time from then to the first that the client heard of the next one. */
  #recoveries(call: ObservedCall, { callId, owners }: Journal): number[] {
    return owners.slice(1).flatMap(({ epoch }, index) => {
      const killedAt = this.#pool.killedAt.get(owners[index]!.node)
      const heard = call.connections
        .flatMap(({ events }) => events)
        .filter(
          ({ id, data }) => data !== '' && id.startsWith(callId) && epochOf(id.split('.')[1] ?? '') >= epoch,
        )
        .map(({ at }) => at)
      if (killedAt === undefined || heard.length === 0) return []
      return [Math.max(0, Math.min(...heard) - killedAt)]
    })
  }
}

function percentile(sorted: readonly number[], part: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? null
}
