import type { Call, DispatchTarget } from '../call/call.js'
import { parseRecord } from '../call/record.js'
import type { RequestLog } from '../call/request-log.js'
import { keepNewest } from '../context/call-log.js'
import type { StepRecord } from '../context/call-log.js'
import type { ContextStore } from '../store/context-store.js'
import { recordingChanges } from '../context/map-record.js'
import type { ContextLimits } from '../context/limits.js'
import type { HandledCall, RunningCall } from '../context/run-context.js'
import { validateEffects } from '../context/validate.js'
import type { JsonRpcMessage } from '../json-rpc.js'
import { isNotification, isRequest } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { Signals } from '../signals/signals.js'

const NOTHING = { steps: new Map<string, StepRecord>(), sent: [] }

/** Half of what a replay may take: the other half is for what it comes to then. */
const DIVERGES_AFTER_MS = 5000

type Run = { log: RequestLog; store: ContextStore; limits: ContextLimits }

/** A run whose durable handler is replayed against its own journal once it has ended, to find effects it forgot to wrap. */
export function validated(
  run: Run,
  target: DispatchTarget,
  { logger, signals }: { logger: Logger; signals: Signals },
): RunningCall {
  const mapChanges = new Map<string, string>()
  const onHandled = (handled: HandledCall) => {
    const check = () => validate(run, target, handled, mapChanges, logger)
    const checked = signals.untraced?.(check) ?? check()
    checked.catch((error: unknown) => {
      logger.warn({ error, call: shortId(run.log.callId) }, 'the replay of a durable handler failed')
    })
  }
  return { ...run, store: recordingChanges(run.store, mapChanges), onHandled }
}

async function validate(
  { log, store }: Run,
  target: DispatchTarget,
  { ending, begun, rerun }: HandledCall,
  mapChanges: ReadonlyMap<string, string>,
  logger: Logger,
) {
  // A stopped handler has seen less than its journal holds, and a batch shares its journal.
  if (log.stop.aborted || target.requests.length > 1) return
  const { callId, scope, request, caller, attempt, clientCapabilities, logLevel } = log
  const recorded = target.isJournaled ? await recordedBy(await target.journaled()) : NOTHING
  if (!recorded) return
  const finished = {
    callId,
    scope,
    request,
    caller,
    attempt,
    clientCapabilities,
    logLevel,
    divergesAfterMs: DIVERGES_AFTER_MS,
    ...recorded,
    begun,
    ending,
    mapChanges,
  }
  for (const { what } of await validateEffects(finished, store, rerun)) {
    logger.warn(
      { method: request.method, name: request.params?.['name'], call: shortId(callId) },
      `not repeatable: ${what}`,
    )
  }
}

/** `undefined`: the handler asked the client something by the SDK itself, which a replay can't answer. */
export async function recordedBy(call: Call) {
  const steps = new Map<string, StepRecord>()
  const sent: Array<{ message: JsonRpcMessage; step: string | undefined }> = []
  for await (const page of call.readJournal())
    for (const { data } of page) {
      const record = parseRecord(data)
      if (record.kind === 'step') keepNewest(steps, record.step)
      const isSent = record.kind === 'message' || record.kind === 'question'
      if (isSent && isRequest(record.message) && !call.questions.isNamed(record.message.id)) return undefined
      // What is kept for whoever asks for the task depends on when the call has become one.
      const isKept = record.kind === 'message' && isKeptProgress(record.message, call.id)
      if (record.kind === 'message' && isNotification(record.message) && !isKept)
        sent.push({ message: record.message, step: record.step })
    }
  return { steps, sent }
}

const isKeptProgress = (message: JsonRpcMessage, callId: string) =>
  'method' in message &&
  message.method === 'notifications/progress' &&
  message.params?.['progressToken'] === callId
