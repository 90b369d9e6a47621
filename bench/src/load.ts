// The load generator: all clients of a run, in one process apart from the servers. Prints `listening on URL`.

import { serveCommands } from './commands.js'
import { growth, rebuild } from './load/blocks.js'
import { closedLoop } from './load/closed-loop.js'
import { heard, listen, stopListening } from './load/listening.js'
import { pings } from './load/pings.js'
import { replay } from './load/replay.js'
import { createSessions, dropStreams, holdStreams } from './load/sessions.js'

const commands = {
  closedLoop,
  createSessions,
  dropStreams,
  growth,
  heard,
  holdStreams,
  listen,
  pings,
  rebuild,
  replay,
  stopListening,
}
export type LoadCommands = typeof commands

console.log(`listening on ${await serveCommands(commands)}`)
