import { RawStream } from './raw.js'

const VERSION = '2026-07-28'
const CLAIM = 'io.modelcontextprotocol/'

export type Task = {
  resultType: string
  taskId: string
  status: string
  statusMessage?: string
  createdAt: string
  ttlMs: number
  inputRequests?: Record<string, { method: string; params: { message: string } }>
  result?: { content: { text: string }[]; isError?: boolean }
}
type Answer = { result?: Task; error?: { code: number; message: string } }
type Where = { user?: string; key?: string; signal?: AbortSignal }

/** A client that takes tasks, made of bare requests: each goes to the node that it is told to. */
export class TaskClient {
  #lastId = 0

  /** Calls a tool; the stream of the answer. */
  async call({ url }: { url: string }, name: string, args: object, where: Where = {}): Promise<RawStream> {
    const response = await this.#send(url, 'tools/call', name, { name, arguments: args }, where)
    return new RawStream(response, new AbortController())
  }

  /** Calls a tool, and waits for what its client is told. */
  async create(node: { url: string }, name: string, args: object, where: Where = {}): Promise<Task> {
    const stream = await this.call(node, name, args, where)
    await stream.ended
    return (stream.messages.at(-1)?.result ?? {}) as Task
  }

  async about(
    { url }: { url: string },
    method: string,
    taskId: string,
    more: object = {},
    where: Where = {},
  ) {
    const response = await this.#send(url, `tasks/${method}`, taskId, { taskId, ...more }, where)
    return (await response.json()) as Answer
  }

  async get(node: { url: string }, { taskId }: Pick<Task, 'taskId'>, where: Where = {}): Promise<Task> {
    const { result, error } = await this.about(node, 'get', taskId, {}, where)
    if (!result) throw new Error(`tasks/get was refused: ${JSON.stringify(error)}`)
    return result
  }

  answer(node: { url: string }, { taskId }: Task, key: string, answer: string, where: Where = {}) {
    const inputResponses = { [key]: { action: 'accept', content: { answer } } }
    return this.about(node, 'update', taskId, { inputResponses }, where)
  }

  #send(
    url: string,
    method: string,
    name: string,
    params: object,
    { user = 'ann', key, signal }: Where,
  ): Promise<Response> {
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': VERSION,
      'mcp-method': method,
      'mcp-name': name,
      'x-user': user,
      ...(key !== undefined && { 'idempotency-key': key }),
    }
    const extensions = { [`${CLAIM}tasks`]: {} }
    const _meta = {
      [`${CLAIM}protocolVersion`]: VERSION,
      [`${CLAIM}clientCapabilities`]: { elicitation: {}, extensions },
      [`${CLAIM}clientInfo`]: { name: 'task-client', version: '1' },
      progressToken: 'progress',
    }
    const body = JSON.stringify({ jsonrpc: '2.0', id: ++this.#lastId, method, params: { ...params, _meta } })
    return fetch(`${url}/mcp`, { method: 'POST', headers, body, ...(signal && { signal }) })
  }
}
