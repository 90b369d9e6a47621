import { setTimeout as sleep } from 'node:timers/promises'
import { sessionlessHeaders, sessionlessMeta } from '../protocol-2026.js'
import { eventsOf } from './events.js'

/** How a client speaks to a server: in a session, without one (2026-07-28), or so that calls become tasks. */
export type Way = 'session' | 'sessionless' | 'task'

/** What has come of a call: its result, or why there is none; when that was known, in ms of `performance`; and each report of its progress. */
export type Heard = { text?: string; lost?: string; at: number; reports: Set<number> }

type Result = {
  resultType?: string
  taskId?: string
  status?: string
  isError?: boolean
  content?: { text?: string }[]
  result?: Result
}
type Message = {
  id?: number
  method?: string
  params?: { progress?: number }
  result?: Result
  error?: { message: string }
}

const PROTOCOL = '2025-11-25'
const CLIENT_INFO = { name: 'comparison', version: '1.0.0' }
/** Between two tries to go on with a stream, or two looks at a task. */
const AGAIN_MS = 500
/** For a call that takes no time. */
const SMALL_CALL_MS = 5000
const ENDS = new Set(['completed', 'failed', 'cancelled'])
/** Statuses of a resumption that will be the same next time. */
const FINAL = new Map([
  [204, 'there is nothing to go on with (204)'],
  [400, 'its stream is unknown (400)'],
  [404, 'its session is gone (404)'],
  [405, 'streams can’t be resumed (405)'],
  [410, 'its events are gone (410)'],
])

/**
 * A patient client that does whatever the protocol lets it do to get the answer of a call: it goes on with a broken stream from the last
 * event that it has, every half second, and asks for its task as often. What it does is the same for every server.
 */
export class Caller {
  /** Where the next request goes. */
  url: URL
  readonly #way: Way
  readonly #patienceMs: number
  #headers: Record<string, string> = {}
  #nextId = 1

  private constructor(url: URL, way: Way, patienceMs: number) {
    this.url = url
    this.#way = way
    this.#patienceMs = patienceMs
  }

  /** `patienceMs`: how long it tries to get an answer. */
  static async connect(url: URL, way: Way, patienceMs: number): Promise<Caller> {
    const caller = new Caller(url, way, patienceMs)
    if (way === 'session') await caller.#initialize()
    return caller
  }

