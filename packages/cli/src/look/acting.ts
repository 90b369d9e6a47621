import { RunRefusedError } from '@mcp-durable/core/errors'
import type { Acted, CallPlace, Made, Runs } from '@mcp-durable/core/runs'
import type { OptionSpec } from '../command.js'
import type { Context } from '../context.js'
import { confirm } from '../show/ask.js'
import type { Output } from '../show/output.js'
import { resolveCall } from './resolve.js'

/** What every command takes that acts on a call. */
export const acting = {
  by: {
    type: 'string',
    value: 'NAME',
    help: 'who acts, for the records (default: the user of this machine)',
  },
  'read-plain': {
    type: 'boolean',
    help: 'with --key-file: act also on what is not sealed, since it is from before',
  },
} satisfies Record<string, OptionSpec>

/** What those take that may have effects a second time. */
export const repeating = {
  yes: { type: 'boolean', short: 'y', help: 'do not ask' },
} satisfies Record<string, OptionSpec>

/** Makes another call of one; asks first if something would be done again that may have been done. */
export async function made(
  context: Context,
  make: (runs: Runs, place: CallPlace, options: { repeat: boolean }) => Promise<Made>,
): Promise<number> {
  const { output, privacy, values } = context
  const connected = await context.connect()
  const place = await resolveCall(connected.inspect, context.arg(0), privacy)
  const runs = context.runs(connected)
  const repeat = values['yes'] === true
  const done = await make(runs, place, { repeat }).catch(async (error: unknown) => {
    if (!(error instanceof RunRefusedError && error.code === 'run-repeats')) throw error
    return (await confirm(`${error.message} Go on?`)) ? make(runs, place, { repeat: true }) : undefined
  })
  if (!done) {
    output.note('nothing was begun')
    return 1
  }
  const call = privacy.id(done.call.callId)
  if (output.json) output.document({ call, inHistory: done.inHistory })
  else {
    const isSame = done.call.callId === place.callId
    output.line(
      `call ${call} is for the nodes to ${isSame ? 'try again' : 'run'}; mcp-durable call ${call} shows how it goes`,
    )
    toldOf(done, output)
  }
  return 0
}

/** Where it is recorded who did it. */
export function toldOf({ inHistory }: Acted, output: Output) {
  if (inHistory) output.line('it is in the history, with who did it')
  else
    output.line(
      'no history is kept: who did it is forgotten with the journal (history of durable() keeps it)',
    )
}
