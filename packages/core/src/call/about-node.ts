import { hostname } from 'node:os'
import { ERAS } from '../protocol.js'
import type { Era } from '../protocol.js'
import type { QuotaOptions } from '../quota-options.js'
import type { Keeping } from '../store/history.js'
import type { NodeBeat } from '../store/membership.js'
import type { Role } from './role.js'

/** What a node says about itself with every heartbeat, for people who look at the store. Times are ms since 1970. */
export type AboutNode = {
  host: string
  pid: number
  startedAt: number
  /** By the node's own clock, when it beat. */
  clock: number
  /** Of which versions of the protocol it can go on with calls; versions of this library that say nothing know sessions only. */
  eras?: readonly Era[]
  /** The name of the MCP server that it serves, once it has made a server object. */
  server?: string | undefined
  /** What it keeps in histories, if it does: so does whoever writes beside it. */
  history?: Keeping | undefined
  /** In which it counts calls, if it does: so does whoever makes calls beside it. */
  quotas?: readonly QuotaOptions[] | undefined
  /** Not there: `all`. */
  role?: Role | undefined
  /** That of its code, as `version` of `durable()` says. */
  version?: string | undefined
  /** Ids of the keys that it has to seal with, the one that seals first; none: it does not seal. */
  sealKeys?: readonly string[] | undefined
}

const host = hostname()

export const encodeAbout = (
  about: Pick<AboutNode, 'startedAt' | 'server' | 'history' | 'quotas' | 'role' | 'version' | 'sealKeys'>,
) => JSON.stringify({ host, pid: process.pid, ...about, eras: ERAS, clock: Date.now() } satisfies AboutNode)

/** `undefined` for what no node of this version has said. */
export function decodeAbout(text: string): AboutNode | undefined {
  try {
    return JSON.parse(text) as AboutNode
  } catch {
    return undefined
  }
}

/** Whether a node is there that takes calls over; one of a version without roles does. */
export const isWorkerAmong = (nodes: readonly NodeBeat[], leaseMs: number) =>
  nodes.some(({ lateMs, about }) => lateMs < leaseMs && decodeAbout(about)?.role !== 'serve')
