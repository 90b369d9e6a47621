import { BEGINNING } from '@mcp-durable/core/store'
import type { Store } from '@mcp-durable/core'
import type { Entry, LogName } from '@mcp-durable/core/store'

export type Message = {
  id?: string | number
  method?: string
  params?: { progress?: number; message?: string; [key: string]: unknown }
  result?: { content?: { text?: string }[]; isError?: boolean }
  error?: unknown
}
export type StepBody = { id: string; phase: string; value?: string; error?: string }
export type JournalRecord = { id: string; kind: string; json: string }

const PAGE = 256

/** One call as the store has it. */
export class Journal {
  readonly records: readonly JournalRecord[]

  constructor(
    readonly callId: string,
    entries: readonly Entry[],
  ) {
    this.records = entries.map(({ id, data }) => {
      const space = data.indexOf(' ')
      return { id, kind: data.slice(0, space).split('@')[0] ?? '', json: data.slice(space + 1) }
    })
  }

  static async read(store: Store, scope: string, callId: string): Promise<Journal> {
    const log: LogName = `call:${callId}`
    const entries: Entry[] = []
    for (;;) {
      const page = (await store.read(scope, log, entries.at(-1)?.id ?? BEGINNING, PAGE)) ?? []
      entries.push(...page)
      if (page.length < PAGE) return new Journal(callId, entries)
    }
  }

  /** The `id` among the arguments of the call. */
  get id(): string | undefined {
    const [first] = this.records
    if (first?.kind !== 'request') return undefined
    type Request = { messages: { params?: { arguments?: { id?: string } } }[] }
    return (JSON.parse(first.json) as Request).messages[0]?.params?.arguments?.id
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

  get steps(): (StepBody & { epoch: number })[] {
    return this.records
      .filter(({ kind }) => kind === 'step')
      .map(({ id, json }) => ({ ...(JSON.parse(json) as StepBody), epoch: epochOf(id) }))
  }

  get response(): Message | undefined {
    const last = this.records.findLast(({ kind }) => kind === 'response')
    return last && (JSON.parse(last.json) as Message)
  }

  /** What a client gets to see, in order. */
  get events(): { id: string; data: string }[] {
    return this.records
      .filter(({ kind }) => kind === 'message' || kind === 'response')
      .map(({ id, kind, json }) => ({
        id: `${this.callId}.${id}${kind === 'response' ? '.end' : ''}`,
        data: json,
      }))
  }

  print(): string {
    const lines = this.records.map(({ id, kind, json }) => `    ${id} ${kind} ${json.slice(0, 300)}`)
    return [`  journal ${this.callId}`, ...lines].join('\n')
  }
}

export const epochOf = (id: string) => Number(id.slice(0, id.indexOf('-')))

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
