import type { Command } from '../command.js'
import { call } from './call.js'
import { clear } from './clear.js'
import { doctor } from './doctor.js'
import { exportSession } from './export.js'
import { map } from './map.js'
import { monitor } from './monitor.js'
import { proxy } from './proxy.js'
import { session } from './session.js'
import { sessions } from './sessions.js'
import { state } from './state.js'
import { tail } from './tail.js'

/** In the order of the help. */
export const commands: readonly Command[] = [
  monitor,
  sessions,
  session,
  call,
  tail,
  state,
  map,
  exportSession,
  clear,
  doctor,
  proxy,
]
