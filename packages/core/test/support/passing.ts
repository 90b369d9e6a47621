import { startNodes } from './nodes.js'
import type { NodesOptions } from './nodes.js'

export const QUICK = {
  eras: ['2025-11-25', '2026-07-28'] as const,
  heartbeatMs: 50,
  sweepMs: 50,
  leaseMs: 1000,
}

/** Nodes before a server behind HTTP that needs no session, unless `alone` is undefined. */
export const startPassing = ({ settings, ...options }: NodesOptions = {}) =>
  startNodes({ alone: 'only', host: 'upstream', ...options, settings: { ...QUICK, ...settings } })
