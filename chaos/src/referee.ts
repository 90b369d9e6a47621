import type { Backend } from './backend.js'
import type { Changes } from './changes.js'
import { checkDeparture } from './check-departure.js'
import type { Fates } from './check-departure.js'
import { checkCall, checkJournal } from './checks.js'
import { checkKept } from './check-task.js'
import { callIdOf, entryOf, epochOf } from './event-ids.js'
import { evidence } from './evidence.js'
import { Journal } from './journal.js'
import { Ledger } from './ledger.js'
import type { Listener } from './listener.js'
import type { NodePool } from './node-pool.js'
import type { ObservedCall, ObservedCalls } from './observed-call.js'

/** A node hears no sooner that it can't reach a server. */
const UNNOTICED_MS = 1000
/** Violations beyond this many are printed without details, */
const DETAILED = 20
/** and beyond this many counted. */
const PRINTED = 200

export type Verdict = {
  violations: number
  takeovers: number
  /** Calls that ended because their clients had gone, or wanted it. */
  cancelled: number
  /** Calls whose clients were given tasks. */
  tasks: number
  /** Calls that nothing has run: their node died while it could not tell the others of them. */
  unheld: number
  /** Events of changes that were heard. */
  heard: number
  recoveryMsP50: number | null
  recoveryMsP99: number | null
}

/**
 * Judges a run: everything at its end, when nothing changes any more. `isOurs`: which journals are of the run, by the `id` of their calls, if
 * there was another one on the same store; what is left of that expires while this one is judged.
 */
export class Referee {
  readonly #backend: Backend
  readonly #calls: ObservedCalls
  readonly #pool: NodePool
  readonly #ledgerFile: string
  readonly #say: (line: string) => void
  readonly #isOurs: (id: string) => boolean
  #ended = 0
  #failed = 0
  #violations = 0

  constructor(
    backend: Backend,
    calls: ObservedCalls,
    pool: NodePool,
    ledgerFile: string,
    say: (line: string) => void,
    { isOurs = () => true }: { isOurs?: (id: string) => boolean } = {},
  ) {
    this.#backend = backend
    this.#calls = calls
    this.#pool = pool
    this.#ledgerFile = ledgerFile
    this.#say = say
    this.#isOurs = isOurs
  }

  ended(call: ObservedCall) {
    this.#ended++
    if (call.abortedAt === undefined && (!call.outcome || 'failure' in call.outcome)) {
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
    const about = this.#violations <= DETAILED && details ? `\n${details}` : ''
    if (this.#violations <= PRINTED) this.#say(`VIOLATION: ${what}${about}`)
  }

  /** Judges everything; `open`: calls that are still open although every client has its results. */
  async verdict(open: readonly string[], listeners: readonly Listener[], changes: Changes): Promise<Verdict> {
    const journals = await this.#journals()
    const ledger = await Ledger.read(this.#ledgerFile)
    const fates = { nodes: this.#pool.fates, store: this.#backend.away }
    const recoveries: number[] = []
    let takeovers = 0
    let cancelled = 0
    let tasks = 0
    const unheld = new Set<string>()
    for (const call of this.#calls.all) {
      const own = journals.get(call.id) ?? []
      journals.delete(call.id)
      if (this.#backend.kind === 'cluster' && own.length === 1 && isUnheld(own[0]!, fates)) {
        unheld.add(own[0]!.callId)
        continue
      }
      if (call.task) tasks++
      const isKept = await checkKept(this.#backend.contents, call, own)
      for (const what of [...checkCall(call, own, ledger), ...checkDeparture(call, own, fates), ...isKept])
        this.violation(`${call.tool} ${call.id}: ${what}`, evidence(call, own, fates))
      for (const { owners, records, wasTakenBack } of own) {
        takeovers += Math.max(0, owners.length - 1)
        if (!wasTakenBack && records.at(-1)?.kind === 'cancelled') cancelled++
      }
      recoveries.push(...own.flatMap((journal) => this.#recoveries(call, journal)))
    }
    const unknown = [...journals].filter(([id]) => this.#isOurs(id)).flatMap(([, own]) => own)
    for (const journal of unknown) {
      for (const what of checkJournal(journal)) this.violation(`an unknown call: ${what}`, journal.print())
    }
    for (const listener of listeners)
      for (const what of listener.check(changes)) this.violation(`${listener.principal} listens: ${what}`)
    for (const intrusion of this.#calls.intrusions) this.violation(intrusion)
    for (const callId of open) if (!unheld.has(callId)) this.violation(`the call ${callId} is still open`)
    for (const crash of this.#pool.crashes) this.violation(crash)
    for (const complaint of new Set(this.#pool.complaints)) this.#say(`a node said: ${complaint}`)
    recoveries.sort((a, b) => a - b)
    return {
      violations: this.#violations,
      takeovers,
      cancelled,
      tasks,
      unheld: unheld.size,
      heard: listeners.reduce((sum, { events }) => sum + events, 0),
      recoveryMsP50: percentile(recoveries, 0.5),
      recoveryMsP99: percentile(recoveries, 0.99),
    }
  }

  /** All that are in the store, by the `id` among the arguments of their calls. */
  async #journals(): Promise<Map<string, Journal[]>> {
    const journals = new Map<string, Journal[]>()
    const { contents } = this.#backend
    for (const { scope, callId } of await contents.journals()) {
      const journal = await Journal.read(contents.store, scope, callId)
      const id = journal.id ?? callId
      journals.set(id, [...(journals.get(id) ?? []), journal])
    }
    return journals
  }

  /** For every owner that was killed: the time from then to the first that the client heard of the next one. */
  #recoveries(call: ObservedCall, { callId, owners }: Journal): number[] {
    return owners.slice(1).flatMap(({ epoch }, index) => {
      const killedAt = this.#pool.killedAt.get(owners[index]!.node)
      const heard = call.connections
        .flatMap(({ events }) => events)
        .filter(({ id, data }) => data !== '' && callIdOf(id) === callId && epochOf(entryOf(id)) >= epoch)
        .map(({ at }) => at)
      if (killedAt === undefined || heard.length === 0) return []
      return [Math.max(0, Math.min(...heard) - killedAt)]
    })
  }
}

/**
 * Without a session a node opens a call, and lists it among those to be taken over, at the same time. In a Cluster another
 * master may be asked for that: if it is away, and the node dies, only a client that waits leads to the call. Nothing of it was
 * run, nor told by its node.
 */
function isUnheld({ isAlone, records, owners }: Journal, { nodes, store }: Fates): boolean {
  const [owner, ...others] = owners
  if (!isAlone || records.length > 1 || !owner || others.length > 0) return false
  const death = nodes.get(owner.node)?.find(({ what }) => what === 'killed')
  return (
    death !== undefined &&
    store.some(({ from, to }) => from <= death.from && to >= owner.epoch - UNNOTICED_MS)
  )
}

function percentile(sorted: readonly number[], part: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? null
}
