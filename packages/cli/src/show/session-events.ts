import type { SessionEvent } from '../look/session-log.js'
import type { NodeNames } from '../look/node-names.js'
import { eventJson, tell } from './call-events.js'
import type { Paint, Style } from './paint.js'
import type { Privacy } from './privacy.js'
import { padEnd, plain, timeOfDay } from './text.js'

export type Showing = { privacy: Privacy; nodeName: NodeNames; paint: Paint }

/** `10:21:03.120  call 8Jk2fA…  step charge done in 3 ms  ‹4 B›` */
export function sessionLine(event: SessionEvent, showing: Showing): string {
  const { privacy, paint } = showing
  const { source, text, style, payload } = told(event, showing)
  const styled = style ? paint(style, text) : text
  const shown = privacy.payload(payload)
  return `${paint('dim', timeOfDay(event.at))}  ${padEnd(source, 14)}${styled}${shown && `  ${paint('dim', shown)}`}`
}

export function sessionJson(event: SessionEvent, privacy: Privacy): Record<string, unknown> {
  if (event.source === 'call') {
    const { source, callId, call, event: inner } = event
    return { source, call: privacy.id(callId), callTitle: call, ...eventJson(inner, privacy) }
  }
  return { ...event, payload: privacy.payloadValue(event.payload) }
}

function told(
  event: SessionEvent,
  { privacy, nodeName }: Showing,
): { source: string; text: string; style: Style | undefined; payload: unknown } {
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
