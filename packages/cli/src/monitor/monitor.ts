import { setTimeout as sleep } from 'node:timers/promises'
import type { ReadStream } from 'node:tty'
import type { Store } from '@mcp-durable/core'
import type { Inspection } from '@mcp-durable/core/inspect'
import { messageOf } from '../errors.js'
import { clearAll, clearSession, toldOf } from '../look/clear.js'
import type { Cleared } from '../look/clear.js'
import { styled } from '../show/line.js'
import type { Output } from '../show/output.js'
import type { Privacy } from '../show/privacy.js'
import { clip, count } from '../show/text.js'
import { drawOverview, titleBar } from './draw-overview.js'
import { drawSession, pageOf } from './draw-session.js'
import { helpLines, overviewKeys, sessionKeys } from './help-lines.js'
import type { MonitorModel } from './model.js'
import { Screen } from './screen.js'
import type { Key } from './screen.js'
import { SessionView } from './session-view.js'
import type { OpenPlace } from './session-view.js'
import type { Snapshot } from './snapshot.js'
import { tables } from './tables.js'
import {
  idsOf,
  initialView,
  move,
  nextOrder,
  nextPanel,
  reverseOrder,
  selectedIndex,
  visibleRows,
} from './view-state.js'

export type MonitorServices = {
  inspect: Inspection
  store: Store
  model: MonitorModel
  privacy: Privacy
  /** What is looked at, in a sentence. */
  area: string
  everyMs: number
}

/** What is asked at the foot of the screen. */
type Question = { text: string; act: () => Promise<Cleared> }

/** The monitor on a terminal: looks again and again, draws, and does what keys say. */
export class Monitor {
  readonly #services: MonitorServices
  readonly #tables: ReturnType<typeof tables>
  readonly #screen: Screen
  readonly #quit = new AbortController()
  #view = initialView()
  #shown: Snapshot
  #open: SessionView | undefined
  #question: Question | undefined
  #message = ''
  #typing = false
  #help = false
  #paused = false

  constructor(services: MonitorServices, input: ReadStream, output: Output) {
    this.#services = services
    this.#tables = tables(services.privacy)
    this.#shown = services.model.snapshot
    this.#screen = new Screen(input, output, { key: (key) => this.#key(key), resized: () => this.#draw() })
  }

