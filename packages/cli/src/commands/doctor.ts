import type { Command } from '../command.js'
import { numberOption } from '../command-line.js'
import { idsOfKeys } from '../connect/key-file.js'
import type { Context } from '../context.js'
import type { Finding } from '../doctor/finding.js'
import { examineRedis } from '../doctor/redis.js'
import { examineSqlite } from '../doctor/sqlite.js'
import { styled } from '../show/line.js'
import type { Style } from '../show/line.js'
import { count } from '../show/text.js'

export const doctor: Command = {
  name: 'doctor',
  arity: [0, 0],
  summary:
    'what may lose data or stop: settings of Redis or the file, nodes, clocks, orphaned calls, sealing, expiry, memory',
  details: 'Each finding says the risk and the command that repairs it. Exits with 1 if there is a risk.',
  options: {
    lease: { type: 'string', value: 'MS', help: 'the lease that the nodes are set to (default: 10000)' },
    'max-sessions': {
      type: 'string',
      value: 'N',
      help: 'look for open calls in so many sessions, and journals of calls (default: 10000)',
    },
    'max-keys': {
      type: 'string',
      value: 'N',
      help: 'look at the expiry and memory of so many keys (default: 20000)',
    },
  },
  async run(context) {
    const { output } = context
    const findings = await examine(context)
    const risks = findings.filter(({ level }) => level === 'risk').length
    if (output.json) output.document({ risks, findings })
    else {
      for (const finding of findings) print(finding, context)
      const notes = findings.filter(({ level }) => level === 'note').length
      output.line()
      output.line(`${risks === 0 ? 'no risks' : count(risks, 'risk')}, ${count(notes, 'note')}`)
    }
    return risks === 0 ? 0 : 1
  },
}

async function examine(context: Context): Promise<Finding[]> {
  const { values, privacy, options } = context
  const connected = await context.connect()
  // What it is sealed with is not seen where it is opened.
  const stored = options.keyFile === undefined ? connected : await context.connectStored()
  const examination = {
    leaseMs: numberOption(values, 'lease', 10_000, 1),
    mostSessions: numberOption(values, 'max-sessions', 10_000, 1),
    mostKeys: numberOption(values, 'max-keys', 20_000, 1),
    privacy,
    stored: stored.inspect,
    keyIds: options.keyFile === undefined ? undefined : idsOfKeys(options.keyFile),
  }
  return connected.kind === 'redis'
    ? examineRedis(connected, examination)
    : examineSqlite(connected, examination)
}

const marks: Record<Finding['level'], [mark: string, style: Style]> = {
  ok: ['ok  ', 'good'],
  note: ['note', 'warn'],
  risk: ['RISK', 'bad'],
}

function print({ level, check, found, risk, fix }: Finding, { output }: Context) {
  const [mark, style] = marks[level]
  output.line(styled(style, mark), '  ', styled('bold', check), `: ${found}`)
  if (risk !== undefined) output.line(`      ${risk}`)
  if (fix !== undefined) output.line('      ', styled('name', '→'), ` ${fix}`)
}
