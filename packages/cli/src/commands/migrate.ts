import type { Command } from '../command.js'
import { numberOption } from '../command-line.js'
import type { Context } from '../context.js'
import { usageError } from '../errors.js'
import { migrate as move } from '../migrate/migrate.js'
import type { Tally } from '../migrate/tally.js'

const TELL_MS = 2000

export const migrate: Command = {
  name: 'migrate',
  arity: [0, 0],
  summary: 'move all that a store holds into another one, while nothing runs: a file, a Redis',
  details:
    'Sessions, calls with their journals, states, maps and histories, of all names, with their ids, versions and expiry. Refuses while\n' +
    'a node may be running, and a target that is not empty. Interrupted, it goes on when it is begun again. At the end it compares\n' +
    'both. What is in the source stays; nodes must not run on it any more.',
  options: {
    from: { type: 'string', value: 'STORE', help: 'sqlite:FILE, or an address of Redis as for --redis' },
    to: { type: 'string', value: 'STORE', help: 'the same: an empty one' },
    lease: { type: 'string', value: 'MS', help: 'the lease that the nodes are set to (default: 10000)' },
  },
  async run(context) {
    const { output } = context
    const leaseMs = numberOption(context.values, 'lease', 10_000, 1)
    const [source, target] = [given(context, 'from'), given(context, 'to')]
    if (source === target) throw usageError('--from and --to are the same store.', 'migrate')
    const from = await context.connectEnd(source, 'from')
    const to = await context.connectEnd(target, 'to')
    const { name } = context.options
    const names = name === undefined ? await from.part(undefined).transfer.names() : []
    let toldAt = Date.now()
    const progress = (moved: Tally) => {
      if (Date.now() - toldAt < TELL_MS) return
      toldAt = Date.now()
      output.note(`… ${moved.told}`)
    }
    const moved = await move({ from, to, names: [name, ...names], leaseMs, progress })
    if (output.json) return output.document({ from: from.where, to: to.where, moved: moved.counts })
    output.line(`moved ${moved.told}`)
    output.line(`from ${from.where} to ${to.where}, which was read back and holds the same`)
    output.line(`start the nodes on ${to.where}; delete ${from.where} when you need it no more`)
  },
}

function given({ values }: Context, end: 'from' | 'to'): string {
  const text = values[end]
  if (typeof text === 'string') return text
  throw usageError(`migrate needs --from STORE and --to STORE.`, 'migrate')
}
