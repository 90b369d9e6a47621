import { startCommand } from '../processes.js'
import { script } from './python.js'
import type { Contender } from './run-task.js'

export const rival = (python: string): Contender => ({
  name: 'FastMCP + Docket',
  start: (redisUrl, ledger) =>
    startCommand('docket_server.py', python, [script('docket_server.py'), `${redisUrl}/0`, ledger]),
})
