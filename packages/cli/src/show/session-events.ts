import type { SessionEvent } from '../look/session-log.js'
import type { NodeNames } from '../look/node-names.js'
import { eventJson, tell } from './call-events.js'
import type { Paint, Style } from './paint.js'
import type { Privacy } from './privacy.js'
import { padEnd, plain, timeOfDay } from './text.js'

export type Showing = { privacy: Privacy; nodeName: NodeNames; paint: Paint }
/** The parts of a line, unpainted. */
export type Parts = { at: string; source: string; text: string; style: Style | undefined; payload: string }

/** `10:21:03.120  call 8Jk2fA…  step charge done in 3 ms  ‹4 B›` */
export function sessionLine(event: SessionEvent, { paint, ...showing }: Showing): string {
  const { at, source, text, style, payload } = sessionParts(event, showing)
  const shown = payload && `  ${paint('dim', payload)}`
  return `${paint('dim', at)}  ${source}${style ? paint(style, text) : text}${shown}`
}

export function sessionParts(event: SessionEvent, showing: Omit<Showing, 'paint'>): Parts {
  const { source, text, style, payload } = told(event, showing)
  return {
    at: timeOfDay(event.at),
    source: `${padEnd(source, 12)}  `,
    text,
    style,
    payload: showing.privacy.payload(payload),
  }
}

export function sessionJson(event: SessionEvent, privacy: Privacy): Record<string, unknown> {
  if (event.source === 'call') {
    const { source, callId, call, event: inner } = event
    return { source, call: privacy.id(callId), callTitle: call, ...eventJson(inner, privacy) }
  }
  return { ...event, payload: privacy.payloadValue(event.payload) }
}

type ToldParts = { source: string; text: string; style: Style | undefined; payload: unknown }

function told(event: SessionEvent, { privacy, nodeName }: Omit<Showing, 'paint'>): ToldParts {
  if (event.source === 'call') {
    const { payload } = event.event
    return {
      source: `call ${privacy.id(event.callId)}`,
      ...tell(event.event, { privacy, nodeName }),
      payload,
    }
  }
  const { title, payload } = event
  if (event.source === 'client') return { source: 'client', text: plain(title), style: 'name', payload }
  const text = event.delivered ? plain(title) : `${plain(title)}, not delivered yet`
  return { source: 'standalone', text, style: undefined, payload }
}