  /** `cutAfter`: breaks the connection when it has heard as many reports, and stays away for a second. */
  async call(
    tool: string,
    args: object,
    { cutAfter = Infinity, patienceMs = this.#patienceMs } = {},
  ): Promise<Heard> {
    const call = new Call(this.#nextId++, cutAfter)
    const until = Date.now() + patienceMs
    await this.#begin(call, tool, args, until)
    while (!call.isOver) {
      if (Date.now() > until) call.lost ??= `no answer within ${Math.round(patienceMs / 1000)} s`
      else if (call.taskId !== undefined) await this.#look(call, call.taskId)
      else await this.#resume(call, until)
    }
    const { text, lost, reports } = call
    return {
      reports,
      at: performance.now(),
      ...(text !== undefined && { text }),
      ...(lost !== undefined && { lost }),
    }
  }

  /** Whether a small call is answered. */
  async isServed(): Promise<boolean> {
    const { text } = await this.call('add', { a: 1, b: 2 }, { patienceMs: SMALL_CALL_MS })
    return text === '3'
  }

  async #initialize() {
    const params = { protocolVersion: PROTOCOL, capabilities: {}, clientInfo: CLIENT_INFO }
    const response = await this.#post({ id: this.#nextId++, method: 'initialize', params })
    const body = await response.text()
    const sessionId = response.headers.get('mcp-session-id')
    if (!response.ok || sessionId === null) throw new Error(`initialize: ${response.status} ${body}`)
    const [, version = PROTOCOL] = /"protocolVersion": *"([\d-]+)"/.exec(body) ?? []
    this.#headers = { 'mcp-session-id': sessionId, 'mcp-protocol-version': version }
    await (await this.#post({ method: 'notifications/initialized' })).text()
    // Some answer before they have taken it in, and refuse calls until then.
    await sleep(AGAIN_MS)
  }

  async #begin(call: Call, tool: string, args: object, until: number) {
    const sessionless = this.#way !== 'session'
    const meta = sessionless ? sessionlessMeta({ tasks: this.#way === 'task' }) : {}
    const params = { name: tool, arguments: args, _meta: { ...meta, progressToken: call.id } }
    const headers = sessionless ? sessionlessHeaders(tool) : {}
    const timer = setTimeout(() => call.cut.abort(), until - Date.now())
    try {
      const message = { id: call.id, method: 'tools/call', params }
      const response = await this.#post(message, headers, call.cut.signal)
      if (response.ok) await call.read(response)
      else call.lost = `refused: ${response.status} ${await response.text()}`.slice(0, 200)
    } catch {
      // Its stream is broken.
    } finally {
      clearTimeout(timer)
    }
    if (call.isOver || call.taskId !== undefined) return
    if (sessionless) call.lost = 'its stream broke'
    else if (call.cursor === undefined) call.lost = 'its stream broke before the first event'
  }

  /** Goes on with a stream that has ended before the answer. */
  async #resume(call: Call, until: number) {
    await sleep(call.cut.signal.aborted ? 2 * AGAIN_MS : AGAIN_MS)
    const headers = { ...this.#headers, accept: 'text/event-stream', 'last-event-id': call.cursor ?? '' }
    try {
      const response = await fetch(this.url, { headers, signal: within(until) })
      const final = FINAL.get(response.status)
      if (final !== undefined) call.lost = final
      else if (response.ok) await call.read(response)
      else await response.text()
    } catch {
      // Nobody listens there now, or it broke once more.
    }
  }

  async #look(call: Call, taskId: string) {
    await sleep(AGAIN_MS)
    const headers = { ...sessionlessHeaders(taskId), 'mcp-method': 'tasks/get' }
    const params = { taskId, _meta: sessionlessMeta({ tasks: true }) }
    try {
      const response = await this.#post({ id: this.#nextId++, method: 'tasks/get', params }, headers)
      const body = await response.text()
      const json = body.startsWith('{') ? body : body.slice(body.indexOf('data:') + 'data:'.length)
      const { result, error } = JSON.parse(json.trim()) as Message
      if (error) call.lost = error.message
      if (ENDS.has(result?.status ?? '')) call.end(result?.result)
    } catch {
      // Nobody listens there now.
    }
  }

  #post(
    message: object,
    headers: Record<string, string> = {},
    signal: AbortSignal = AbortSignal.timeout(SMALL_CALL_MS),
  ) {
    return fetch(this.url, {
      method: 'POST',
      headers: {
        ...this.#headers,
        ...headers,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
      signal,
    })
  }
}

const within = (until: number) => AbortSignal.timeout(Math.max(1, until - Date.now()))

/** What a client knows of a call that it has made. */
class Call {
  readonly id: number
  readonly cut = new AbortController()
  readonly reports = new Set<number>()
  readonly #cutAfter: number
  cursor: string | undefined
  taskId: string | undefined
  text: string | undefined
  lost: string | undefined

  constructor(id: number, cutAfter: number) {
    this.id = id
    this.#cutAfter = cutAfter
  }

  get isOver() {
    return this.text !== undefined || this.lost !== undefined
  }

  /** Reads what there is of an answer. Throws if it breaks. */
  async read(response: Response) {
    if (!response.headers.get('content-type')?.startsWith('text/event-stream'))
      return this.#take((await response.json()) as Message)
    if (!response.body) return
    for await (const { id, data } of eventsOf(response.body)) {
      if (id !== undefined) this.cursor = id
      if (data !== '') this.#take(JSON.parse(data) as Message)
      if (this.isOver || this.taskId !== undefined) return
      if (this.reports.size >= this.#cutAfter) this.cut.abort()
    }
  }

  end(result: Result | undefined) {
    const text = result?.content?.[0]?.text ?? ''
    if (!result || result.isError === true) this.lost = `an error: ${text}`
    else this.text = text
  }

  #take({ id, method, params, result, error }: Message) {
    if (method === 'notifications/progress' && params?.progress !== undefined)
      this.reports.add(params.progress)
    if (id !== this.id) return
    if (error) this.lost = `an error: ${error.message}`
    else if (result?.resultType === 'task') this.taskId = result.taskId
    else if (result) this.end(result)
  }
}
