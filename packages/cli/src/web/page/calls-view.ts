import type { Found, FoundCall } from '../wire.js'
import { callColumns, tookColumn, versionColumn } from './call-columns.js'
import { element, setText } from './dom.js'
import { LiveTable } from './live-table.js'
import type { Column } from './live-table.js'
import type { Known, View } from './view.js'

const STATUSES = [
  'running',
  'waiting',
  'sleeping',
  'queued',
  'diverged',
  'orphaned',
  'completed',
  'failed',
  'unknown',
  'cancelled',
]
const AGES = ['5m', '1h', '12h', '2d']

const columns: Column<FoundCall>[] = [
  callColumns.call,
  { ...callColumns.what, shrinks: true },
  callColumns.status,
  callColumns.age,
  tookColumn,
  {
    title: 'Principal',
    text: ({ principal }) => principal || '–',
    wide: true,
    sort: ({ principal }) => principal,
  },
  { title: 'Session', text: ({ session }) => session || '–', wide: true, sort: ({ session }) => session },
  versionColumn,
  callColumns.owner,
  callColumns.run,
  {
    title: 'Last',
    text: ({ last }) => last,
    tone: () => 'dim',
    wide: true,
    grows: true,
    sort: ({ last }) => last,
  },
]

/** What was asked last; whoever comes back from a call finds it again. */
let asked = new URLSearchParams()

/** Calls of any status, looked for among the journals when somebody asks. */
export class CallsView implements View {
  readonly title = 'Calls'
  readonly element: HTMLElement
  readonly #table = new LiveTable({
    title: 'Found',
    none: 'No such call.',
    columns,
    key: ({ call }: FoundCall) => call,
  })
  readonly #form: HTMLFormElement
  readonly #told = element('p', { class: 'told', role: 'status' })
  #found: Found | undefined

  constructor() {
    this.#form = element(
      'form',
      { class: 'search', role: 'search' },
      field('Tool', element('input', { name: 'tool', autocomplete: 'off', spellcheck: 'false' })),
      field('Status', select('status', 'any', STATUSES)),
      field('Principal', element('input', { name: 'principal', autocomplete: 'off', spellcheck: 'false' })),
      field('Opened within', select('newer-than', 'ever', AGES)),
      field('Longer ago than', select('older-than', 'now', AGES)),
      element(
        'label',
        { class: 'check' },
        element('input', { type: 'checkbox', name: 'ended' }),
        'also ended',
      ),
      element('button', { class: 'primary' }, 'Find'),
    )
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#find()
    })
    this.element = element(
      'div',
      { class: 'view' },
      element('div', { class: 'title' }, element('h1', { tabindex: '-1' }, 'Calls')),
      this.#form,
      this.#told,
      this.#table.element,
    )
    this.#table.element.hidden = true
    this.#restore()
    void this.#find()
  }

  show(_known: Known, now: number) {
    if (this.#found) this.#table.show(this.#found.calls, now)
  }

  async #find() {
    asked = this.#query()
    setText(this.#told, 'Looking …')
    try {
      const response = await fetch(`/calls?${asked}`)
      const answer = (await response.json()) as Found | { text: string }
      if ('text' in answer) return setText(this.#told, answer.text)
      this.#found = answer
      const left = answer.total - answer.calls.length
      const more = left > 0 ? `; ${left} more are not shown` : ''
      const most = answer.more ? ', which is the most that is looked at here' : ''
      setText(this.#told, `${answer.total} of ${answer.looked} journals${most}${more}.`)
      this.#table.element.hidden = false
      this.#table.show(answer.calls, answer.now)
    } catch {
      setText(this.#told, 'The monitor does not answer.')
    }
  }

  #query(): URLSearchParams {
    const query = new URLSearchParams()
    for (const [name, value] of new FormData(this.#form))
      if (typeof value === 'string' && value !== '') query.set(name, value)
    return query
  }

  #restore() {
    for (const [name, value] of asked) {
      const input = this.#form.elements.namedItem(name)
      if (input instanceof HTMLInputElement && input.type === 'checkbox') input.checked = true
      else if (input instanceof HTMLInputElement || input instanceof HTMLSelectElement) input.value = value
    }
  }
}

const field = (name: string, input: HTMLElement) => element('label', {}, element('span', {}, name), input)

function select(name: string, none: string, values: readonly string[]): HTMLSelectElement {
  const options = values.map((value) => element('option', { value }, value))
  return element('select', { name }, element('option', { value: '' }, none), ...options)
}
