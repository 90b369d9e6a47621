import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import {
  StreamableHTTPClientTransport,
  StreamableHTTPError,
} from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { LATEST_PROTOCOL_VERSION, type CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { fail, messageOf, readFlags, urlFlag, usageError } from './cli.js'
import { formatTable } from './table.js'

const usage = `usage: node dist/continue-session.js [--base URL …] [--tool NAME] [--arguments JSON] [--] SESSION_ID

Goes on with a session that somebody else began: lists the tools and calls one, on any node. Exits with 0 if
every node knew the session. An id that begins with a dash stands behind --.

  --base URL          the MCP endpoint of a node or of the load balancer; more than one are asked in turn
                      (default http://127.0.0.1:3000/mcp)
  --tool NAME         what to call (default which_node)
  --arguments JSON    what to call it with (default {})
  --protocol VERSION  what the session negotiated (default ${LATEST_PROTOCOL_VERSION})`

const { values, positionals } = readFlags(usage, {
  allowPositionals: true,
  options: {
    base: { type: 'string', multiple: true, default: ['http://127.0.0.1:3000/mcp'] },
    tool: { type: 'string', default: 'which_node' },
    arguments: { type: 'string', default: '{}' },
    protocol: { type: 'string', default: LATEST_PROTOCOL_VERSION },
  },
})
const [sessionId, ...others] = positionals
if (sessionId === undefined || others.length > 0) {
  usageError('give one SESSION_ID, as in the Mcp-Session-Id header that answered initialize', usage)
}
const bases = values.base.map((text) => urlFlag('base', text, ['http:', 'https:'], usage))
const toolArguments = objectFlag('arguments', values.arguments)

try {
  const rows: string[][] = []
  for (const base of bases) rows.push(await goOn(base, sessionId))
  console.log(formatTable(['node', 'tools', values.tool], rows, ['tools']))
} catch (error) {
  fail(messageOf(error))
}

async function goOn(base: URL, session: string): Promise<string[]> {
  // With a session id the client does not initialize again, so nobody tells the transport the version.
  const transport = new StreamableHTTPClientTransport(base, { sessionId: session })
  transport.setProtocolVersion(values.protocol)
  const client = new Client({ name: 'continue-session', version: '1.0.0' })
  try {
    await client.connect(transport)
    const { tools } = await client.listTools()
    const result = await client.callTool({ name: values.tool, arguments: toolArguments })
    const answer = textOf(result as CallToolResult)
    if (result.isError === true) throw new Error(`${values.tool} failed on ${base.href}: ${answer}`)
    return [base.host, String(tools.length), answer]
  } catch (error) {
    throw explain(error, base)
  } finally {
    await client.close()
  }
}

function textOf({ content }: CallToolResult): string {
  return content.map((part) => (part.type === 'text' ? part.text : `(${part.type})`)).join(' ')
}

function explain(error: unknown, base: URL): unknown {
  if (error instanceof StreamableHTTPError && error.code === 404) {
    return new Error(
      `${base.href} does not know this session; it has ended or expired, or the id is another's`,
    )
  }
  if (error instanceof TypeError) {
    return new Error(`nobody answers at ${base.href}; is the node running?`, { cause: error })
  }
  return error
}

function objectFlag(name: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Told below, together with values that are JSON but no object.
  }
  return usageError(`--${name} must be a JSON object, not '${text}'`, usage)
}
