import { span } from '../../show/span.js'
import type { Head, NodeRow, OpenCallRow, SessionRow, TakeoverRow, Tone } from '../wire.js'
import { callColumns, versionColumn } from './call-columns.js'
import { clockOf, element, setHidden, setText } from './dom.js'
import { LiveTable } from './live-table.js'
import type { Column } from './live-table.js'
import { Sparkline } from './sparkline.js'
import { callLink, sessionLink } from './view.js'
import type { Known, View } from './view.js'

const nodeTones: Record<NodeRow['state'], Tone> = { alive: 'good', late: 'warn', gone: 'bad' }
const ago = (at: number | null, now: number) => (at === null ? '–' : `${span(Math.max(0, now - at))} ago`)
const since = (at: number | null, now: number) => (at === null ? '–' : span(Math.max(0, now - at)))

const nodeColumns: Column<NodeRow>[] = [
  { title: 'Node', text: ({ node }) => node, tone: () => 'name', sort: ({ node }) => node },
  { title: 'Where', text: ({ place }) => place || '–', sort: ({ place }) => place },
  {
    title: 'State',
    text: ({ state }) => state,
    tone: ({ state }) => nodeTones[state],
    sort: ({ state }) => state,
  },
  {
    title: 'Version',
    text: ({ version }) => version,
    wide: true,
    rare: true,
    sort: ({ version }) => version,
  },
  {
    title: 'Heartbeat',
    text: ({ beatAt }, now) => ago(beatAt, now),
    right: true,
    wide: true,
    sort: ({ beatAt }) => -(beatAt ?? 0),
  },
  { title: 'Calls', text: ({ calls }) => String(calls), right: true, sort: ({ calls }) => calls },
  {
    title: 'Holds',
    text: ({ scopes }) => String(scopes),
    right: true,
    wide: true,
    sort: ({ scopes }) => scopes,
  },
  {
    title: 'Up',
    text: ({ startedAt }, now) => since(startedAt, now),
    right: true,
    sort: ({ startedAt }) => -(startedAt ?? 0),
  },
]

const openColumns: Column<OpenCallRow>[] = [
  callColumns.call,
  { ...callColumns.what, shrinks: true },
  callColumns.status,
  callColumns.age,
  versionColumn,
  callColumns.owner,
  callColumns.run,
  {
    title: 'Last',
    text: ({ last, lastAt }, now) => (last === '' ? '' : `${last}, ${ago(lastAt, now)}`),
    tone: () => 'dim',
    wide: true,
    grows: true,
    sort: ({ lastAt }) => -lastAt,
  },
]

const sessionColumns: Column<SessionRow>[] = [
  {
    title: 'Session',
    text: ({ id }) => id,
    link: ({ session }) => sessionLink(session),
    sort: ({ id }) => id,
  },
  { title: 'Status', text: ({ status }) => status, tone: ({ tone }) => tone, sort: ({ status }) => status },
  { title: 'Client', text: ({ client }) => client, shrinks: true, sort: ({ client }) => client },
  { title: 'Protocol', text: ({ protocol }) => protocol, wide: true, sort: ({ protocol }) => protocol },
  {
    title: 'Principal',
    text: ({ principal }) => principal || '–',
    wide: true,
    sort: ({ principal }) => principal,
  },
  {
    title: 'Open',
    text: ({ openCalls }) => String(openCalls),
    right: true,
    sort: ({ openCalls }) => openCalls,
  },
  {
    title: 'Events',
    text: ({ events }) => String(events),
    right: true,
    wide: true,
    sort: ({ events }) => events,
  },
  {
    title: 'Age',
    text: ({ createdAt }, now) => since(createdAt, now),
    right: true,
    sort: ({ createdAt }) => -(createdAt ?? 0),
  },
  {
    title: 'Ends in',
    text: ({ endsAt }, now) => span(Math.max(0, endsAt - now)),
    right: true,
    wide: true,
    sort: ({ endsAt }) => endsAt,
  },
]

const takeoverColumns: Column<TakeoverRow>[] = [
  { title: 'At', text: ({ at }) => clockOf(at), sort: ({ at }) => at },
  {
    title: 'Call',
    text: ({ id }) => id,
    link: ({ call }) => (call === '' ? undefined : callLink(call)),
    sort: ({ id }) => id,
  },
  { title: 'What', text: ({ title }) => title, grows: true, wide: true, sort: ({ title }) => title },
  { title: 'From', text: ({ from }) => from || '–', wide: true, sort: ({ from }) => from },
  { title: 'To', text: ({ to }) => to, tone: () => 'mark', sort: ({ to }) => to },
]

