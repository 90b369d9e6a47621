import { isSessionless, partingOf } from '@mcp-durable/core/inspect'
import type { CallEvent, StepName } from '@mcp-durable/core/inspect'
import type { NodeNames } from '../look/node-names.js'
import type { Style } from './line.js'
import type { Privacy } from './privacy.js'
import { span } from './text.js'

/** An event of a call in words. `text` holds no payload; that is shown or masked beside it. */
export type Told = { text: string; style: Style | undefined }

export function tell(
  event: CallEvent,
  { privacy, nodeName }: { privacy: Privacy; nodeName: NodeNames },
): Told {
  const step = (name: StepName) => stepName(name, privacy)
  const after = (ms: number | undefined) => (ms === undefined ? '' : ` after ${span(ms)}`)
  switch (event.kind) {
    case 'opened':
      if (event.of) {
        const { callId, action, by } = event.of
        return {
          text: `${titles(event.requests)} opened by ${by}, to ${action} ${privacy.id(callId)}`,
          style: 'name',
        }
      }
      return {
        text: `${titles(event.requests)} opened on ${nodeName(event.node)}${isSessionless(event.protocol) ? ', without a session' : ''}${codeOf(event)}`,
        style: 'name',
      }
    case 'taken-over': {
      const from = event.from === undefined ? '' : ` from ${nodeName(event.from)}`
      return {
        text: `taken over by ${nodeName(event.node)}${from}, run ${event.attempt}${codeOf(event)}`,
        style: 'mark',
      }
    }
    case 'returned':
      return { text: `${nodeName(event.node)} can't run it, and gives it back`, style: 'warn' }
    case 'diverged':
      return { text: `${nodeName(event.node)} parks it: ${partingOf(event.divergence)}`, style: 'bad' }
    case 'parked':
      return {
        text: `${nodeName(event.node)} lets go of it: ${waitOf(event)}`,
        style: 'dim',
      }
    case 'continued':
      return {
        text: `${nodeName(event.node)} goes on with it${codeOf(event)}`,
        style: 'mark',
      }
    case 'passed':
      return { text: `${event.by} gives it to the nodes, to ${event.action} it`, style: 'mark' }
    case 'task':
      return { text: 'goes on as a task: its client asks for it by name', style: 'mark' }
    case 'step-started':
      return { text: `step ${step(event.step)} begins, at most once`, style: undefined }
    case 'step-cleared':
      return { text: `step ${step(event.step)} failed, may begin again`, style: 'warn' }
    case 'step-done':
      return { text: `step ${step(event.step)} done${inMs(event.ms)}`, style: undefined }
    case 'step-failed':
      return { text: `step ${step(event.step)} failed${inMs(event.ms)}`, style: 'bad' }
    case 'step-intended':
      return { text: `step ${step(event.step)} is about to be done`, style: 'dim' }
    case 'deadline':
      return { text: `step ${step(event.step)} waits up to ${span(event.until - event.at)}`, style: 'dim' }
    case 'question':
      return {
        text: `asks ${event.title}, question ${questionName(event.question, privacy)}`,
        style: 'warn',
      }
    case 'withdrawn':
      return {
        text: `does not wait for question ${questionName(event.question, privacy)} any more`,
        style: 'warn',
      }
    case 'answer': {
      const what = event.refused ? 'an error' : 'the answer'
      return {
        text: `${what} to question ${questionName(event.question, privacy)}${after(event.ms)}`,
        style: 'good',
      }
    }
    case 'became':
      return {
        text: `${event.by} makes call ${privacy.id(event.callId)} of it, to ${event.action} it`,
        style: 'mark',
      }
    case 'wake-asked':
      return { text: `${event.by} wakes ${event.steps.map(step).join(', ')}`, style: 'mark' }
    case 'retry-asked':
      return { text: `${event.by} has it tried again`, style: 'mark' }
    case 'cancel-asked':
      return { text: event.by === undefined ? 'the client cancels' : `${event.by} cancels it`, style: 'warn' }
    case 'notification': {
      const progress = event.progress === undefined ? '' : ` ${event.progress}`
      return { text: `sends ${event.title}${progress}`, style: 'dim' }
    }
    case 'partial-response':
      return { text: `answers one request of the batch with ${outcomes[event.outcome]}`, style: undefined }
    case 'response':
      return {
        text: `ends with ${outcomes[event.outcome]}${after(event.ms)}`,
        style: outcomeStyle(event.outcome),
      }
    case 'sealed':
      return { text: event.sealed, style: 'dim' }
    case 'unreadable':
      return { text: 'something that can not be read', style: 'bad' }
    case 'cancelled':
      return { text: `ends cancelled${after(event.ms)}`, style: 'warn' }
  }
}

/** The event for JSON, with ids and payload as far as they may be shown. */
export function eventJson(event: CallEvent, privacy: Privacy): Record<string, unknown> {
  const { payload, ...rest } = event
  const ids: Record<string, unknown> = {}
  for (const name of ['node', 'from', 'question', 'callId'] as const) {
    const value = (rest as Record<string, unknown>)[name]
    if (typeof value !== 'string') continue
    ids[name] = name === 'question' ? questionName(value, privacy) : privacy.id(value)
  }
  const of = 'of' in rest && rest.of && { of: { ...rest.of, callId: privacy.id(rest.of.callId) } }
  const steps = 'steps' in rest && {
    steps: rest.steps.map((each) => ({ ...each, key: each.key && privacy.key(each.key) })),
  }
  const step = 'step' in rest && { step: { ...rest.step, key: rest.step.key && privacy.key(rest.step.key) } }
  return { ...rest, ...ids, ...of, ...step, ...steps, payload: privacy.payloadValue(payload) }
}

export function stepName({ name, key }: StepName, privacy: Privacy): string {
  return key === undefined ? name : `${name} (${privacy.key(key)})`
}

/** Until the first of the two is over; neither: a quota is full. */
function waitOf({ at, answerBy, wakeAt }: CallEvent & { kind: 'parked' }) {
  const asks = answerBy === undefined ? [] : [`it waits for its client, up to ${span(answerBy - at)}`]
  const sleeps = wakeAt === undefined ? [] : [`it is woken in ${span(Math.max(0, wakeAt - at))}`]
  return [...asks, ...sleeps].join(', and ') || 'it waits for its turn'
}

const codeOf = ({ version }: { version: string | undefined }) =>
  version === undefined ? '' : `, version ${version}`

const outcomes = {
  result: 'a result',
  'tool-error': 'a tool error',
  error: 'an error',
  unknown: 'an error: its outcome is unknown',
} as const
const outcomeStyle = (outcome: keyof typeof outcomes) => (outcome === 'result' ? 'good' : 'bad')

/** `<call>.<number or name>`: the call is known where it is shown. */
function questionName(id: string, privacy: Privacy): string {
  return privacy.id(id.slice(id.indexOf('.') + 1))
}

const titles = (requests: ReadonlyArray<{ title: string }>) => requests.map(({ title }) => title).join(', ')
const inMs = (ms: number | undefined) => (ms === undefined ? '' : ` in ${span(ms)}`)
