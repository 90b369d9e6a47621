import { isRequest } from '../../json-rpc.js'
import { parseRecord } from '../../call/record.js'
import type { StepRecord } from '../../context/call-log.js'
import type { Store } from '../../store/store.js'

/** A write of a call, by what it says. `key`: the same in every call of the tool that comes to it. `question`: the id of what is asked. */
export type Write = { key: string; before: string; after: string; question?: string }
/** Where a process dies: before a write has reached the store, or after it has and before the call hears of that. */
export type CrashPoint = { write: Write; when: 'before' | 'after' }

/** The step that has asked a question, by the id of that. */
export type QuestionOf = (question: string) => string | undefined

export const labelOf = ({ write, when }: CrashPoint) => write[when]

/**
 * What an operation of a store writes of a call, of entries one for each; `undefined`, or `[]`: nothing, or nothing that a crash
 * could tell apart.
 */
export function writesOf(
  operation: keyof Store,
  args: readonly unknown[],
  questionOf: QuestionOf,
): Array<Write | undefined> {
  switch (operation) {
    case 'appendCall':
    case 'appendQuietly':
      return (args[2] as Array<{ data: string }>).map(({ data }) => writeOf(data, questionOf))
    case 'changeMap':
      return [aboutChange(`the map ${quote(args[0] as string)}`)]
    case 'writeValue':
      return [aboutChange(`the state ${quote(args[1] as string)}`)]
    case 'beginScope':
      return [aboutChange('a new handle')]
    default:
      return []
  }
}

function writeOf(data: string, questionOf: QuestionOf): Write | undefined {
  const record = parseRecord(data)
  switch (record.kind) {
    case 'step':
      return aboutStep(record.step)
    case 'message': {
      const { message } = record
      if (isRequest(message)) return aboutQuestion(String(message.id), questionOf(String(message.id)) ?? '')
      return aboutMessage('method' in message ? message.method : 'a message')
    }
    case 'response':
      return {
        key: 'response',
        before: 'when the tool had returned, before its result was recorded',
        after: 'after the result was recorded',
      }
    default:
      return undefined
  }
}

function aboutStep({ id, phase, kind }: StepRecord): Write {
  const key = `${phase} ${id}`
  const name = `the step ${titleOf(id)}`
  const [, accessory] = /^\n(deadline|intent)\n/.exec(id) ?? []
  if (accessory) return { key, before: `before ${name} began to wait`, after: `while ${name} waited` }
  if (phase === 'started')
    return { key, before: `before ${name} began`, after: `when ${name} had begun, before its body ran` }
  if (phase === 'cleared')
    return { key, before: `after a failed attempt of ${name}`, after: `before ${name} is tried again` }
  const what = kind === 'body' ? `when the body of ${name} had run` : `when ${name} had ended`
  return { key, before: `${what}, before that was recorded`, after: `after the end of ${name} was recorded` }
}

const aboutQuestion = (question: string, id: string): Write => ({
  key: `question ${id}`,
  question,
  before: `before the question ${titleOf(id)} was asked`,
  after: `while the question ${titleOf(id)} was open`,
})

const aboutMessage = (method: string): Write => ({
  key: `message ${method}`,
  before: `before ${method} was sent`,
  after: `after ${method} was sent`,
})

const aboutChange = (what: string): Write => ({
  key: `change ${what}`,
  before: `before ${what} was changed`,
  after: `after ${what} was changed, before the call heard of it`,
})

const quote = (text: string) => JSON.stringify(text)

/** A step's name, with its key. */
export function titleOf(id: string) {
  const [name = '', ...key] = id.replace(/^\n\w+\n/, '').split('\n')
  return quote(key.length > 0 ? `${name} (${key.join('\n')})` : name)
}

/** All of a list, such that what comes first is spread over the whole of it. */
export function spread<T>(list: readonly T[]): T[] {
  if (list.length < 3) return [...list]
  const bits = Math.ceil(Math.log2(list.length))
  const order = Array.from({ length: 2 ** bits }, (_, n) => reversed(n, bits))
  return order.flatMap((place) => (place < list.length ? [list[place]!] : []))
}

function reversed(number: number, bits: number) {
  let result = 0
  for (let bit = 0; bit < bits; bit++) if (number & (1 << bit)) result |= 1 << (bits - 1 - bit)
  return result
}
