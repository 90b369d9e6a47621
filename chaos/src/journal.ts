import { BEGINNING } from '@mcp-durable/core/store'
import type { Store } from '@mcp-durable/core'
import type { Entry, LogName } from '@mcp-durable/core/store'
import { epochOf } from './event-ids.js'

export type Message = {
  id?: string | number
  method?: string
  params?: {
    progress?: number
    message?: string
    arguments?: { id?: string }
    _meta?: { progressToken?: unknown }
    [key: string]: unknown
  }
  result?: { content?: { text?: string }[]; isError?: boolean }
  error?: unknown
}
export type StepBody = { id: string; phase: string; value?: string; error?: string }
/** `step`: in which step it was sent; of a question, the name it has. */
export type JournalRecord = { id: string; kind: string; step: string | undefined; json: string }
/** What the client was asked: by which name it answers, and where that stands in the journal. */
export type Question = { key: string; entry: string; message: Message }

const PAGE = 256

type Request = { messages: Message[]; protocol: string; task?: { afterMs: number; ttlMs: number } }

/** One call as the store has it. */
export class Journal {
  readonly records: readonly JournalRecord[]

  constructor(
    readonly scope: string,
    readonly callId: string,
    entries: readonly Entry[],
  ) {
    this.records = entries.map(({ id, data }) => {
      const space = data.indexOf(' ')
      const [kind = '', step] = data.slice(0, space).split('@')
      return { id, kind, step, json: data.slice(space + 1) }
    })
  }

  static async read(store: Store, scope: string, callId: string): Promise<Journal> {
    const log: LogName = `call:${callId}`
    const entries: Entry[] = []
    for (;;) {
      const page = (await store.read(scope, log, entries.at(-1)?.id ?? BEGINNING, PAGE)) ?? []
      entries.push(...page)
      if (page.length < PAGE) return new Journal(scope, callId, entries)
    }
  }

  get request(): Request | undefined {
    const [first] = this.records
    return first?.kind === 'request' ? (JSON.parse(first.json) as Request) : undefined
  }

  /** Its client is given a name for it. */
  get isTask(): boolean {
    return this.request?.task?.afterMs === 0 || this.records.some(({ kind }) => kind === 'task')
  }

  /** The `id` among the arguments of the call. */
  get id(): string | undefined {
    return this.request?.messages[0]?.params?.arguments?.id
  }

  /** In the protocol without sessions. */
  get isAlone(): boolean {
    return (this.request?.protocol ?? '') >= '2026-07-28'
  }

  /** Opened without its node's knowledge, and closed by it: nothing was run, and no client ever heard of it. */
  get wasTakenBack() {
    return this.records.map(({ kind }) => kind).join() === 'request,cancelled'
  }

  get terminals() {
    return this.records.filter(({ kind }) => kind === 'response' || kind === 'cancelled')
  }

  /** Each owner's node and its first record's epoch, in turn. */
  get owners(): { node: string; epoch: number }[] {
    return this.records.flatMap(({ id, kind, json }) =>
      kind === 'request' || kind === 'claim'
        ? [{ node: (JSON.parse(json) as { node: string }).node, epoch: epochOf(id) }]
        : [],
    )
  }

  get messages(): Message[] {
    return this.records
      .filter(({ kind }) => kind === 'message')
      .map(({ json }) => JSON.parse(json) as Message)
  }

  get questions(): Question[] {
    return this.records.flatMap(({ id, kind, step, json }) => {
      if (kind !== 'message' && kind !== 'question') return []
      const message = JSON.parse(json) as Message
      if (message.method !== 'elicitation/create') return []
      return [{ key: step === undefined ? String(message.id) : decodeURIComponent(step), entry: id, message }]
    })
  }

  get steps(): (StepBody & { epoch: number })[] {
    return this.records
      .filter(({ kind }) => kind === 'step')
      .map(({ id, json }) => ({ ...(JSON.parse(json) as StepBody), epoch: epochOf(id) }))
  }

  get response(): Message | undefined {
    const last = this.records.findLast(({ kind }) => kind === 'response')
    return last && (JSON.parse(last.json) as Message)
  }

  /** What a client gets to see, in order. Without a session it hears that its call was cancelled, too. */
  get events(): { id: string; data: string }[] {
    const shown = this.isAlone ? ['message', 'response', 'cancelled'] : ['message', 'response']
    return this.records
      .filter(({ kind }) => shown.includes(kind))
      .map(({ id, kind, json }) => ({
        id: `${this.callId}.${id}${kind === 'message' ? '' : '.end'}`,
        data: kind === 'cancelled' ? this.#cancelled(JSON.parse(json) as string) : json,
      }))
  }

  #cancelled(reason: string) {
    const error = { code: -32603, message: `The call was cancelled: ${reason}` }
    return JSON.stringify({ jsonrpc: '2.0', id: this.request?.messages[0]?.id, error })
  }

  print(): string {
    const lines = this.records.map(({ id, kind, json }) => `    ${id} ${kind} ${json.slice(0, 300)}`)
    return [`  journal ${this.callId}`, ...lines].join('\n')
  }
}

/** Values are recorded flattened, members as indices; the plain ones are all there is here. */
export function decodeFlat(text: string): unknown {
  const flat = JSON.parse(text) as unknown[]
  const at = (index: number): unknown => {
    if (index < 0) return undefined
    const value = flat[index]
    if (value === null || typeof value !== 'object') return value
    if (Array.isArray(value)) return value.map((member: number) => at(member))
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, at(member as number)]))
  }
  return at(0)
}
