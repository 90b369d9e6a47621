import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { registerContentTools } from './fixtures/content-tools.js'
import { registerInputRequired } from './fixtures/input-required.js'
import { registerJsonSchemaTool } from './fixtures/json-schema-tool.js'
import { registerLedgerTools } from './fixtures/ledger-tools.js'
import { registerNodeTools } from './fixtures/node-tools.js'
import { registerPrompts } from './fixtures/prompts.js'
import { registerQuestionTools } from './fixtures/question-tools.js'
import { registerResources } from './fixtures/resources.js'
import { registerStreamTools } from './fixtures/stream-tools.js'
import { registerTaskTools } from './fixtures/task-tools.js'
import { streamToolsList } from './fixtures/streamed-list.js'

export interface EverythingOptions {
  /** What `which_node` answers; by default the process, as in `pid 4711`. */
  nodeName?: string
  /** The file in which the ledger tools note what they do; without it there are none. */
  ledger?: string | undefined
}

/**
 * A server with every fixture that the official conformance suites ask for, and a few tools that show which
 * node does what. Nothing in it knows of sessions, stores or other nodes.
 */
export function createEverythingServer({
  nodeName = `pid ${process.pid}`,
  ledger,
}: EverythingOptions = {}): McpServer {
  const server = new McpServer(
    { name: 'everything', version: '1.0.0' },
    {
      capabilities: {
        resources: { subscribe: true, listChanged: true },
        prompts: { listChanged: true },
        logging: {},
        completions: {},
      },
    },
  )
  streamToolsList(server)
  registerContentTools(server)
  registerStreamTools(server)
  registerQuestionTools(server)
  registerInputRequired(server)
  registerJsonSchemaTool(server)
  registerTaskTools(server)
  registerNodeTools(server, nodeName)
  if (ledger !== undefined) registerLedgerTools(server, ledger)
  registerResources(server)
  registerPrompts(server)
  return server
}
