import type { Command } from '../command.js'
import { numberOption } from '../command-line.js'
import type { Context } from '../context.js'
import type { Finding } from '../doctor/finding.js'
import { checkKeys } from '../doctor/key-checks.js'
import { checkChannels, checkClocks, checkNodes } from '../doctor/node-checks.js'
import { checkCluster, checkServer, isTooOld } from '../doctor/server-checks.js'
import { checkCalls } from '../doctor/session-checks.js'
import { styled } from '../show/line.js'
import type { Style } from '../show/line.js'
import { count } from '../show/text.js'

export const doctor: Command = {
  name: 'doctor',
  arity: [0, 0],
  summary: 'what may lose data or stop: settings of Redis, nodes, clocks, orphaned calls, expiry, memory',
  details: 'Each finding says the risk and the command that repairs it. Exits with 1 if there is a risk.',
  options: {
    lease: { type: 'string', value: 'MS', help: 'the lease that the nodes are set to (default: 10000)' },
    'max-sessions': {
      type: 'string',
      value: 'N',
      help: 'look for open calls in so many sessions (default: 10000)',
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
  const { values, privacy } = context
  const leaseMs = numberOption(values, 'lease', 10_000, 1)
  const mostSessions = numberOption(values, 'max-sessions', 10_000, 1)
  const mostKeys = numberOption(values, 'max-keys', 20_000, 1)
  const { inspect } = await context.connect()
  const servers = await inspect.servers.list()
  const several = servers.length > 1
  const ofServers = servers.flatMap((server) =>
    checkServer(server).map((finding) =>
      several ? { ...finding, check: `${finding.check} of ${server.address}` } : finding,
    ),
  )
  if (servers.some(isTooOld)) return ofServers
  const nodes = await inspect.nodes.list()
  const looked = { nodes, leaseMs, privacy }
  const hidden = servers.filter(({ config }) => config === undefined)
  return [
    ...ofServers,
    ...hidden.map(({ address }): Finding => ({
      level: 'note',
      check: 'settings',
      found: `${address} lets nobody see all of its settings; what INFO says was looked at`,
    })),
    ...checkCluster(servers),
    ...checkNodes(looked),
    ...(await checkChannels(inspect, looked)),
    ...checkClocks(looked, servers),
    ...(await checkCalls(inspect, { ...looked, most: mostSessions })),
    ...(await checkKeys(inspect, { most: mostKeys, prefix: context.options.prefix, privacy })),
  ]
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
