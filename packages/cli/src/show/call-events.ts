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
      return { text: `${titles(event.requests)} opened on ${nodeName(event.node)}`, style: 'name' }
    case 'taken-over': {
      const from = event.from === undefined ? '' : ` from ${nodeName(event.from)}`
      return { text: `taken over by ${nodeName(event.node)}${from}, run ${event.attempt}`, style: 'mark' }
    }
    case 'returned':
      return { text: `${nodeName(event.node)} can't run it, and gives it back`, style: 'warn' }
    case 'step-started':
      return { text: `step ${step(event.step)} begins, at most once`, style: undefined }
    case 'step-cleared':
      return { text: `step ${step(event.step)} failed, may begin again`, style: 'warn' }
    case 'step-done':
      return { text: `step ${step(event.step)} done${inMs(event.ms)}`, style: undefined }
    case 'step-failed':
      return { text: `step ${step(event.step)} failed${inMs(event.ms)}`, style: 'bad' }
    case 'deadline':
      return { text: `${step(event.step)} may be answered for ${span(event.until - event.at)}`, style: 'dim' }
    case 'question':
      return {
        text: `asks ${event.title}, question ${questionName(event.question, privacy)}`,
        style: 'warn',
      }
    case 'answer': {
      const what = event.refused ? 'an error' : 'the answer'
      return {
        text: `${what} to question ${questionName(event.question, privacy)}${after(event.ms)}`,
        style: 'good',
      }
    }
    case 'cancel-asked':
      return { text: 'the client cancels', style: 'warn' }
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
    case 'cancelled':
      return { text: `ends cancelled${after(event.ms)}`, style: 'warn' }
  }
}

/** The event for JSON, with ids and payload as far as they may be shown. */
export function eventJson(event: CallEvent, privacy: Privacy): Record<string, unknown> {
  const { payload, ...rest } = event
  const ids: Record<string, unknown> = {}
  for (const name of ['node', 'from', 'question'] as const) {
    const value = (rest as Record<string, unknown>)[name]
    if (typeof value !== 'string') continue
    ids[name] = name === 'question' ? questionName(value, privacy) : privacy.id(value)
  }
  const step = 'step' in rest && { step: { ...rest.step, key: rest.step.key && privacy.key(rest.step.key) } }
  return { ...rest, ...ids, ...step, payload: privacy.payloadValue(payload) }
}

export function stepName({ name, key }: StepName, privacy: Privacy): string {
  return key === undefined ? name : `${name} (${privacy.key(key)})`
}

const outcomes = { result: 'a result', 'tool-error': 'a tool error', error: 'an error' } as const
const outcomeStyle = (outcome: keyof typeof outcomes) => (outcome === 'result' ? 'good' : 'bad')

/** `<call>.<number or name>`: the call is known where it is shown. */
function questionName(id: string, privacy: Privacy): string {
  return privacy.id(id.slice(id.indexOf('.') + 1))
}

const titles = (requests: ReadonlyArray<{ title: string }>) => requests.map(({ title }) => title).join(', ')
const inMs = (ms: number | undefined) => (ms === undefined ? '' : ` in ${span(ms)}`)
