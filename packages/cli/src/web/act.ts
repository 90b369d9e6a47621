import { RunRefusedError } from '@mcp-durable/core/errors'
import { CallLog } from '@mcp-durable/core/inspect'
import type { CallPlace, Inspection } from '@mcp-durable/core/inspect'
import type { Runs } from '@mcp-durable/core/runs'
import { asCliError } from '../errors.js'
import type { Handles } from './handles.js'
import { stepHandle } from './lanes.js'
import type { Act, Acted, Action } from './wire.js'

const ACTIONS: ReadonlySet<string> = new Set<Action>(['cancel', 'resume', 'retry', 'fork'])

/** `undefined`: it is none. */
export function readAct(json: string): Act | undefined {
  const given = parsed(json)
  if (typeof given !== 'object' || given === null) return undefined
  const { action, call, step, repeat, reason } = given as Record<string, unknown>
  const isText = (value: unknown) => value === undefined || typeof value === 'string'
  if (typeof action !== 'string' || !ACTIONS.has(action) || typeof call !== 'string') return undefined
  if (!isText(step) || !isText(reason) || !(repeat === undefined || typeof repeat === 'boolean'))
    return undefined
  return given as Act
}

export type ActServices = { inspect: Inspection; runs: Runs; handles: Handles }

/** Does what `mcp-durable cancel`, `resume`, `retry` and `fork` do. */
export async function act(services: ActServices, wanted: Act): Promise<Acted> {
  const place = services.handles.place(wanted.call)
  if (!place) return { ok: false, text: 'this page is too old: find the call again.' }
  try {
    return await done(services, place, wanted)
  } catch (error) {
    const { message } = asCliError(error)
    const repeats = error instanceof RunRefusedError && error.code === 'run-repeats'
    return { ok: false, text: message, ...(repeats && { repeats }) }
  }
}

async function done({ inspect, runs, handles }: ActServices, place: CallPlace, wanted: Act): Promise<Acted> {
  const { action, repeat = false, reason } = wanted
  switch (action) {
    case 'cancel':
      await runs.cancel(place, reason ? { reason } : {})
      return { ok: true, text: 'It is asked to end.' }
    case 'resume':
      await runs.resume(place)
      return { ok: true, text: 'It goes on.' }
    case 'retry': {
      const { call } = await runs.retry(place, { repeat })
      if (call.callId === place.callId) return { ok: true, text: 'The nodes try it again.' }
      return { ok: true, text: 'Another call is for the nodes to run.', call: handles.name(call).call }
    }
    case 'fork': {
      const from = await stepOf(inspect, place, wanted.step)
      if (!from) return { ok: false, text: 'the call has no such step.' }
      const { call } = await runs.fork(place, { from, repeat })
      return { ok: true, text: 'Another call is for the nodes to run.', call: handles.name(call).call }
    }
  }
}

async function stepOf(inspect: Inspection, place: CallPlace, handle: string | undefined) {
  const log = new CallLog(inspect, place)
  await log.read()
  return [...log.timeline.steps.values()].find((step) => stepHandle(step) === handle)
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
