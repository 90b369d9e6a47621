import { z } from 'zod'
import { hostEntry, originEntry } from './allowed-headers.js'
import { DEFAULT_LIMITS } from './context/limits.js'
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

/** Numbers and lists a deployment may set. Times in milliseconds, sizes in bytes. docs/settings.md has them in this order and these words. */
const settings = z.object({
  /** How long a session lives after its last use; and the state of a principal (2026-07-28). */
  sessionTtlMs: ms.default(DEFAULT_LIMITS.sessionTtlMs),
  /** How long the events of a call can be read again after its response. */
  resumeWindowMs: ms.default(15 * 60_000),
  /** How many messages the standalone stream of a session keeps. */
  maxStandaloneEvents: count.default(1000),
  /** How many bytes those may have in all. Older ones go first; the newest always has room. */
  maxStandaloneBytes: count.default(16 * 1024 * 1024),
  /**
   * Bytes of one record of a call (its request, a message, a step, its result), and of one change of a map or of a
   * state. Past it: 413 for a request, else an error.
   */
  maxRecordBytes: count.default(MAX_RECORD_BYTES),
  /** Bytes of all answers to the questions of one open call. Past it: 413. */
  maxInboxBytes: count.default(64 * 1024 * 1024),
  /** How long a call without a session (2026-07-28) waits for its client's answers, each time it asks; then it is cancelled. */
  inputTtlMs: ms.default(60 * 60_000),
  /** How long a task is kept after it was created, whether or not it has ended. One that runs for longer is cancelled. */
  taskTtlMs: ms.default(24 * 60 * 60_000),
  /** How long a call of a durable tool runs before it becomes a task, if its client takes tasks or there are `taskTools()`. */
  taskAfterMs: z.number().int().nonnegative().default(500),
  /** How long an unused server object stays in memory, and a durable call without a session that only waits: for its client, or for a time. */
  serverIdleMs: ms.default(60_000),
  /** Server objects in memory. Past it, idle ones go early; if all are at work, a request that needs one more gets 503. */
  maxServers: count.default(10_000),
  /** Bytes of a request body. Past it: 413. */
  maxBodyBytes: count.default(4 * 1024 * 1024),
  /** Bytes of one message of a `handler`, an `upstream` or a server of `stdio`. Past it, its request ends with an error. */
  maxAnswerBytes: count.default(16 * 1024 * 1024),
  /** Open calls of one session, over all nodes. Past it: 429. */
  maxOpenCalls: count.default(1000),
  /** Open calls without sessions (2026-07-28) of one principal, over all nodes; those without a principal are not counted. Past it: 429. */
  maxOpenCallsPerPrincipal: count.default(1000),
  /** Bytes of the requests of open calls of one session. Those of up to 16 KiB don't count; the first larger one always has room. Past it: 429. */
  maxOpenBytes: count.default(64 * 1024 * 1024),
  /** Open streams of one session on one node, or of one caller that listens without one. Past it: 429. */
  maxOpenStreams: count.default(1000),
  /** Live sessions of one principal; those without a principal are not counted. Past it, `evictSessions` decides. */
  maxSessionsPerPrincipal: count.default(1000),
  /**
   * Whether a new session ends the one of its principal that was idle for longest and is not in use. If not, or if all are
   * in use: 429.
   */
  evictSessions: z.boolean().default(true),
  /** Bytes of all values of one state that is no session's: a principal's (2026-07-28), or that of a handle. Past it, a change is an error. */
  maxStateBytes: count.default(DEFAULT_LIMITS.maxStateBytes),
  /** Handles of one principal (`ctx.handle`); those without a principal are not counted. Past it, creating one is an error. */
  maxHandlesPerPrincipal: count.default(DEFAULT_LIMITS.maxHandlesPerPrincipal),
  /** Resource subscriptions and other state entries of one session. Past it, a request gets an error, a notification 429. */
  maxStateEntries: count.default(1000),
  /** Time between comments on an idle stream. */
  keepAliveMs: ms.default(15_000),
  /** Age at which a stream ends, so that its client resumes it; only for clients that can. */
  maxStreamAgeMs: ms.default(10 * 60_000),
  /** How long a connection may take no data before it is ended. */
  stallTimeoutMs: ms.default(30_000),
  /** What clients are told to wait before they reconnect. */
  retryMs: z.number().int().nonnegative().default(1000),
  /** Time between looks for messages whose wake-up got lost. */
  reconcileEveryMs: ms.default(5_000),
  /** How often a call is begun, the first run included, before it ends with an error. */
  maxAttempts: count.default(5),
  /** How long a call whose node is gone waits for a node that can run it. 0: it ends at once. */
  maxUnservedMs: z
    .number()
    .int()
    .nonnegative()
    .default(5 * 60_000),
  /**
   * How long a new step of a call that is run again waits for all recorded ones, before the call is parked. A recorded one waits as
   * long, or 1 s, for earlier ones.
   */
  divergesAfterMs: ms.default(30_000),
  /** How long a running call waits for an `upstream` that can't be reached. */
  upstreamGraceMs: ms.default(30_000),
  /** Time between heartbeats of this node. */
  heartbeatMs: ms.default(500),
  /** How late the heartbeat of a dead node is. A node that does not listen to Redis either is dead sooner. */
  leaseMs: ms.default(10_000),
  /** Time between looks at the other nodes. */
  sweepMs: ms.default(1000),
  /** Whether to replay every durable handler against its own journal when it has ended, and log what differs. */
  validateEffects: z.boolean().default(() => process.env['NODE_ENV'] !== 'production'),
  /** Values of the `Host` header to accept; else 403. Default: any. */
  allowedHosts: headerValues(
    hostEntry,
    'a host as in example.com or localhost:3000, no scheme, path or wildcard',
  )
    .nonempty()
    .optional(),
  /** Values of the `Origin` header to accept; else 403. Default: from loopback to loopback, and from the same host over HTTPS. */
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