const figures: Array<[name: string, text: (head: Head) => string, tone?: (head: Head) => Tone]> = [
  ['nodes', ({ nodes }) => String(nodes), ({ nodes }) => (nodes === 0 ? 'bad' : 'plain')],
  ['open calls', ({ calls }) => String(calls)],
  ['tasks', ({ tasks }) => String(tasks)],
  ['sessions', ({ sessions }) => String(sessions)],
  ['calls/s', ({ callsPerSecond }) => callsPerSecond.toFixed(1)],
  ['records/s', ({ recordsPerSecond }) => recordsPerSecond.toFixed(1)],
  ['takeovers', ({ takeovers }) => String(takeovers), ({ takeovers }) => (takeovers > 0 ? 'mark' : 'plain')],
]
const drawn: Record<string, (head: Head) => number> = {
  'calls/s': ({ callsPerSecond }) => callsPerSecond,
  'records/s': ({ recordsPerSecond }) => recordsPerSecond,
}

/** Nodes, open calls, sessions, rates and takeovers, as they are. */
export class Overview implements View {
  readonly title = 'Overview'
  readonly element: HTMLElement
  readonly #nodes = new LiveTable({
    title: 'Nodes',
    none: 'No node is there.',
    columns: nodeColumns,
    key: ({ node, place }) => `${node} ${place}`,
  })
  readonly #calls = new LiveTable({
    title: 'Open calls',
    none: 'No call is open.',
    columns: openColumns,
    key: ({ call }) => call,
  })
  readonly #sessions = new LiveTable({
    title: 'Sessions',
    none: 'No session is there.',
    columns: sessionColumns,
    key: ({ session }) => session,
  })
  readonly #takeovers = new LiveTable({
    title: 'Takeovers',
    none: 'None since the monitor began.',
    columns: takeoverColumns,
    key: ({ call, id, at }) => `${call} ${id} ${at}`,
  })
  readonly #figures = new Map(figures.map(([name]) => [name, element('dd')]))
  readonly #lines = new Map(Object.keys(drawn).map((name) => [name, new Sparkline()]))
  readonly #filter = element('input', {
    type: 'search',
    placeholder: 'Filter rows',
    'aria-label': 'Filter rows',
  })
  readonly #none = element('p', { class: 'none' }, 'Looking …')
  #known: Known = {}
  #now = 0
  #drawnAt = 0

  constructor() {
    const list = element('dl', { class: 'figures' })
    for (const [name, figure] of this.#figures)
      list.append(element('div', {}, element('dt', {}, name), figure, this.#lines.get(name)?.element))
    this.#filter.addEventListener('input', () => this.show(this.#known, this.#now))
    this.element = element(
      'div',
      { class: 'view' },
      element('div', { class: 'title' }, element('h1', { tabindex: '-1' }, 'Overview'), this.#filter),
      list,
      this.#none,
      element('div', { class: 'pair' }, this.#nodes.element, this.#takeovers.element),
      this.#calls.element,
      this.#sessions.element,
    )
  }

  show(known: Known, now: number) {
    this.#known = known
    this.#now = now
    const { head, nodes = [], calls = [], sessions = [], takeovers = [] } = known
    setHidden(this.#none, head !== undefined)
    if (head) this.#showHead(head)
    const wanted = this.#filter.value.trim().toLowerCase()
    const filtered = <Row extends object>(rows: readonly Row[]) =>
      wanted === ''
        ? rows
        : rows.filter((row) => Object.values(row).join('\n').toLowerCase().includes(wanted))
    this.#nodes.show(filtered(nodes), now)
    this.#calls.show(filtered(calls), now, head?.calls)
    this.#sessions.show(filtered(sessions), now, head?.sessions)
    this.#takeovers.show(filtered(takeovers.toReversed()), now)
  }

  #showHead(head: Head) {
    for (const [name, text, tone] of figures) {
      const figure = this.#figures.get(name)!
      setText(figure, text(head))
      figure.className = tone ? `tone-${tone(head)}` : ''
    }
    if (head.now === this.#drawnAt) return
    this.#drawnAt = head.now
    for (const [name, line] of this.#lines) line.add(drawn[name]!(head))
  }
}
