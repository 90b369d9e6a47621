import type { StepRun } from '@mcp-durable/core/context'
import type { Order } from './outside-service.js'

/** The service was not reached, or was too busy: nothing was done, and trying again is safe. */
export class NetworkError extends Error {
  override name = 'NetworkError'
}

/** The service said no. */
export class RefusedError extends Error {
  override name = 'RefusedError'
}

/** How a tool talks to the outside service of its example. */
export class Outside {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** Throws `NetworkError`, `RefusedError`, or whatever `fetch` throws when the answer got lost: then nobody knows. */
  async ask<T>(action: string, order: Order, { idempotencyKey, signal }: StepRun): Promise<T> {
    const response = await this.#post(action, order, { idempotencyKey, signal })
    const answer = (await response.json()) as T & { error?: string }
    if (response.status === 503) throw new NetworkError(`${action}: ${answer.error}`)
    if (!response.ok) throw new RefusedError(answer.error)
    return answer
  }

  async #post(action: string, order: Order, { idempotencyKey, signal }: Omit<StepRun, 'attempt'>) {
    const headers = { 'idempotency-key': idempotencyKey, 'x-node-pid': String(process.pid) }
    try {
      return await fetch(`${this.#url}/${action}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(order),
        signal,
      })
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as { code?: string }
      if (code === 'ECONNREFUSED') throw new NetworkError(`${action}: nobody there`, { cause: error })
      throw error
    }
  }
}
