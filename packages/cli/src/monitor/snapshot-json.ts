import type { Privacy } from '../show/privacy.js'
import { rowJson } from '../commands/sessions.js'
import type { Snapshot } from './snapshot.js'

export function snapshotJson(snapshot: Snapshot, privacy: Privacy): Record<string, unknown> {
  const id = (text: string) => privacy.id(text)
  return {
    ...snapshot,
    nodes: snapshot.nodes.map((node) => ({ ...node, node: id(node.node) })),
    sessions: snapshot.sessions.map((row) => rowJson(row, { privacy })),
    calls: snapshot.calls.map(({ callId, scope, inSession, ...call }) => ({
      call: id(callId),
      session: inSession ? id(scope) : undefined,
      ...call,
      owner: id(call.owner),
    })),
    takeovers: snapshot.takeovers.map(({ callId, ...takeover }) => ({
      call: id(callId),
      ...takeover,
      to: id(takeover.to),
      from: takeover.from === undefined ? undefined : id(takeover.from),
    })),
  }
}
