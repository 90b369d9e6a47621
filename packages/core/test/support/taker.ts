import { META, TASKS } from '../../src/protocol.js'
import { Alone } from './alone.js'
import type { AloneWhere } from './alone.js'
import type { Nodes } from './nodes.js'
import { expectJson } from './session.js'
import { waitFor } from '../../../../test-support/index.js'

export type Task = {
  resultType: string
  taskId: string
  status: string
  statusMessage?: string
  createdAt: string
  ttlMs: number
  pollIntervalMs: number
  inputRequests?: Record<string, { method: string }>
  result?: { content: { text: string }[]; isError?: boolean }
  error?: { code: number; message: string }
}
export const TAKES_TASKS = { [META.clientCapabilities]: { elicitation: {}, extensions: { [TASKS]: {} } } }
export const TAKES_NONE = { [META.clientCapabilities]: { elicitation: {} } }

export const resultOf = (message: unknown) => (message as { result: Task }).result

/** A client that takes tasks. */
export class Taker {
  readonly client: Alone

  constructor(nodes: Nodes) {
    this.client = new Alone(nodes)
  }

  async call({ args, ...where }: AloneWhere & { args?: object } = {}, name = 'work'): Promise<Task> {
    const given = { text: 'x', ...args }
    await using stream = await this.client.call(name, given, { meta: TAKES_TASKS, ...where })
    return resultOf((await stream.messages()).at(-1))
  }

  about(method: string, taskId: unknown, more: object = {}, where: AloneWhere = {}) {
    return this.client.request(`tasks/${method}`, { taskId, ...more }, { meta: TAKES_TASKS, ...where })
  }

  async get({ taskId }: Task, where: AloneWhere = {}) {
    return resultOf(await expectJson(await this.about('get', taskId, {}, where)))
  }

  async until(task: Task, status: string, where: AloneWhere = {}) {
    let seen = task
    await waitFor(async () => {
      seen = await this.get(task, where)
      return seen.status === status
    })
    return seen
  }
}

export async function errorOf(response: Response) {
  return { status: response.status, ...((await response.json()) as { error: { code: number } }).error }
}
