// The server of the tests over stdio: a process for each session, which knows nothing of the nodes before it.

import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { readFlags } from './flags.js'
import { createServer as createServer1 } from './server-sdk1.js'
import { createServer as createServer2 } from './server-sdk2.js'
import { SharedDir } from './shared-dir.js'
import { tools } from './tools.js'

const flags = readFlags(process.argv.slice(2))
const dir = new SharedDir(flags.dir)
dir.record('started', 'stdio')
process.stderr.write('serves stdio\n')
if (flags.sdk === 1) await createServer1(tools(dir)).connect(new StdioServerTransport())
else serveStdio(() => createServer2(tools(dir)))
// The transports of the SDK leave it to the server to end with its input.
process.stdin.once('end', () => process.exit(0))