  /** Until somebody quits. */
  async run(interrupted: AbortSignal): Promise<void> {
    const { signal } = this.#quit
    interrupted.addEventListener('abort', () => this.#quit.abort())
    if (interrupted.aborted) this.#quit.abort()
    try {
      while (!signal.aborted) {
        const snapshot = await this.#services.model.refresh()
        if (!this.#paused) this.#shown = snapshot
        this.#draw()
        await sleep(this.#services.everyMs, undefined, { signal }).catch(() => undefined)
      }
    } finally {
      this.#open?.close()
      this.#screen.close()
    }
  }

  #draw() {
    const { size } = this.#screen
    const lines = this.#help
      ? [titleBar(this.#shown, size.columns), ...helpLines.map((line) => [clip(line, size.columns)])]
      : this.#open
        ? this.#drawSession(this.#open)
        : drawOverview({
            snapshot: this.#shown,
            view: this.#view,
            rows: this.#rows,
            tables: this.#tables,
            size,
          })
    const body = Array.from({ length: size.rows - 1 }, (_, row) => lines[row] ?? [])
    this.#screen.draw([...body, [this.#foot(size.columns)]])
  }

  #drawSession(open: SessionView) {
    const { privacy } = this.#services
    const places = new Map(this.#shown.nodes.map(({ node, place }) => [node, place]))
    const nodeName = (node: string) => places.get(node) ?? privacy.id(node)
    return drawSession({ snapshot: this.#shown, open, privacy, nodeName, size: this.#screen.size })
  }

  #foot(columns: number) {
    if (this.#question)
      return styled('warn', clip(`${this.#question.text} y deletes, any other key does not`, columns))
    if (this.#typing) return clip(`filter: ${this.#view.filter}▏  Enter keeps it, Esc shows all`, columns)
    if (this.#message !== '') return styled('good', clip(this.#message, columns))
    const keys = this.#open ? sessionKeys : overviewKeys
    return styled('dim', clip(this.#paused ? `paused  ${keys}` : keys, columns))
  }

  get #rows() {
    return visibleRows(this.#shown, this.#view, this.#tables)
  }

  #key(key: Key) {
    this.#message = ''
    if (key.ctrl && key.name === 'c') this.#quit.abort()
    else if (this.#question) this.#answer(this.#question, key)
    else if (this.#help) this.#help = false
    else if (this.#typing) this.#type(key)
    else if (this.#open) this.#keyInSession(this.#open, key)
    else this.#keyInOverview(key)
    this.#draw()
  }

  #keyInOverview(key: Key) {
    const page = Math.max(1, Math.floor(this.#screen.size.rows / 3))
    const by: Record<string, number> = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      pageup: -page,
      pagedown: page,
      home: -1e9,
      end: 1e9,
    }
    const steps = by[key.name]
    if (steps !== undefined) this.#view = move(this.#view, this.#rows, steps)
    else if (key.text === 'C') this.#ask(this.#clearingAll())
    else if (key.text === '/') this.#typing = true
    else if (key.text === '?') this.#help = true
    else if (key.name === 'tab') this.#view = nextPanel(this.#view, key.shift ? -1 : 1)
    else if (key.name === 'right') this.#view = nextPanel(this.#view, 1)
    else if (key.name === 'left') this.#view = nextPanel(this.#view, -1)
    else if (key.name === 'return') this.#openSelected()
    else if (key.name === 's') this.#view = nextOrder(this.#view, this.#tables)
    else if (key.name === 'r') this.#view = reverseOrder(this.#view)
    else if (key.name === 'p') this.#paused = !this.#paused
    else if (key.name === 'q') this.#quit.abort()
    else if (key.name === 'escape') this.#view = { ...this.#view, filter: '' }
    else if (key.name === 'c') {
      const place = this.#selected()
      if (place) this.#ask(this.#clearing(place))
    }
  }

  #keyInSession(open: SessionView, key: Key) {
    const page = pageOf(this.#screen.size)
    const by: Record<string, number> = {
      up: 1,
      k: 1,
      down: -1,
      j: -1,
      pageup: page,
      pagedown: -page,
      home: 1e9,
      end: -1e9,
    }
    const steps = by[key.name]
    if (steps !== undefined) open.scroll(steps, page)
    else if (key.name === 'escape' || key.name === 'backspace') this.#close()
    else if (key.name === 'c') this.#ask(this.#clearing(open))
    else if (key.name === 'q') this.#quit.abort()
  }

  #type(key: Key) {
    const { filter } = this.#view
    if (key.name === 'return') this.#typing = false
    else if (key.name === 'escape') {
      this.#typing = false
      this.#view = { ...this.#view, filter: '' }
    } else if (key.name === 'backspace') this.#view = { ...this.#view, filter: filter.slice(0, -1) }
    else if (!key.ctrl && /^[^\p{Cc}]+$/u.test(key.text))
      this.#view = { ...this.#view, filter: filter + key.text }
  }

  /** The session, or the call, that is chosen. Nodes can't be opened. */
  #selected(): OpenPlace | undefined {
    const rows = this.#rows
    const index = selectedIndex(rows, this.#view, this.#view.focus)
    if (this.#view.focus === 'calls') return rows.calls[index]
    const id = this.#view.focus === 'sessions' ? idsOf(rows, 'sessions')[index] : undefined
    return id === undefined ? undefined : { scope: id, callId: undefined, inSession: true }
  }

  #openSelected() {
    const place = this.#selected()
    if (place) this.#open = new SessionView(this.#services, place, () => this.#draw())
  }

  #close() {
    this.#open?.close()
    this.#open = undefined
  }

  #ask(question: Question) {
    this.#question = question
  }

  #answer({ act }: Question, key: Key) {
    this.#question = undefined
    if (key.text.toLowerCase() === 'y') void this.#clear(act)
    else this.#message = 'nothing was deleted'
  }

  async #clear(act: () => Promise<Cleared>) {
    try {
      const cleared = await act()
      this.#close()
      this.#message = toldOf(cleared)
      this.#shown = await this.#services.model.refresh()
    } catch (error) {
      this.#message = messageOf(error)
    }
    this.#draw()
  }

  #clearing({ scope, callId = '', inSession }: OpenPlace): Question {
    const { inspect, store, privacy } = this.#services
    const open = this.#shown.calls.filter((call) => call.scope === scope).length
    const what = inSession
      ? `session ${privacy.id(scope)} with ${count(open, 'open call')}`
      : `call ${privacy.id(callId)}`
    return {
      text: `Delete ${what}?`,
      act: () => clearSession(inspect, store, scope),
    }
  }

  #clearingAll(): Question {
    const { inspect, store, area } = this.#services
    return {
      text: `Delete all ${count(this.#shown.totalSessions, 'session')}, and all calls, ${area}?`,
      act: () => clearAll(inspect, store),
    }
  }
}
