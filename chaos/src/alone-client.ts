import { randomUUID } from 'node:crypto'
import { followCall, takeOutcome } from './followed-call.js'
import type { RawMessage } from './followed-call.js'
import type { Args, ObservedCall, ObservedTask } from './observed-call.js'
import type { RawOptions } from './raw-client.js'

const VERSION = '2026-07-28'
const ACCEPT = 'application/json, text/event-stream'
const META = 'io.modelcontextprotocol/'

/** What a request without a session says of itself. */
export const envelope = (more: Record<string, unknown> = {}) => ({
  [`${META}protocolVersion`]: VERSION,
  [`${META}clientCapabilities`]: { elicitation: {} },
  [`${META}clientInfo`]: { name: 'alone', version: '1' },
  ...more,
})

/** What one says besides that may be answered with a task, or is about one. */
export const TAKES_TASKS = {
  [`${META}clientCapabilities`]: { elicitation: {}, extensions: { [`${META}tasks`]: {} } },
}

const taskOf = ({
  taskId = '',
  createdAt = '',
  ttlMs = 0,
}: NonNullable<RawMessage['result']>): ObservedTask => ({
  taskId,
  createdAt: Date.parse(createdAt),
  ttlMs,
  endedAt: undefined,
  wrong: [],
  cancelledAt: undefined,
})

/** What a request without a session has to say in its headers. */
export const headersFor = (method: string, name?: string): Record<string, string> => ({
  'content-type': 'application/json',
  accept: ACCEPT,
  'mcp-protocol-version': VERSION,
  'mcp-method': method,
  ...(name !== undefined && { 'mcp-name': name }),
})

export const resumeHeaders = (cursor: string) => ({
  accept: ACCEPT,
  'mcp-protocol-version': VERSION,
  'last-event-id': cursor,
})

type ToolCall = {
  jsonrpc: '2.0'
  id: number
  method: 'tools/call'
  params: { name: string; arguments: Args; _meta: Record<string, unknown> }
}

type Answers = {
  inputResponses: Record<string, { action: 'accept'; content: { answer: string } }>
  requestState: string | undefined
}

/** Somebody has changed their mind. */
const changed = ({ inputResponses, requestState }: Answers): Answers => ({
  inputResponses: Object.fromEntries(
    Object.entries(inputResponses).map(([name, { action }]) => [
      name,
      { action, content: { answer: randomUUID() } },
    ]),
  ),
  requestState,
})

/** Requests without a session, spoken by hand: each goes where and is resumed from where the client likes. It may be given tasks. */
export class AloneClient {
  readonly #options: RawOptions & { takesTasks?: boolean }
  #nextId = 1

  constructor(options: RawOptions & { takesTasks?: boolean }) {
    this.#options = options
  }

  /** Calls the tool, and sends the request again with what it is asked for, until the response is there or `gone` fires. */
  async call(
    call: ObservedCall,
    { idempotencyKey = randomUUID(), gone }: { idempotencyKey?: string; gone?: AbortSignal } = {},
  ): Promise<void> {
    // Whoever sends the first request again means the same call. The one with answers names it by its state.
    let key: Record<string, string> = { 'idempotency-key': idempotencyKey }
    let request = this.#requestFor(call, {})
    let answers: Answers | undefined
    const speech = {
      send: (cursor: string | undefined, signal: AbortSignal) => {
        if (cursor !== undefined) return this.#resume(cursor, signal)
        const sent = this.#post(request, signal, key)
        // If it is sent once more, then because an event has come: its answers count, and no others.
        if (answers) request = this.#requestFor(call, changed(answers))
        return sent
      },
      take: async (message: RawMessage) => {
        const { result } = message
        if (result?.resultType === 'task') call.task ??= taskOf(result)
        else if (result?.resultType !== 'input_required') takeOutcome(call, message)
        if (result?.resultType !== 'input_required') return false
        answers = await this.#answered(call, result)
        request = this.#requestFor(call, answers)
        key = {}
        return true
      },
    }
    await followCall(call, speech, { drops: this.#options.drops, gone })
  }

  async #answered(
    call: ObservedCall,
    { inputRequests = {}, requestState }: NonNullable<RawMessage['result']>,
  ): Promise<Answers> {
    const inputResponses: Answers['inputResponses'] = {}
    for (const [name, { params }] of Object.entries(inputRequests)) {
      const question = params?.message ?? ''
      call.asked.push(question)
      const answer = await this.#options.answer(question)
      call.answers.set(question, answer)
      inputResponses[name] = { action: 'accept', content: { answer } }
    }
    return { inputResponses, requestState }
  }

  #requestFor(call: ObservedCall, answers: Answers | object): ToolCall {
    const id = this.#nextId++
    const progressToken = `progress of ${call.id}, ${id}`
    const _meta = envelope({ ...(this.#options.takesTasks && TAKES_TASKS), progressToken })
    const params = { name: call.tool, arguments: call.args, ...answers, _meta }
    return { jsonrpc: '2.0', id, method: 'tools/call', params }
  }

  #post(request: ToolCall, signal: AbortSignal, key: Record<string, string>) {
    const headers = { ...headersFor(request.method, request.params.name), ...key }
    const body = JSON.stringify(request)
    return this.#options.fetch(this.#options.url, { method: 'POST', headers, body, signal })
  }

  #resume(cursor: string, signal: AbortSignal) {
    return this.#options.fetch(this.#options.url, { headers: resumeHeaders(cursor), signal })
  }
}
