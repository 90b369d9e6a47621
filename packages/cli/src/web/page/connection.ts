import type { CallFrame, Sections, SessionFrame } from '../wire.js'
import type { Followed } from './view.js'

export type State = 'connecting' | 'live' | 'lost' | 'resting'
export type Heard = {
  section: <Name extends keyof Sections>(name: Name, value: Sections[Name]) => void
  call: (frame: CallFrame) => void
  session: (frame: SessionFrame) => void
  /** What was asked for can't be followed. */
  refused: (text: string) => void
  state: (state: State) => void
}

const SECTIONS = ['head', 'nodes', 'calls', 'sessions', 'takeovers'] as const
const PATH = '/events'
const FIRST_WAIT_MS = 1000
const MOST_WAIT_MS = 30_000
/** A browser has few connections to one server, and the store has other work. */
const REST_AFTER_MS = 60_000

/** What the server tells, over one stream. Where the browser gives up, this goes on trying. */
export class Connection {
  readonly #heard: Heard
  #source: EventSource | undefined
  #path = PATH
  #timer: number | undefined
  #resting: number | undefined
  #waitMs = FIRST_WAIT_MS

  constructor(heard: Heard) {
    this.#heard = heard
  }

  /** The overview, and what is followed beside it. */
  open(followed: Followed | undefined) {
    const path = followed ? `${PATH}?${followed.kind}=${encodeURIComponent(followed.name)}` : PATH
    if (this.#source && this.#path === path) return
    this.#path = path
    this.#connect()
  }

  /** Nobody looks: after a while nothing is asked for. */
  rest() {
    this.#resting = window.setTimeout(() => {
      window.clearTimeout(this.#timer)
      this.#source?.close()
      this.#source = undefined
      this.#heard.state('resting')
    }, REST_AFTER_MS)
  }

  wake() {
    window.clearTimeout(this.#resting)
    if (!this.#source) this.#connect()
  }

  #connect() {
    window.clearTimeout(this.#timer)
    this.#source?.close()
    this.#heard.state('connecting')
    const source = new EventSource(this.#path)
    this.#source = source
    const on = (name: string, hear: (json: string) => void) =>
      source.addEventListener(name, (event) => hear(String(event.data)))
    for (const name of SECTIONS) on(name, (json) => this.#heard.section(name, JSON.parse(json) as never))
    on('call', (json) => this.#heard.call(JSON.parse(json) as CallFrame))
    on('session', (json) => this.#heard.session(JSON.parse(json) as SessionFrame))
    on('refused', (json) => this.#heard.refused((JSON.parse(json) as { text: string }).text))
    source.addEventListener('open', () => {
      this.#waitMs = FIRST_WAIT_MS
      this.#heard.state('live')
    })
    source.addEventListener('error', () => {
      this.#heard.state('lost')
      if (source.readyState === EventSource.CLOSED) void this.#tryLater()
    })
  }

  async #tryLater() {
    const page = await fetch('/', { method: 'HEAD' }).catch(() => undefined)
    // The token is asked for by the page itself.
    if (page?.status === 401) return location.reload()
    this.#timer = window.setTimeout(() => this.#connect(), this.#waitMs)
    this.#waitMs = Math.min(MOST_WAIT_MS, this.#waitMs * 2)
  }
}
