import type { RetrySettings } from '../retry-options.js'
import { parseResponse } from './ask-server.js'
import { encodeEvent, readEvents } from './events.js'
import { FollowedTask } from './followed-task.js'
import { progressOf } from './task-call.js'
import type { TaskCall } from './task-call.js'
import { streamOfTask } from './task-stream.js'
import type { Leave } from './task-stream.js'

/** The stream of a server, and that of the task with which it may end. `after`: the event behind which it begins. */
export function throughTask(
  body: ReadableStream<Uint8Array>,
  call: TaskCall,
  { settings, leave, after }: { settings: RetrySettings; leave: Leave; after?: string },
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  const events = readEvents(reader)
  let cursor = after
  let hasResponse = false
  let task: ReadableStreamDefaultReader<Uint8Array> | undefined
  const left = () => {
    if (!hasResponse && cursor !== undefined) leave(cursor, call)
  }

  async function next(): Promise<Uint8Array | undefined> {
    if (task) return (await task.read()).value
    const { value: event } = await events.next()
    if (!event) {
      left()
      return undefined
    }
    const { id, data = '' } = event
    if (id) cursor = id
    call.progress = Math.max(call.progress, progressOf(data))
    const response = parseResponse(data)
    hasResponse ||= response !== undefined
    const begun = FollowedTask.begunBy(response, call, settings)
    if (!begun) return encodeEvent(event)
    void reader.cancel().catch(() => undefined)
    task = streamOfTask(begun.task, begun.first, leave).getReader()
    return next()
  }

  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const chunk = await next()
          if (chunk) controller.enqueue(chunk)
          else controller.close()
        } catch (error) {
          left()
          throw error
        }
      },
      cancel: (reason) => (task ?? reader).cancel(reason),
    },
    { highWaterMark: 0 },
  )
}
