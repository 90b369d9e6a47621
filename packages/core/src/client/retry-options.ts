import { checkMs } from '../check-ms.js'
import { checkNames } from '../known-options.js'

export type FetchLike = (url: string | URL, init?: RequestInit) => Promise<Response>

/** A JSON-RPC request in the body of a POST. */
export type SentRequest = { id: string | number; method: string; params?: { [key: string]: unknown } }

/** One attempt that failed and is about to be made again. */
export type RetryInfo = {
  method: string
  /** How many attempts have failed so far. */
  failed: number
  delayMs: number
  /** What `fetch` threw, or the response that was not what was wanted. */
  reason: unknown
}

/** Times in milliseconds. */
export type DurableFetchOptions = {
  /** Makes each attempt. Default: the global `fetch`. */
  fetch?: FetchLike
  /** How long attempts may go on failing, counted from the first that failed. Default: 60 s, the official clients' time-out. */
  giveUpAfterMs?: number
  /** Attempt n+1 follows after `initialDelayMs * 2^(n-1)`, at most `maxDelayMs`, less a random part. Default: 100 ms, 5 s. */
  initialDelayMs?: number
  maxDelayMs?: number
  /**
   * An attempt of which nothing comes for so long counts as broken: its node may be frozen. At first that is headers; then, unless
   * `mayRepeat` is against it, the first event of a stream, or more of an answer in JSON. Comments of a stream count, so it should be
   * more than `keepAliveMs` of the server. Default: 20 s.
   */
  headersWithinMs?: number
  /**
   * Asked before a POST is sent again that may have been carried out already; `false` gives the failure to the caller.
   * Default: always `true`. See `durableFetch` for what may then happen.
   */
  mayRepeat?: (request: SentRequest) => boolean
  /**
   * Lets a `tools/call` of protocol 2026-07-28 become a task on servers that offer the extension `io.modelcontextprotocol/tasks`, and
   * waits for its result, also through restarts of the server. Default: `false`.
   */
  tasks?: boolean
  /** Told before each further attempt. */
  onRetry?: (retry: RetryInfo) => void
}

export type RetrySettings = Required<Omit<DurableFetchOptions, 'onRetry'>> &
  Pick<DurableFetchOptions, 'onRetry'>

const TIMES = ['giveUpAfterMs', 'initialDelayMs', 'maxDelayMs', 'headersWithinMs']
const NAMES = ['fetch', ...TIMES, 'mayRepeat', 'tasks', 'onRetry']

export function retrySettings(options: DurableFetchOptions): RetrySettings {
  checkNames('durableFetch()', options, NAMES)
  const {
    // Looked up at each call, so that a `fetch` that is replaced later counts.
    fetch: ask = (url, init) => fetch(url, init),
    giveUpAfterMs = 60_000,
    initialDelayMs = 100,
    maxDelayMs = 5_000,
    headersWithinMs = 20_000,
    mayRepeat = () => true,
    tasks = false,
    onRetry,
  } = options
  const times = { giveUpAfterMs, initialDelayMs, maxDelayMs, headersWithinMs }
  for (const [name, ms] of Object.entries(times)) checkMs(`durableFetch(): \`${name}\``, ms)
  return { fetch: ask, ...times, mayRepeat, tasks, onRetry }
}
