import { listCalls, RUN_STATUSES } from '@mcp-durable/core/inspect'
import type { Inspection, RunStatus } from '@mcp-durable/core/inspect'
import { isParked } from '@mcp-durable/core/store'
import { runStyles } from '../commands/calls.js'
import { timeOption } from '../command-line.js'
import { usageError } from '../errors.js'
import { readNodeNames } from '../look/node-names.js'
import { tell } from '../show/call-events.js'
import { toneOf } from './sections.js'
import type { Shown } from './sections.js'
import type { Found } from './wire.js'

const LIMIT = 200
const MOST_JOURNALS = 20_000

/** Looks among the journals for calls, as `mcp-durable calls` does; throws a `CliError` for what is no question. One at a time. */
export class Search {
  readonly #inspect: Inspection
  readonly #shown: Shown
  readonly #leaseMs: number
  #last: Promise<unknown> = Promise.resolve()

  constructor(inspect: Inspection, shown: Shown, leaseMs: number) {
    this.#inspect = inspect
    this.#shown = shown
    this.#leaseMs = leaseMs
  }

  find(query: URLSearchParams): Promise<Found> {
    const found = this.#last.then(() => this.#find(query))
    this.#last = found.catch(() => undefined)
    return found
  }

  async #find(query: URLSearchParams): Promise<Found> {
    const { privacy, handles } = this.#shown
    const text = (name: string) => query.get(name)?.trim() || undefined
    const [nodeName, now] = await Promise.all([
      readNodeNames(this.#inspect, privacy),
      this.#inspect.nodes.clock(),
    ])
    const { calls, looked } = await listCalls(this.#inspect, {
      principal: text('principal'),
      tool: text('tool'),
      status: statusOf(text('status')),
      ended: query.has('ended'),
      olderThanMs: timeOption({ 'older-than': text('older-than') }, 'older-than'),
      newerThanMs: timeOption({ 'newer-than': text('newer-than') }, 'newer-than'),
      most: MOST_JOURNALS,
      leaseMs: this.#leaseMs,
    })
    return {
      now,
      total: calls.length,
      looked,
      more: looked >= MOST_JOURNALS,
      calls: calls.slice(0, LIMIT).map((call) => ({
        ...handles.name(call),
        title: call.title,
        version: call.version ?? '',
        isTask: call.isTask,
        status: call.status,
        tone: toneOf(runStyles[call.status]),
        session: call.inSession ? privacy.id(call.scope) : '',
        principal: call.principal === undefined ? '' : privacy.id(call.principal),
        owner: call.owner === undefined || isParked(call.owner) ? '' : nodeName(call.owner),
        openedAt: call.openedAt,
        endedAt: call.endedAt ?? null,
        attempt: call.attempt,
        last: call.last ? tell(call.last, { privacy, nodeName }).text : '',
      })),
    }
  }
}

function statusOf(text: string | undefined): RunStatus[] | undefined {
  if (text === undefined) return undefined
  const status = RUN_STATUSES.find((each) => each === text)
  if (!status) throw usageError(`status is one of ${RUN_STATUSES.join(', ')}, not '${text}'.`)
  return [status]
}
