import { Connection } from './connection.js'
import type { State } from './connection.js'
import { CallView } from './call-view.js'
import { CallsView } from './calls-view.js'
import { element, setChildren, setHidden, setText } from './dom.js'
import { Overview } from './overview.js'
import { SessionView } from './session-view.js'
import type { Known, View } from './view.js'

const main = document.querySelector('main')!
const live = document.querySelector<HTMLElement>('#live')!
const problem = document.querySelector<HTMLElement>('#problem')!
const footer = document.querySelector<HTMLElement>('#footer')!
const links = [...document.querySelectorAll<HTMLAnchorElement>('nav a')]

const known: Known = {}
/** How far the clock of the store is ahead of this one. */
let aheadMs = 0
let view: View | undefined
let route: string | undefined

const states: Record<State, string> = {
  connecting: 'connecting',
  live: 'live',
  lost: 'no connection',
  resting: 'resting',
}

const connection = new Connection({
  section(name, value) {
    known[name] = value
    if (name === 'head') aheadMs = (known.head?.now ?? Date.now()) - Date.now()
    show()
  },
  call: (frame) => {
    aheadMs = frame.head.now - Date.now()
    view?.hear?.(frame)
    show()
  },
  session: (frame) => {
    aheadMs = frame.head.now - Date.now()
    view?.hearSession?.(frame)
    show()
  },
  refused: (text) => view?.refused?.(text),
  state: (state) => {
    live.dataset['state'] = state
    setText(live, states[state])
  },
})

function show() {
  view?.show(known, Date.now() + aheadMs)
  const { head } = known
  if (!head) return
  setHidden(problem, head.problem === null)
  setText(problem, head.problem === null ? '' : `The store is away: ${head.problem}. What is shown is older.`)
  setText(
    footer,
    [
      head.where,
      head.payloads ? 'payloads are shown' : 'payloads are masked (--show-payloads)',
      head.acts ? 'calls may be acted on' : 'read-only (--allow-actions)',
    ].join(' · '),
  )
}

function viewOf(path: string): View {
  const [name = '', of = ''] = path.split('/')
  if (name === 'call') return new CallView(decodeURIComponent(of))
  if (name === 'session') return new SessionView(decodeURIComponent(of))
  return name === 'calls' ? new CallsView() : new Overview()
}

/** Where a path stands in the navigation: sessions are listed in the overview. */
function hereOf(path: string) {
  if (path.startsWith('session')) return ''
  return path.startsWith('call') ? 'calls' : path
}

/** Shows what the address says. Who got there by a link goes on reading at its heading. */
function go() {
  const { hash } = location
  if (hash !== '' && !hash.startsWith('#/')) return
  const path = hash.slice(2)
  if (path === route) return
  const isFirst = route === undefined
  route = path
  view = viewOf(path)
  document.title = `${view.title} · mcp-durable`
  setChildren(main, [view.element])
  for (const link of links) {
    const isHere = link.hash.slice(2) === hereOf(path)
    if (isHere) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  connection.open(view.follows)
  show()
  window.scrollTo(0, 0)
  if (!isFirst) view.element.querySelector('h1')?.focus()
}

if (!('EventSource' in window)) main.append(element('p', {}, 'This browser is too old.'))
window.addEventListener('hashchange', go)
window.addEventListener('resize', show)
document.addEventListener('visibilitychange', () => (document.hidden ? connection.rest() : connection.wake()))
// Ages grow; nothing is asked for.
window.setInterval(show, 1000)
go()
