import { hostname } from 'node:os'

/** What a node says about itself with every heartbeat, for people who look at the store. Times are ms since 1970. */
export type AboutNode = {
  host: string
  pid: number
  startedAt: number
  /** By the node's own clock, when it beat. */
  clock: number
  /** The name of the MCP server that it serves, once it has made a server object. */
  server?: string | undefined
}

const host = hostname()

export const encodeAbout = (about: Pick<AboutNode, 'startedAt' | 'server'>) =>
  JSON.stringify({ host, pid: process.pid, ...about, clock: Date.now() } satisfies AboutNode)

/** `undefined` for what no node of this version has said. */
export function decodeAbout(text: string): AboutNode | undefined {
  try {
    return JSON.parse(text) as AboutNode
  } catch {
    return undefined
  }
}
