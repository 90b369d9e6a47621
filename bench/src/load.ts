// The load generator: all clients of a run, in one process apart from the servers. Prints `listening on URL`.

import { serveCommands } from './commands.js'
import { alternating } from './load/alternating.js'
import { besideEachOther, endCalls, growth } from './load/growth.js'
import { closedLoop } from './load/closed-loop.js'
import { heard, listen, stopListening } from './load/listening.js'
import { beginNaps } from './load/naps.js'
import { rebuild } from './load/rebuild.js'
import { replay } from './load/replay.js'
import { createSessions, dropStreams, holdStreams } from './load/sessions.js'

const commands = {
  alternating,
  beginNaps,
  besideEachOther,
  closedLoop,
  createSessions,
  dropStreams,
  endCalls,
  growth,
  heard,
  holdStreams,
  listen,
  rebuild,
  replay,
  stopListening,
}
export type LoadCommands = typeof commands

console.log(`listening on ${await serveCommands(commands)}`)
