/** Capabilities of the server objects, and what they offer beside tools. */
export const capabilities = {
  tools: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  prompts: {},
  logging: {},
}

export const resultOf = (text: string) => ({
  content: [
    { type: 'text' as const, text },
    { type: 'text' as const, text: String(process.pid) },
  ],
})

type ReadResource = (uri: URL) => { contents: { uri: string; text: string }[] }
interface ResourceRegistry {
  registerResource(name: string, uri: string, config: object, read: ReadResource): unknown
}

export function registerContent(mcp: ResourceRegistry) {
  mcp.registerResource('greeting', 'test://greeting', {}, ({ href }) => ({
    contents: [{ uri: href, text: `hello from ${process.pid}` }],
  }))
}
