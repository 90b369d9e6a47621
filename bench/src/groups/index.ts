import type { Group } from '../bench.js'
import { calls } from './calls.js'
import { kills } from './kills.js'
import { progress } from './progress.js'
import { growingSession, idleSessions, rebuild } from './sessions.js'
import { steps } from './steps.js'
import { idleStreams, notifications, replay } from './streams.js'

export const groups: readonly Group[] = [
  calls,
  progress,
  steps,
  replay,
  notifications,
  rebuild,
  growingSession,
  idleStreams,
  idleSessions,
  kills,
]
