import { describeSession, SESSION_STATE_KEYS } from '@mcp-durable/core/inspect'
import type { OpenCall } from '@mcp-durable/core/store'
import type { Inspection } from '@mcp-durable/core/inspect'

/** A session at a glance. Times in ms. */
export type SessionRow = {
  id: string
  status: 'new' | 'idle' | 'running'
  client: { name: string; version: string } | undefined
  protocol: string
  principal: string | undefined
  openCalls: OpenCall[]
  /** Messages that the standalone stream holds, and records of open calls. */
  events: number
  ageMs: number | undefined
  expiresInMs: number
}

/** Those that are still there, in the order of the ids. */
export async function readSessionRows(inspect: Inspection, ids: readonly string[]): Promise<SessionRow[]> {
  const now = await inspect.nodes.clock()
  const rows = await Promise.all(ids.map((id) => readSessionRow(inspect, id, now)))
  return rows.filter((row) => row !== undefined)
}

export async function readSessionRow(
  inspect: Inspection,
  id: string,
  now: number,
): Promise<SessionRow | undefined> {
  const [session, state] = await Promise.all([
    inspect.sessions.read(id),
    inspect.sessions.state(id, SESSION_STATE_KEYS),
  ])
  if (!session) return undefined
  const { client, initialized } = describeSession(state)
  const records = session.openCalls.map(({ callId }) => inspect.logs.size(id, `call:${callId}`))
  const events = (await Promise.all(records)).reduce((sum, size) => sum + size, session.standalone)
  return {
    id,
    status: session.openCalls.length > 0 ? 'running' : initialized ? 'idle' : 'new',
    client,
    protocol: session.protocolVersion,
    principal: session.principal,
    openCalls: session.openCalls,
    events,
    ageMs: session.createdAt === undefined ? undefined : now - session.createdAt,
    expiresInMs: session.expiresInMs,
  }
}
