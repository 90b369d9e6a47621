import { setTimeout as sleep } from 'node:timers/promises'
import { EarlierRuns } from '../call/earlier-runs.js'
import { parseRecord } from '../call/record.js'
import type { CallRecord } from '../call/record.js'
import { checkMs } from '../check-ms.js'
import { followScopes } from '../context/async-scope.js'
import type { Caller } from '../context/call-log.js'
import { DEFAULT_LIMITS } from '../context/limits.js'
import { stateScopeOf } from '../context/principal-state.js'
import type { Ending } from '../context/replay-log.js'
import { runInCall } from '../context/run-context.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { checkNames } from '../known-options.js'
import { isAlone } from '../protocol.js'
import { describeSealed } from '../seal/describe-sealed.js'
import type { ServerFactory } from '../session/server-factory.js'
import { endOf, isSameResult, judge, stepOf } from './replay/judge.js'
import type { ReplayedStep, ReplayEnd, ReplayProblem } from './replay/judge.js'
import type { RecordedCall } from './replay/recorded-call.js'
import { TrialLog } from './replay/trial-log.js'
import { TrialServer } from './replay/trial-server.js'
import { trialStore } from './replay/trial-store.js'

/** What a trial came to. */
export type ReplayReport = {
  /** `untried`: nothing can be said. */
  verdict: 'fits' | 'differs' | 'untried'
  /** What was called: the name of the tool. */
  tool: string
  /** Of the code that has run the call last, if that has one. */
  version: string | undefined
  /** Steps of the journal that the code came to, in the order in which it did. */
  reached: ReplayedStep[]
  /** Steps that have ended in the journal and that it did not come to. */
  missing: ReplayedStep[]
  /** Steps that it came to and that have no end in the journal: it would go on with them. */
  next: ReplayedStep[]
  /** How the code ends, if it does before it needs more than the journal has; and how the journal ends. */
  end: ReplayEnd | undefined
  recordedEnd: ReplayEnd | 'cancelled' | undefined
  /** Both have ended with a result, and it is the same one. */
  sameResult: boolean | undefined
  /** Why it does not fit, or could not be tried. */
  problem: ReplayProblem | undefined
}

export type ReplayOptions = {
  /** How long the code may wait for what is no step. Default: 10,000. */
  withinMs?: number
}

const WITHIN_MS = 10_000
/** Other steps may be begun beside the one at which the journal ends. */
const BESIDE_MS = 50
/** The code may come to a recorded step in another branch; longer than a replay waits for one that does not come. */
const ELSEWHERE_MS = 1500
const LOOK_MS = 10

/**
 * Tries code against the journal of a call of a durable tool, without effects: recorded steps give what was recorded, no body of a step
 * runs, nothing is written. The trial ends where the journal does. What the handler does outside of steps does happen.
 * `server`: as `durable({ server })` takes it. Never rejects for what the code does.
 */
export async function replayCall(
  call: RecordedCall,
  server: ServerFactory,
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  checkNames('replayCall()', options, ['withinMs'])
  const { withinMs = WITHIN_MS } = options
  checkMs('replayCall(): `withinMs`', withinMs)
  const journal = readJournal(call)
  if ('kind' in journal) return report({ tool: '', problem: journal })
  const runs = await EarlierRuns.read([call.journal])
  const { request } = journal
  const known = {
    tool: String(request.params?.['name']),
    version: runs.version,
    recordedEnd: recordedEnd(journal.last),
  }
  const [handler = 'plain'] = runs.handlers
  if (handler !== 'durable' && handler !== 'none')
    return report({ ...known, problem: noSteps('the recorded tool was not durable') })
  try {
    return report({ ...known, ...(await new Trial(call, journal, runs, withinMs).run(server)) })
  } catch (error) {
    return report({ ...known, problem: untried('the server object could not be made', String(error)) })
  }
}

type Journal = { request: JsonRpcRequest; last: CallRecord }
type Found = Partial<ReplayReport> & Pick<ReplayReport, 'tool' | 'problem'>

const untried = (message: string, detail?: string): ReplayProblem => ({
  kind: 'untried',
  message,
  ...(detail !== undefined && { detail }),
})

const noSteps = (message: string): ReplayProblem => ({ kind: 'no-steps', message })

function report(found: Found): ReplayReport {
  const { problem } = found
  const isUntried = problem?.kind === 'untried' || problem?.kind === 'no-steps'
  const verdict = problem === undefined ? 'fits' : isUntried ? 'untried' : 'differs'
  return {
    version: undefined,
    reached: [],
    missing: [],
    next: [],
    end: undefined,
    recordedEnd: undefined,
    sameResult: undefined,
    ...found,
    verdict,
  }
}

function readJournal({ journal }: RecordedCall): Journal | ReplayProblem {
  const sealed = journal.map(({ data }) => describeSealed(data)).find((each) => each !== undefined)
  if (sealed !== undefined) return untried(`its records are sealed ${sealed}`)
  let records: Array<CallRecord | undefined>
  try {
    records = journal.map(({ data }) => parseRecord(data))
  } catch {
    return untried('its journal can’t be read')
  }
  if (records.includes(undefined)) return untried('a newer version of this library has run it')
  const [first] = records
  const last = records.at(-1)
  if (first?.kind !== 'request' || !last) return untried('its journal does not begin with a request')
  const { messages } = first.request
  const [request] = messages
  if (!request || messages.length > 1) return noSteps('it is a batch of requests')
  if (request.method !== 'tools/call') return noSteps(`it is ${request.method}, and no call of a tool`)
  return { request, last }
}

