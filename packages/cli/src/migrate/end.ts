import type { Store } from '@mcp-durable/core'
import type { Inspection } from '@mcp-durable/core/inspect'
import type { Transfer } from '@mcp-durable/core/transfer'

/** What is moved from, or to. */
export type End = {
  /** As people call it: `127.0.0.1:6379`, a file. */
  where: string
  /** What `durable()` of one name, or of none, keeps there. */
  part(name: string | undefined): Part
  close(): void
}
export type Part = { inspect: Inspection; transfer: Transfer; open(): Store }
