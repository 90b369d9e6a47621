import { listCalls, RUN_STATUSES } from '@mcp-durable/core/inspect'
import type { ListedCall, RunStatus } from '@mcp-durable/core/inspect'
import { isParked } from '@mcp-durable/core/store'
import type { Command } from '../command.js'
import { numberOption, timeOption } from '../command-line.js'
import type { Values } from '../context.js'
import type { Context } from '../context.js'
import { usageError } from '../errors.js'
import { readNodeNames } from '../look/node-names.js'
import { eventJson, tell } from '../show/call-events.js'
import type { Style } from '../show/line.js'
import type { Showing } from '../show/session-events.js'
import { count, span } from '../show/text.js'

export const runStyles: Record<RunStatus, Style | undefined> = {
  running: undefined,
  waiting: 'warn',
  sleeping: 'dim',
  queued: 'dim',
  diverged: 'bad',
  orphaned: 'bad',
  completed: 'good',
  failed: 'bad',
  unknown: 'bad',
  cancelled: 'dim',
}

export const calls: Command = {
  name: 'calls',
  arity: [0, 0],
  summary:
    'the open calls, in sessions and without, the oldest first: whose they are, and what they wait for',
  details:
    'STATUS is waiting while the client owes an answer, sleeping in ctx.sleep, orphaned if its node is gone, diverged if its\n' +
    'journal does not fit the code and it is parked (mcp-durable call says where); of those that have ended, unknown if it was\n' +
    'interrupted, and nobody knows what it has done. VERSION is that of the code that has run it last. OWNER is - if no node holds the call meanwhile,\n' +
    'SESSION where it belongs to none. Those of a principal are listed by the store; all calls are searched for.',
  options: {
    principal: { type: 'string', value: 'NAME', help: 'only those of a principal' },
    tool: { type: 'string', value: 'NAME', help: 'only those of a tool' },
    status: {
      type: 'string',
      value: 'WORDS',
      help: `only those that are one of these, with commas between them: ${RUN_STATUSES.join(', ')}`,
    },
    'older-than': {
      type: 'string',
      value: 'TIME',
      help: 'only those that were opened longer ago: 90m, 12h, 2d',
    },
    'newer-than': { type: 'string', value: 'TIME', help: 'only those that were opened less long ago' },
    ended: { type: 'boolean', help: 'also those that have ended, as long as they are kept' },
    limit: { type: 'string', value: 'N', help: 'at most so many (default: 100)' },
    'max-journals': { type: 'string', value: 'N', help: 'look at so many journals (default: 20000)' },
    lease: { type: 'string', value: 'MS', help: 'the lease that the nodes are set to (default: 10000)' },
  },
  async run(context) {
    const { output, privacy, values } = context
    const limit = numberOption(values, 'limit', 100, 1)
    const most = numberOption(values, 'max-journals', 20_000, 1)
    const leaseMs = numberOption(values, 'lease', 10_000, 1)
    const principal = typeof values['principal'] === 'string' ? values['principal'] : undefined
    const status = statusOption(values)
    const ended = values['ended'] === true
    const wanted = {
      principal,
      tool: typeof values['tool'] === 'string' ? values['tool'] : undefined,
      status,
      ended,
      olderThanMs: timeOption(values, 'older-than'),
      newerThanMs: timeOption(values, 'newer-than'),
      most,
      leaseMs,
    }
    const { inspect, area } = await context.connect()
    const [nodeName, now] = await Promise.all([readNodeNames(inspect, privacy), inspect.nodes.clock()])
    const { calls: found, looked } = await listCalls(inspect, wanted)
    const shown = found.slice(0, limit)
    if (output.json)
      return output.document({
        total: found.length,
        looked,
        calls: shown.map((row) => rowJson(row, context)),
      })
    if (shown.length === 0)
      output.line(
        `no ${status || ended ? 'such calls' : 'open calls'} ${principal === undefined ? area : `of the principal ${principal}`}`,
      )
    else table(shown, { context, nodeName, now })
    const left = found.length - shown.length
    if (left > 0) output.line(`… and ${count(left, 'more call')}; --limit shows them`)
    if (looked >= most) output.line(`… among ${count(looked, 'journal')}; --max-journals looks at more`)
  },
}

function statusOption(values: Values): RunStatus[] | undefined {
  const text = values['status']
  if (typeof text !== 'string') return undefined
  return text.split(',').map((given) => {
    const status = RUN_STATUSES.find((each) => each === given.trim())
    if (!status)
      throw usageError(`--status is one or more of ${RUN_STATUSES.join(', ')}, not '${given}'.`, 'calls')
    return status
  })
}

/** Unless it has ended, or is parked. */
const nodeOf = (owner: string | undefined) => (owner === undefined || isParked(owner) ? undefined : owner)

function table(
  rows: readonly ListedCall[],
  { context, nodeName, now }: { context: Context; nodeName: Showing['nodeName']; now: number },
) {
  const { output, privacy } = context
  const hasVersions = rows.some(({ version }) => version !== undefined)
  output.table(
    [
      { title: 'CALL', text: ({ callId }) => privacy.id(callId), style: () => 'name' },
      { title: 'WHAT', text: ({ title, isTask }) => `${title}${isTask ? ' (task)' : ''}`, most: 32 },
      { title: 'STATUS', text: ({ status }) => status, style: ({ status }) => runStyles[status] },
      ...(hasVersions
        ? [{ title: 'VERSION', text: ({ version }: ListedCall) => version ?? '-', most: 24 }]
        : []),
      { title: 'SESSION', text: ({ inSession, scope }) => (inSession ? privacy.id(scope) : '-') },
      { title: 'PROTOCOL', text: ({ protocolVersion }) => protocolVersion, most: 12 },
      {
        title: 'PRINCIPAL',
        text: ({ principal }) => (principal === undefined ? '-' : privacy.id(principal)),
      },
      { title: 'RUN', text: ({ attempt }) => String(attempt), right: true },
      {
        title: 'OWNER',
        text: ({ owner }) => {
          const node = nodeOf(owner)
          return node === undefined ? '-' : nodeName(node)
        },
        most: 28,
      },
      { title: 'AGE', text: ({ openedAt }) => span(now - openedAt), right: true },
      {
        title: 'LAST',
        text: ({ last }) =>
          last ? `${tell(last, { privacy, nodeName }).text}, ${span(now - last.at)} ago` : '',
      },
    ],
    rows,
  )
}

function rowJson({ scope, inSession, last, ...row }: ListedCall, { privacy }: Context) {
  const node = nodeOf(row.owner)
  return {
    ...row,
    callId: undefined,
    call: privacy.id(row.callId),
    session: inSession ? privacy.id(scope) : undefined,
    owner: node === undefined ? undefined : privacy.id(node),
    principal: row.principal === undefined ? undefined : privacy.id(row.principal),
    last: last && eventJson(last, privacy),
  }
}
