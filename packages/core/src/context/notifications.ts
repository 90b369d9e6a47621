import { checkNotification } from '../json-rpc.js'
import type { JsonRpcNotification, Params } from '../json-rpc.js'
import { checkGiven } from '../known-options.js'
import { leastLevel, LOG_LEVELS } from '../protocol.js'
import type { LogLevel } from '../protocol.js'
import type { CallLog } from './call-log.js'
import type { Steps } from './steps.js'

const PROGRESS = 'progress() takes two numbers and a text: progress(done, total, message)'

export type ContextNotification = { method: string; params?: Params }

/**
 * What a handler tells the client while it runs. Each resolves before the message is recorded, unless more waits to be than a
 * little; the client sees none that is not. Rejects with an `UnrecordableError` if it can't be recorded.
 */
export class Notifications {
  readonly #log: CallLog
  readonly #steps: Steps
  #progress = Number.NEGATIVE_INFINITY

  constructor(log: CallLog, steps: Steps) {
    this.#log = log
    this.#steps = steps
  }

  /** Nothing is sent when the client gave no token and the call is no task, or when the number does not grow (specification, "Progress"). */
  async progress(progress: number, total?: number, message?: string) {
    checkGiven(Number.isFinite(progress) || Number.isNaN(progress), PROGRESS, progress)
    checkGiven(total === undefined || Number.isFinite(total), PROGRESS, total)
    checkGiven(!message || typeof message === 'string', PROGRESS, message)
    const { request, taskToken } = this.#log
    const progressToken = request.params?._meta?.['progressToken'] ?? taskToken
    this.#steps.lifetime.throwIfAborted()
    if (progressToken === undefined || !(progress > this.#progress)) return
    this.#progress = progress
    const params = {
      progressToken,
      progress,
      ...(total !== undefined && { total }),
      ...(message && { message }),
    }
    await this.notify({ method: 'notifications/progress', params })
  }

  async log(level: LogLevel, data: unknown, logger?: string) {
    this.#steps.lifetime.throwIfAborted()
    const rank = LOG_LEVELS.indexOf(level)
    if (rank < 0) throw new TypeError(`Levels of log messages are ${LOG_LEVELS.join(', ')}.`)
    if (rank < leastLevel(this.#log.request, this.#log.logLevel)) return
    const params = { level, ...(logger !== undefined && { logger }), data: toJson(data) }
    await this.notify({ method: 'notifications/message', params })
  }

  async notify(notification: ContextNotification) {
    checkNotification('notify()', notification)
    const { method, params } = notification
    this.#steps.lifetime.throwIfAborted()
    const message: JsonRpcNotification = { jsonrpc: '2.0', method, ...(params && { params }) }
    await this.#log.send(message, this.#steps.current)
  }
}

/** A line of the log should not be what ends a call: what JSON cannot hold is told as text. */
function toJson(data: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(data, asText) ?? 'null')
  } catch {
    return String(data)
  }
}

function asText(_key: string, value: unknown): unknown {
  if (value instanceof Error) return { name: value.name, message: value.message }
  return typeof value === 'bigint' ? String(value) : value
}
