import { withBody } from '../attempt.js'
import type { FetchLike, RetrySettings } from '../retry-options.js'
import { parseResponse } from './ask-server.js'
import { FollowedTask } from './followed-task.js'
import type { Step } from './followed-task.js'
import { LeftStreams } from './left-streams.js'
import { answeredTask } from './request-state.js'
import { throughTask } from './server-stream.js'
import { callOf, declaringTasks, requestIn } from './task-call.js'
import type { TaskCall } from './task-call.js'
import { streamOfTask } from './task-stream.js'
import type { Leave } from './task-stream.js'

type Left = { call: TaskCall; task: FollowedTask | undefined }

/**
 * Lets a client that knows nothing of tasks call tools of a server that has them (extension `io.modelcontextprotocol/tasks`,
 * SEP-2663). To the client, a `tools/call` that has become a task is one whose stream stays open: what the task asks comes as
 * `input_required`, what it ends with as the result. Requests of other protocol versions than 2026-07-28 are sent as they are.
 */
export function withTasks(send: FetchLike, settings: RetrySettings): FetchLike {
  const left = new LeftStreams<Left>()
  const leave: Leave = (eventId, call, task) => left.leave(keyOf(call.url, eventId), { call, task })

  const streamed = (task: FollowedTask, first: Step) =>
    new Response(streamOfTask(task, first, leave), { headers: { 'content-type': 'text/event-stream' } })

  async function throughTasks(response: Response, call: TaskCall, after?: string): Promise<Response> {
    if (!response.ok || !response.body) return response
    if (response.headers.get('content-type')?.includes('text/event-stream')) {
      const options = { settings, leave, ...(after !== undefined && { after }) }
      return withBody(response, throughTask(response.body, call, options))
    }
    const body = await response.arrayBuffer()
    const begun = FollowedTask.begunBy(parseResponse(new TextDecoder().decode(body)), call, settings)
    return begun ? streamed(begun.task, begun.first) : withBody(response, body)
  }

  async function goOn(url: string | URL, init: RequestInit): Promise<Response> {
    const eventId = new Headers(init.headers).get('last-event-id') ?? ''
    const key = keyOf(url, eventId)
    const stream = left.find(key)
    if (!stream) return send(url, init)
    const { task } = stream
    if (task) {
      task.goOnFor(url, init)
      const step = await task.step(init.signal ?? NEVER)
      // Told so, the client may renew its credentials, and comes back.
      if ('refusal' in step) return step.refusal
      left.forget(key)
      return streamed(task, step)
    }
    const response = await send(url, init)
    if (response.ok) left.forget(key)
    return throughTasks(response, { ...stream.call, url, init }, eventId)
  }

  return async (url, init = {}) => {
    if (init.method === undefined || init.method.toUpperCase() === 'GET') return goOn(url, init)
    const request = requestIn(init)
    if (!request) return send(url, init)
    const declaring = declaringTasks(request)
    const body = JSON.stringify(declaring)
    if (request.method !== 'tools/call') return send(url, { ...init, body })
    const call = callOf(url, init, declaring)
    const answered = answeredTask(request)
    if (answered) return streamed(new FollowedTask(answered, call, settings), { pollMs: 0 })
    return throughTasks(await send(url, { ...init, body }), call)
  }
}

/** Each server has event ids of its own. */
const keyOf = (url: string | URL, eventId: string) => `${String(url)}\n${eventId}`

const NEVER = new AbortController().signal
