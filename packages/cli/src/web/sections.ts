import { isParked } from '@mcp-durable/core/store'
import { runStyles } from '../commands/calls.js'
import { clientName, statusStyles } from '../commands/sessions.js'
import type { Snapshot } from '../monitor/snapshot.js'
import type { Style } from '../show/line.js'
import type { Privacy } from '../show/privacy.js'
import type { Handles } from './handles.js'
import type { Sections, Tone } from './wire.js'

export type Shown = {
  privacy: Privacy
  handles: Handles
  acts: boolean
  /** Where a node runs, or has run. */
  placeOf: (node: string) => string | undefined
}

/** Calls that a browser gets at most. */
const MOST_CALLS = 500

/** What the overview shows of a moment. Times are absolute, so that a section only differs where something has happened. */
export function sectionsOf(snapshot: Snapshot, { privacy, handles, acts, placeOf }: Shown): Sections {
  const { at, where, nodes, calls, sessions, totalSessions, rates, takeovers, problem } = snapshot
  const nodeName = (node: string) => placeOf(node) ?? privacy.id(node)
  return {
    head: {
      now: at,
      where,
      acts,
      payloads: privacy.showsPayloads,
      nodes: nodes.filter(({ state }) => state !== 'gone').length,
      sessions: totalSessions,
      calls: calls.length,
      tasks: calls.filter(({ isTask }) => isTask).length,
      ...rates,
      problem: problem ?? null,
    },
    nodes: nodes.map(({ node, place, version, state, lateMs, uptimeMs, calls: owned, scopes }) => ({
      node: privacy.id(node),
      place: place ?? '',
      version: version ?? '',
      state,
      beatAt: lateMs === undefined ? null : at - lateMs,
      startedAt: uptimeMs === undefined ? null : seconds(at - uptimeMs),
      calls: owned,
      scopes,
    })),
    calls: calls.slice(0, MOST_CALLS).map((row) => ({
      ...handles.name(row),
      title: row.title,
      version: row.version ?? '',
      isTask: row.isTask,
      status: row.status,
      tone: toneOf(runStyles[row.status]),
      session: row.inSession ? privacy.id(row.scope) : '',
      owner: isParked(row.owner) ? '' : (row.ownerPlace ?? privacy.id(row.owner)),
      openedAt: at - row.ageMs,
      attempt: row.attempt,
      last: row.last,
      lastAt: at - row.lastMs,
    })),
    sessions: sessions.map((row) => ({
      session: handles.session(row.id),
      id: privacy.id(row.id),
      status: row.status,
      tone: toneOf(statusStyles[row.status]),
      client: clientName(row.client),
      protocol: row.protocol,
      principal: row.principal === undefined ? '' : privacy.id(row.principal),
      openCalls: row.openCalls.length,
      events: row.events,
      createdAt: row.ageMs === undefined ? null : seconds(at - row.ageMs),
      endsAt: seconds(at + row.expiresInMs),
    })),
    takeovers: takeovers.map((takeover) => {
      // A takeover is remembered when its call is not.
      const scope = calls.find(({ callId }) => callId === takeover.callId)?.scope
      const name = scope === undefined ? { call: '', id: privacy.id(takeover.callId) } : undefined
      return {
        ...(name ?? handles.name({ scope: scope!, callId: takeover.callId })),
        at: takeover.at,
        title: takeover.title,
        to: nodeName(takeover.to),
        from: takeover.from === undefined ? '' : nodeName(takeover.from),
      }
    }),
  }
}

export function toneOf(style: Style | undefined): Tone {
  return style === undefined || style === 'bold' || style === 'inverse' ? 'plain' : style
}

/** What is measured anew at each look differs by some ms. */
const seconds = (ms: number) => Math.round(ms / 1000) * 1000
