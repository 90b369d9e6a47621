import type { RecordedCall, ReplayReport } from '@mcp-durable/core/testing'

/** What the thread of the code is asked. */
export type Asked = { call: RecordedCall; withinMs: number }

/** What it says: once that it is ready or has failed, and then a report for each call. */
export type Said =
  { ready: true } | { failed: string; lines: string[]; code?: string } | { report: ReplayReport }
