import type { Command } from '../command.js'
import { call } from './call.js'
import { calls } from './calls.js'
import { cancel } from './cancel.js'
import { clear } from './clear.js'
import { doctor } from './doctor.js'
import { exportSession } from './export.js'
import { fork } from './fork.js'
import { map } from './map.js'
import { migrate } from './migrate.js'
import { monitor } from './monitor.js'
import { proxy } from './proxy.js'
import { replay } from './replay.js'
import { reseal } from './reseal.js'
import { resume } from './resume.js'
import { retry } from './retry.js'
import { session } from './session.js'
import { sessions } from './sessions.js'
import { state } from './state.js'
import { tail } from './tail.js'

/** In the order of the help. */
export const commands: readonly Command[] = [
  monitor,
  sessions,
  session,
  calls,
  call,
  tail,
  state,
  map,
  exportSession,
  cancel,
  resume,
  retry,
  fork,
  replay,
  clear,
  migrate,
  reseal,
  doctor,
  proxy,
]
