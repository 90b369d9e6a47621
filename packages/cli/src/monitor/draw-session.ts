import type { NodeNames } from '../look/node-names.js'
import { styled } from '../show/line.js'
import type { Line } from '../show/line.js'
import type { Privacy } from '../show/privacy.js'
import { sessionParts } from '../show/session-events.js'
import { clip, count, width } from '../show/text.js'
import { titleBar } from './draw-overview.js'
import type { Size } from './screen.js'
import type { SessionView } from './session-view.js'
import type { Snapshot } from './snapshot.js'

export type DrawSession = {
  snapshot: Snapshot
  open: SessionView
  privacy: Privacy
  nodeName: NodeNames
  size: Size
}

/** Title, session, and a blank line above the events; the keys below. */
const FRAME = 4

export const pageOf = ({ rows }: Size) => Math.max(1, rows - FRAME)

export function drawSession({ snapshot, open, privacy, nodeName, size }: DrawSession): Line[] {
  const row = snapshot.sessions.find(({ id }) => id === open.scope)
  const what = [
    ...(open.inSession ? [`session ${privacy.id(open.scope)}`] : []),
    ...(open.callId === undefined ? [] : [`call ${privacy.id(open.callId)}`]),
  ].join('  ')
  const status = open.state === 'following' ? (row?.status ?? 'there') : open.state
  const where = open.scrolled > 0 ? `, ${count(open.scrolled, 'newer event')} below` : ''
  const head = `${what}  ${status}, ${count(open.events.length, 'event')}${where}`
  const problem = open.problem ?? snapshot.problem
  const lines = open.page(pageOf(size)).map((event) => {
    const { at, source, text, style, payload } = sessionParts(event, { privacy, nodeName })
    const before = `${at}  ${source}`
    const clipped = clip(text, size.columns - width(before))
    const shown = clip(payload && `  ${payload}`, size.columns - width(before) - width(clipped))
    return [styled('dim', at), `  ${source}`, styled(style, clipped), styled('dim', shown)]
  })
  return [
    titleBar(snapshot, size.columns),
    [
      problem === undefined
        ? styled('bold', clip(head, size.columns))
        : styled('bad', clip(problem, size.columns)),
    ],
    [],
    ...lines,
  ]
}
