import type { Group } from '../bench.js'
import { calls } from './calls.js'
import { callsFile, file } from './file.js'
import { kills, killsSessionless } from './kills.js'
import { parkedTasks } from './naps.js'
import { progress } from './progress.js'
import { growingSession, idleSessions, rebuild } from './sessions.js'
import { endedCalls, sessionless } from './sessionless.js'
import { steps } from './steps.js'
import { idleStreams, notifications, replay } from './streams.js'

export const groups: readonly Group[] = [
  calls,
  sessionless,
  callsFile,
  file,
  progress,
  steps,
  replay,
  notifications,
  rebuild,
  growingSession,
  endedCalls,
  idleStreams,
  idleSessions,
  parkedTasks,
  kills,
  killsSessionless,
]
