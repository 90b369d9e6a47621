import { startProgram } from '../processes.js'
import type { Contender } from './run-task.js'

export const ours: Contender = {
  name: 'mcp-durable',
  start: (redisUrl, ledger) =>
    startProgram('everything', ['--port', '0', '--redis', redisUrl, '--ledger', ledger]),
}
