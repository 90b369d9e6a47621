/** The revision without sessions. */
export const SESSIONLESS = '2026-07-28'

const META = 'io.modelcontextprotocol/'

/** What a request says of its client. With `tasks`, a call may become a task. */
export const sessionlessMeta = ({ tasks = false } = {}) => ({
  [`${META}protocolVersion`]: SESSIONLESS,
  [`${META}clientInfo`]: { name: 'bench', version: '1.0.0' },
  [`${META}clientCapabilities`]: tasks ? { extensions: { [`${META}tasks`]: {} } } : {},
})

/** The headers of a call, beside those of every POST. */
export const sessionlessHeaders = (tool: string) => ({
  'mcp-protocol-version': SESSIONLESS,
  'mcp-method': 'tools/call',
  'mcp-name': tool,
})
