import { pause } from '../patience.js'
import { encodeEvent } from './events.js'
import type { FollowedTask, Step } from './followed-task.js'
import type { TaskCall } from './task-call.js'
import { responseOf } from './task-state.js'

/** A client that has `resetTimeoutOnProgress` waits for as long as it is told something now and then. */
const TELL_EVERY_MS = 10_000

type Controller = ReadableStreamDefaultController<Uint8Array>
/** The stream ends before its call: with this event id the client comes back. */
export type Leave = (eventId: string, call: TaskCall, task?: FollowedTask) => void

/** Asks for a task while somebody reads, and ends with the answer to its call. Whoever closes the stream cancels the task. */
export function streamOfTask(task: FollowedTask, first: Step, leave: Leave): ReadableStream<Uint8Array> {
  const { call } = task
  const { signal } = call.init
  const closed = new AbortController()
  const abort = () => closed.abort(signal?.reason)

  async function follow(controller: Controller) {
    let message: string | undefined
    const telling = setInterval(() => tell(controller, call, message), TELL_EVERY_MS)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    try {
      for (let step = first; ; step = await task.step(closed.signal)) {
        closed.signal.throwIfAborted()
        if ('outcome' in step) return { data: JSON.stringify(responseOf(call.id, step.outcome)) }
        if ('refusal' in step) {
          const id = crypto.randomUUID()
          leave(id, call, task)
          return { id, data: '' }
        }
        if (step.message !== message) {
          message = step.message
          tell(controller, call, message)
        }
        await pause(step.pollMs, [closed.signal])
      }
    } finally {
      clearInterval(telling)
      signal?.removeEventListener('abort', abort)
    }
  }

  return new ReadableStream(
    {
      async pull(controller) {
        controller.enqueue(encodeEvent(await follow(controller)))
        controller.close()
      },
      cancel(reason) {
        closed.abort(reason)
        task.cancel()
      },
    },
    { highWaterMark: 0 },
  )
}

/** Says that the task goes on. Nothing is kept for a client that does not read. */
function tell(controller: Controller, call: TaskCall, message: string | undefined) {
  const { token: progressToken } = call
  if (progressToken === undefined || (controller.desiredSize ?? -1) < 0) return
  const params = { progressToken, progress: ++call.progress, ...(message !== undefined && { message }) }
  const notification = { jsonrpc: '2.0', method: 'notifications/progress', params }
  controller.enqueue(encodeEvent({ data: JSON.stringify(notification) }))
}
