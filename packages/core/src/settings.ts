import { z } from 'zod'
import { hostEntry, originEntry } from './allowed-headers.js'
import { MAX_RECORD_BYTES } from './errors.js'

const ms = z.number().int().positive()
const count = z.number().int().positive()

/** A list of what a header may say, each as it would come. */
const headerValues = (parsed: (entry: string) => string | undefined, right: string) =>
  z.array(
    z.string().transform((entry, context) => {
      const value = parsed(entry)
      if (value === undefined)
        context.addIssue({ code: 'custom', message: `'${entry}' never comes like this: give ${right}` })
      return value ?? ''
    }),
  )

/** Numbers and lists a deployment may set. Times in milliseconds, sizes in bytes. */
const settings = z.object({
  /** How long a session lives after its last use. */
  sessionTtlMs: ms.default(24 * 60 * 60_000),
  /** How long the events of a call can be read again after its response. */
  resumeWindowMs: ms.default(15 * 60_000),
  /** How many messages the standalone stream of a session keeps. */
  maxStandaloneEvents: count.default(1000),
  /** How many bytes they may have in all; older ones go first, and the newest always has room. */
  maxStandaloneBytes: count.default(16 * 1024 * 1024),
  /**
   * Bytes of one record of a call: its request, a message, what a step comes to, its result; and of one change of a map or of
   * the session's state.
   */
  maxRecordBytes: count.default(MAX_RECORD_BYTES),
  /** Bytes of all answers to the questions of one open call. */
  maxInboxBytes: count.default(64 * 1024 * 1024),
  /** How long an unused server object stays in memory. */
  serverIdleMs: ms.default(60_000),
  /** Server objects in memory; beyond it idle ones go early, and new sessions wait if there are none. */
  maxServers: count.default(10_000),
  /** Largest request body. */
  maxBodyBytes: count.default(4 * 1024 * 1024),
  /** Largest message of a handler or an upstream; a larger one ends its request with an error. */
  maxAnswerBytes: count.default(16 * 1024 * 1024),
  /** Open calls of one session, over all nodes. */
  maxOpenCalls: count.default(1000),
  /** Bytes of their requests, those aside that have up to 16 KiB; the first larger one always has room. */
  maxOpenBytes: count.default(64 * 1024 * 1024),
  /** Open streams of one session on one node. */
  maxOpenStreams: count.default(1000),
  /** Live sessions of one principal; sessions without a principal are not counted. */
  maxSessionsPerPrincipal: count.default(1000),
  /** Past that, end the principal's session that was idle for longest, if it is not in use, instead of refusing a new one. */
  evictSessions: z.boolean().default(true),
  /** Resource subscriptions and other state entries of one session. */
  maxStateEntries: count.default(1000),
  /** Time between comments on an idle stream. */
  keepAliveMs: ms.default(15_000),
  /** Age at which a stream ends so that the client comes back, if it can resume. */
  maxStreamAgeMs: ms.default(10 * 60_000),
  /** How long a connection may take no data before it is ended. */
  stallTimeoutMs: ms.default(30_000),
  /** What clients are told to wait before they reconnect. */
  retryMs: z.number().int().nonnegative().default(1000),
  /** Time between checks for messages that a lost wake-up has hidden. */
  reconcileEveryMs: ms.default(5_000),
  /** How often a call is begun, the first run included, before it is given up. */
  maxAttempts: count.default(5),
  /**
   * How long a call whose node is gone waits for one that can run it, when those that claim it can't make its server object
   * or don't have its tool. 0: it ends at once.
   */
  maxUnservedMs: z
    .number()
    .int()
    .nonnegative()
    .default(5 * 60_000),
  /** How long a running call waits for an upstream that can't be reached. */
  upstreamGraceMs: ms.default(30_000),
  /** Time between heartbeats of this node. */
  heartbeatMs: ms.default(500),
  /** A node whose heartbeat is this late is dead. One that is also off its channel is dead sooner. */
  leaseMs: ms.default(10_000),
  /** Time between looks at the other nodes. */
  sweepMs: ms.default(1000),
  /** Replay every durable handler against its own journal when it has ended, and log what differs. Default: not in production. */
  validateEffects: z.boolean().default(() => process.env['NODE_ENV'] !== 'production'),
  /** Values of the Host header to accept. Default: any, except that browsers must come from this host or from loopback. */
  allowedHosts: headerValues(
    hostEntry,
    'a host as in example.com or localhost:3000, no scheme, path or wildcard',
  )
    .nonempty()
    .optional(),
  /** Values of the Origin header to accept from browsers. */
  allowedOrigins: headerValues(
    originEntry,
    'an origin as in https://example.com or http://localhost:3000, no path, slash at the end or wildcard',
  ).optional(),
})

export type Settings = z.infer<typeof settings>
export const SETTINGS: readonly string[] = Object.keys(settings.shape)

/** Throws a `TypeError` that names what is wrong. */
export function parseSettings(options: object): Settings {
  const parsed = settings.safeParse(options)
  if (parsed.success) return parsed.data
  throw new TypeError(`durable(): ${z.prettifyError(parsed.error)}`)
}
