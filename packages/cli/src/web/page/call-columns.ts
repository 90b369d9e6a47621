import { span } from '../../show/span.js'
import type { CallName, Tone } from '../wire.js'
import type { Column } from './live-table.js'
import { callLink } from './view.js'

type Call = CallName & {
  title: string
  isTask: boolean
  status: string
  tone: Tone
  owner: string
  openedAt: number
  attempt: number
}

/** What every table of calls shows of one. */
export const callColumns = {
  call: { title: 'Call', text: ({ id }) => id, link: ({ call }) => callLink(call), sort: ({ id }) => id },
  what: {
    title: 'What',
    text: ({ title, isTask }) => `${title}${isTask ? ' (task)' : ''}`,
    sort: ({ title }) => title,
  },
  status: {
    title: 'Status',
    text: ({ status }) => status,
    tone: ({ tone }) => tone,
    sort: ({ status }) => status,
  },
  age: {
    title: 'Age',
    text: ({ openedAt }, now) => span(Math.max(0, now - openedAt)),
    right: true,
    sort: ({ openedAt }) => -openedAt,
  },
  owner: { title: 'Owner', text: ({ owner }) => owner || '–', wide: true, sort: ({ owner }) => owner },
  run: {
    title: 'Run',
    text: ({ attempt }) => String(attempt),
    tone: ({ attempt }) => (attempt > 1 ? 'mark' : 'plain'),
    right: true,
    wide: true,
    sort: ({ attempt }) => attempt,
  },
} satisfies Record<string, Column<Call>>

/** Of calls that may have ended. */
export const tookColumn: Column<{ openedAt: number; endedAt: number | null }> = {
  title: 'Took',
  text: ({ openedAt, endedAt }) => (endedAt === null ? '–' : span(endedAt - openedAt)),
  right: true,
  wide: true,
  sort: ({ openedAt, endedAt }) => (endedAt ?? Number.MAX_SAFE_INTEGER) - openedAt,
}

export const versionColumn: Column<{ version: string }> = {
  title: 'Version',
  text: ({ version }) => version,
  wide: true,
  rare: true,
  sort: ({ version }) => version,
}
