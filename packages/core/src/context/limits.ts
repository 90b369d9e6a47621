import { MAX_RECORD_BYTES } from '../errors.js'

/** What bounds that which calls keep; settings of `durable()`, where they are described. */
export type ContextLimits = {
  maxRecordBytes: number
  maxStateBytes: number
  maxHandlesPerPrincipal: number
  sessionTtlMs: number
}

/** Where nobody sets them. */
export const DEFAULT_LIMITS: ContextLimits = {
  maxRecordBytes: MAX_RECORD_BYTES,
  maxStateBytes: 16 * 1024 * 1024,
  maxHandlesPerPrincipal: 1000,
  sessionTtlMs: 24 * 60 * 60_000,
}
