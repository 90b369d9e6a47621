import type { SessionEvent } from '../look/session-log.js'
import type { NodeNames } from '../look/node-names.js'
import { eventJson, tell } from './call-events.js'
import { styled } from './line.js'
import type { Line, Style } from './line.js'
import type { Privacy } from './privacy.js'
import { padEnd, timeOfDay } from './text.js'

export type Showing = { privacy: Privacy; nodeName: NodeNames }
/** The parts of a line. */
export type Parts = { at: string; source: string; text: string; style: Style | undefined; payload: string }

/** `10:21:03.120  call 8Jk2fA…  step charge done in 3 ms  ‹4 B›` */
export function sessionLine(event: SessionEvent, showing: Showing): Line {
  const { at, source, text, style, payload } = sessionParts(event, showing)
  return [styled('dim', at), `  ${source}`, styled(style, text), styled('dim', payload && `  ${payload}`)]
}

export function sessionParts(event: SessionEvent, showing: Showing): Parts {
  const { source, text, style, payload } = toldOf(event, showing)
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

/** In words; the payload as it is. */
export function toldOf(event: SessionEvent, { privacy, nodeName }: Showing): ToldParts {
  if (event.source === 'call') {
    const { payload } = event.event
    return {
      source: `call ${privacy.id(event.callId)}`,
      ...tell(event.event, { privacy, nodeName }),
      payload,
    }
  }
  const { title, payload } = event
  if (event.source === 'client') return { source: 'client', text: title, style: 'name', payload }
  const text = event.delivered ? title : `${title}, not delivered yet`
  return { source: 'standalone', text, style: undefined, payload }
}
