import type { Inspection } from '@mcp-durable/core/inspect'
import type { Privacy } from '../show/privacy.js'

/** How far the doctor looks, by which lease nodes are dead; what is stored, as it is sealed, and the ids of the keys that it was given. */
export type Examination = {
  leaseMs: number
  mostSessions: number
  mostKeys: number
  privacy: Privacy
  stored: Inspection
  keyIds: readonly string[] | undefined
}

/**
 * What the doctor found. `risk`: something may be lost or stop; `note`: worth knowing; `ok`: as it should be.
 */
export type Finding = {
  level: 'ok' | 'note' | 'risk'
  /** What was looked at. */
  check: string
  /** What was found. */
  found: string
  /** What may happen. */
  risk?: string
  /** A command that repairs it. */
  fix?: string
}

export const ok = (check: string, found: string): Finding => ({ level: 'ok', check, found })
export const note = (check: string, found: string, more: { risk?: string; fix?: string } = {}): Finding => ({
  level: 'note',
  check,
  found,
  ...more,
})
export const risk = (check: string, found: string, more: { risk: string; fix: string }): Finding => ({
  level: 'risk',
  check,
  found,
  ...more,
})
