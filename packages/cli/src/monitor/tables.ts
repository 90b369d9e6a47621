import { ASLEEP, isParked, NOBODY } from '@mcp-durable/core/store'
import { clientName, statusStyles } from '../commands/sessions.js'
import type { SessionRow } from '../look/session-rows.js'
import type { Style } from '../show/line.js'
import type { Privacy } from '../show/privacy.js'
import { span } from '../show/text.js'
import type { ScreenColumn } from './columns.js'
import type { CallRow, NodeRow, NodeState } from './snapshot.js'

/** Calls without a node. */
const PARKED = new Map([
  [NOBODY, 'parked'],
  [ASLEEP, 'asleep'],
])

const nodeStyles: Record<NodeState, Style> = { alive: 'good', late: 'warn', gone: 'bad' }

/** The columns of the three tables. The first one that can order rows is the one that does, until another is chosen. */
export function tables(privacy: Privacy) {
  const nodes: ScreenColumn<NodeRow>[] = [
    {
      title: 'NODE',
      text: ({ node }) => privacy.id(node),
      style: () => 'name',
      expendable: 0,
      sortBy: ({ node }) => node,
    },
    {
      title: 'WHERE',
      text: ({ place }) => place ?? '-',
      expendable: 4,
      most: 28,
      sortBy: ({ place }) => place ?? '',
    },
    { title: 'STATE', text: ({ state }) => state, style: ({ state }) => nodeStyles[state], expendable: 0 },
    {
      title: 'VERSION',
      text: ({ version }) => version ?? '',
      most: 24,
      rare: true,
      expendable: 2,
    },
    {
      title: 'HEARTBEAT',
      text: ({ lateMs }) => (lateMs === undefined ? '-' : `${span(lateMs)} ago`),
      right: true,
      expendable: 0,
      sortBy: ({ lateMs }) => -(lateMs ?? Number.MAX_VALUE),
    },
    {
      title: 'CALLS',
      text: ({ calls }) => String(calls),
      right: true,
      expendable: 0,
      sortBy: ({ calls }) => -calls,
    },
    {
      title: 'HOLDS',
      text: ({ scopes }) => String(scopes),
      right: true,
      expendable: 3,
      sortBy: ({ scopes }) => -scopes,
    },
    {
      title: 'UP',
      text: ({ uptimeMs }) => (uptimeMs === undefined ? '-' : span(uptimeMs)),
      right: true,
      expendable: 5,
      sortBy: ({ uptimeMs }) => -(uptimeMs ?? 0),
    },
  ]
  const calls: ScreenColumn<CallRow>[] = [
    { title: 'CALL', text: ({ callId }) => privacy.id(callId), style: () => 'name', expendable: 0 },
    {
      title: 'WHAT',
      text: ({ title }) => title,
      most: 32,
      expendable: 2,
      sortBy: ({ title }) => title,
    },
    {
      title: 'VERSION',
      text: ({ version }) => version ?? '',
      most: 16,
      rare: true,
      expendable: 4,
    },
    {
      title: 'AGE',
      text: ({ ageMs }) => span(ageMs),
      right: true,
      expendable: 0,
      sortBy: ({ ageMs }) => -ageMs,
    },
    {
      title: 'OWNER',
      text: ({ owner, ownerPlace }) => PARKED.get(owner) ?? ownerPlace ?? privacy.id(owner),
      style: ({ owned, owner }) => (owned || isParked(owner) ? undefined : 'bad'),
      most: 24,
      expendable: 3,
      sortBy: ({ owner }) => owner,
    },
    {
      title: 'RUN',
      text: ({ attempt }) => String(attempt),
      style: ({ attempt }) => (attempt > 1 ? 'mark' : undefined),
      right: true,
      expendable: 0,
      sortBy: ({ attempt }) => -attempt,
    },
    {
      title: 'LAST',
      text: ({ last, lastMs }) => (last === '' ? '' : `${last}, ${span(lastMs)} ago`),
      style: ({ waits }) => (waits ? 'warn' : 'dim'),
      most: 24,
      grows: true,
      expendable: 1,
    },
  ]
  const sessions: ScreenColumn<SessionRow>[] = [
    { title: 'SESSION', text: ({ id }) => privacy.id(id), style: () => 'name', expendable: 0 },
    {
      title: 'STATUS',
      text: ({ status }) => status,
      style: ({ status }) => statusStyles[status],
      expendable: 0,
      sortBy: ({ status }) => status,
    },
    {
      title: 'CLIENT',
      text: ({ client }) => clientName(client),
      most: 24,
      expendable: 2,
      sortBy: ({ client }) => clientName(client),
    },
    { title: 'PROTOCOL', text: ({ protocol }) => protocol, most: 12, expendable: 5 },
    {
      title: 'PRINCIPAL',
      text: ({ principal }) => (principal === undefined ? '-' : privacy.id(principal)),
      most: 24,
      expendable: 4,
      sortBy: ({ principal }) => principal ?? '',
    },
    {
      title: 'OPEN',
      text: ({ openCalls }) => String(openCalls.length),
      right: true,
      expendable: 0,
      sortBy: ({ openCalls }) => -openCalls.length,
    },
    {
      title: 'EVENTS',
      text: ({ events }) => String(events),
      right: true,
      expendable: 0,
      sortBy: ({ events }) => -events,
    },
    {
      title: 'AGE',
      text: ({ ageMs }) => (ageMs === undefined ? '-' : span(ageMs)),
      right: true,
      expendable: 3,
      sortBy: ({ ageMs }) => ageMs ?? 0,
    },
    {
      title: 'ENDS IN',
      text: ({ expiresInMs }) => span(expiresInMs),
      right: true,
      expendable: 6,
      sortBy: ({ expiresInMs }) => -expiresInMs,
    },
  ]
  return { nodes, calls, sessions }
}

export type Tables = ReturnType<typeof tables>