const responseIn = (last: CallRecord) => (last.kind === 'response' ? last.message : undefined)

function recordedEnd(last: CallRecord): ReplayReport['recordedEnd'] {
  const response = responseIn(last)
  if (response) return endOf(response)
  return last.kind === 'cancelled' ? 'cancelled' : undefined
}

class Trial {
  readonly #call: RecordedCall
  readonly #journal: Journal
  readonly #runs: EarlierRuns
  readonly #withinMs: number
  /** What the code has read that did not come with the journal. */
  #lacking: string | undefined

  constructor(call: RecordedCall, journal: Journal, runs: EarlierRuns, withinMs: number) {
    this.#call = call
    this.#journal = journal
    this.#runs = runs
    this.#withinMs = withinMs
  }

  async run(factory: ServerFactory): Promise<Omit<Found, 'tool'>> {
    const { callId, scope, states, principal } = this.#call
    const { request } = this.#journal
    const caller: Caller = { principal, isUser: true }
    const store = trialStore(states, (what) => (this.#lacking ??= what))
    const stateScope = isAlone(request) ? stateScopeOf(caller) : scope
    const messages = this.#call.messages.map((message) => JSON.parse(message) as JsonRpcMessage)
    const beginning = TrialServer.begin(factory, {
      scope,
      principal,
      request,
      messages,
      stateScope,
      store,
    })
    const server = await Promise.race([beginning, sleep(this.#withinMs, undefined, { ref: false })])
    if (!server) return { problem: untried(`the server object was not made within ${this.#withinMs} ms`) }
    const problem = lackOf(server, request)
    if (problem) return { problem }
    const { capabilities: clientCapabilities, logLevel } = server.client
    const log = new TrialLog({ callId, scope, request, caller, clientCapabilities, logLevel }, this.#runs)
    const came: { ending?: Ending; response?: JsonRpcResponse } = {}
    const { authInfo, url } = this.#runs.request
    const extra = { authInfo, ...(url !== undefined && { url }) }
    const running = {
      log,
      store,
      limits: DEFAULT_LIMITS,
      onHandled: ({ ending }: { ending: Ending }) => void (came.ending = ending),
    }
    const unfollow = followScopes()
    try {
      const answered = runInCall(running, () => server.ask({ ...request, id: callId }, extra))
      await Promise.race([answered.then((response) => (came.response = response)), this.#over(log, server)])
    } finally {
      unfollow()
    }
    // What waits at the end of the journal is left there: told to stop, it would go on.
    if (came.response) await server.close()
    return this.#found(log, server, came)
  }

  #found(
    log: TrialLog,
    server: TrialServer,
    { ending, response }: { ending?: Ending; response?: JsonRpcResponse },
  ): Omit<Found, 'tool'> {
    const recorded = responseIn(this.#journal.last)
    const withinMs = this.#withinMs
    const isBoth = response && recorded && endOf(response) === 'result' && endOf(recorded) === 'result'
    return {
      reached: log.reached.map(stepOf),
      missing: log.missing.map(stepOf),
      next: response ? [] : log.beyond.map(stepOf),
      end: response && endOf(response),
      sameResult: isBoth ? isSameResult(response, recorded) : undefined,
      problem: this.#lackingIn(server) ?? judge({ log, response, ending, recorded, withinMs }),
    }
  }

  #lackingIn(server: TrialServer): ReplayProblem | undefined {
    if (this.#lacking !== undefined)
      return untried(`the code reads ${this.#lacking} outside of steps, which is not kept with the call`)
    if (server.asks === undefined) return undefined
    return untried(`the code asks its client ${server.asks} by the SDK itself, and not in a step`)
  }

  /** Resolves when the code can come no further. */
  async #over(log: TrialLog, server: TrialServer) {
    const until = performance.now() + this.#withinMs
    while (performance.now() < until) {
      await sleep(LOOK_MS)
      if (this.#lacking !== undefined || server.asks !== undefined) return
      const quietMs = performance.now() - log.steppedAt
      if (log.beyond.length > 0 && log.missing.length === 0 && quietMs > BESIDE_MS) return
      if (log.unknown.length > 0 && quietMs > ELSEWHERE_MS) return
    }
  }
}

/** Of a tool that can't go on with a journal; its handler is not run. */
function lackOf({ registered }: TrialServer, request: JsonRpcRequest): ReplayProblem | undefined {
  const name = JSON.stringify(request.params?.['name'])
  if (registered.has(request) === false)
    return { kind: 'no-tool', message: `the code has no tool ${name}: the call would end as unknown` }
  const kind = registered.handlerOf(request)
  if (kind === 'durable' || kind === 'listed') return undefined
  return {
    kind: 'not-durable',
    message: `the tool ${name} is not made by durableTool() in this code: the call would end as unknown`,
  }
}
