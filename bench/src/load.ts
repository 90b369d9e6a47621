// The load generator: all clients of a run, in one process apart from the servers. Prints `listening on URL`.

import { serveCommands } from './commands.js'
import { closedLoop } from './load/closed-loop.js'
import { pings } from './load/pings.js'

const commands = { closedLoop, pings }
export type LoadCommands = typeof commands

console.log(`listening on ${await serveCommands(commands)}`)
