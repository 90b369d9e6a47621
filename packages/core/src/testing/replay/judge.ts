import { canonical } from '../../context/differences.js'
import { DivergenceError, StepError } from '../../context/errors.js'
import type { Ending } from '../../context/replay-log.js'
import type { JsonRpcResponse } from '../../json-rpc.js'
import { isOutcomeUnknown } from '../../session/recovery.js'
import type { TrialLog } from './trial-log.js'

/** A step of a call, as it is known to people; `key` may hold the user's data. */
export type ReplayedStep = { name: string; key: string | undefined }

/** How a call ends. */
export type ReplayEnd = 'result' | 'tool-error' | 'error'

/**
 * - `new-step`: the code comes to a step that the journal does not have, where the journal goes on with another one.
 * - `missing-step`: it ends, or waits, without having come to a step of the journal.
 * - `changed-step`: a recorded step is of another kind, or its value does not fit any more.
 * - `other-end`: the journal ends otherwise.
 * - `refused`: the code does not take the recorded arguments.
 * - `no-tool`, `not-durable`: the code has no such tool, or a plain one, whose handler was not run.
 */
export type Misfit =
  'new-step' | 'missing-step' | 'changed-step' | 'other-end' | 'refused' | 'no-tool' | 'not-durable'

/**
 * `no-steps`: the call is not one of a durable tool, so there is nothing to try. `message` names steps, without their keys; `detail` may
 * hold the users' data.
 */
export type ReplayProblem = { kind: Misfit | 'untried' | 'no-steps'; message: string; detail?: string }

/** How far the trial has come. `response`: what the server has answered; `ending`: how the durable handler has ended, if it was run. */
export type Came = {
  log: TrialLog
  response: JsonRpcResponse | undefined
  ending: Ending | undefined
  recorded: JsonRpcResponse | undefined
  withinMs: number
}

export function endOf(response: JsonRpcResponse): ReplayEnd {
  if ('error' in response) return 'error'
  return response.result['isError'] === true ? 'tool-error' : 'result'
}

/** Whether two results say the same; the form that each version of the protocol gives them is left out. */
export function isSameResult(one: JsonRpcResponse, other: JsonRpcResponse): boolean {
  return canonical(contentOf(one)) === canonical(contentOf(other))
}

function contentOf(response: JsonRpcResponse) {
  if ('error' in response) return response.error
  const { content, structuredContent, isError } = response.result
  return { content, structuredContent, isError }
}

/** `undefined`: it fits, as far as the journal goes. */
export function judge(came: Came): ReplayProblem | undefined {
  const { log, response, ending, recorded, withinMs } = came
  if (response && !ending)
    return {
      kind: 'refused',
      message: 'the code refuses the recorded request, and does not run its handler',
      detail: textOf(response),
    }
  const thrown = log.parting ?? (ending && 'error' in ending ? ending.error : undefined)
  const changed = changeIn(thrown, log)
  if (changed) return changed
  const [missing] = log.missing
  const [unknown] = log.unknown
  if (missing !== undefined && unknown !== undefined)
    return {
      kind: 'new-step',
      message: `the journal goes on with the step ${named(missing)}, and the code with ${named(unknown)}, which the journal does not have`,
    }
  if (missing !== undefined && response)
    return {
      kind: 'missing-step',
      message: `the code ends without the step ${named(missing)}, which the journal has`,
      ...detailOf(ending),
    }
  const [waits] = log.beyond
  if (missing !== undefined && waits !== undefined)
    return {
      kind: 'missing-step',
      message: `the code waits for the step ${named(waits)}, and does not come to ${named(missing)}, which the journal has`,
    }
  if (!response && waits === undefined) {
    const last = log.reached.at(-1)
    const where = last === undefined ? 'Before its first step' : `Behind the step ${named(last)}`
    return {
      kind: 'untried',
      message: `${where} the code waits for more than ${withinMs} ms for something that is no step`,
    }
  }
  if (!response || !recorded || isOutcomeUnknown(recorded)) return undefined
  const [now, then] = [endOf(response), endOf(recorded)]
  if (now === then) return undefined
  return {
    kind: 'other-end',
    message: `the journal ends with ${ENDS[then]}, and the code with ${ENDS[now]}`,
    ...detailOf(ending),
  }
}

const ENDS: Record<ReplayEnd, string> = {
  result: 'a result',
  'tool-error': 'an error of the tool',
  error: 'an error',
}

export const stepOf = (id: string): ReplayedStep => {
  const [name = '', ...key] = id.split('\n')
  return { name, key: key.length === 0 ? undefined : key.join('\n') }
}

const named = (id: string) => JSON.stringify(stepOf(id).name)

/** What a handler throws whose steps are not those of the journal. */
function changeIn(error: unknown, { reached, beyond }: TrialLog): ReplayProblem | undefined {
  if (error instanceof DivergenceError) {
    const message = `the code has another kind of step under the name ${JSON.stringify(error.data.step)}`
    return { kind: 'changed-step', message, detail: error.message }
  }
  if (!(error instanceof StepError)) return undefined
  const told = CHANGES[error.code]
  if (!told) return undefined
  // The error names the step with its key.
  const id = [...reached, ...beyond].findLast((each) => titleOf(each) === error.step)
  const step = id === undefined ? 'a step' : named(id)
  return { kind: 'changed-step', message: told(step), detail: error.message }
}

/** By the codes of errors. */
const CHANGES: Record<string, (step: string) => string> = {
  'step-value': (step) => `what is recorded of ${step} does not fit the code`,
  'duplicate-step': (step) => `the code comes to ${step} twice`,
  'nested-step': (step) => `the code begins ${step} inside of another step`,
}

function titleOf(id: string) {
  const { name, key } = stepOf(id)
  return key === undefined ? name : `${name} (${key})`
}

function detailOf(ending: Ending | undefined): { detail?: string } {
  return ending && 'error' in ending ? { detail: String(ending.error) } : {}
}

function textOf(response: JsonRpcResponse): string {
  if ('error' in response) return response.error.message
  const content = response.result['content']
  const [first] = Array.isArray(content) ? (content as Array<{ text?: unknown }>) : []
  return typeof first?.text === 'string' ? first.text : JSON.stringify(response.result)
}
