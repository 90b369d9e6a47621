import { hostname } from 'node:os'

/** What a node says about itself with every heartbeat, for people who look at the store. Times are ms since 1970. */
export type AboutNode = {
  host: string
  pid: number
  startedAt: number
  /** By the node's own clock, when it beat. */
  clock: number
}

const host = hostname()

export const encodeAbout = (startedAt: number) =>
  JSON.stringify({ host, pid: process.pid, startedAt, clock: Date.now() } satisfies AboutNode)

/** `undefined` for what no node of this version has said. */
export function decodeAbout(text: string): AboutNode | undefined {
  try {
    return JSON.parse(text) as AboutNode
  } catch {
    return undefined
  }
}
