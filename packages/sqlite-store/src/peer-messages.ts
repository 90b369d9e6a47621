import type { Appended } from '@mcp-durable/core/store'

/**
 * What has changed, for those who watch. With the topic `resync` it concerns every scope of every name: something was not told, and
 * whoever watches looks by itself.
 */
export type Wake = {
  name: string | undefined
  scope: string
  topic: string
  value: string
  appended?: Appended
}

/** What processes say to each other. Lines of JSON; one of a kind that is not known is that of a newer version, and is passed over. */
export type Message =
  /** A transaction has ended, with these changes. */
  | { kind: 'wakes'; wakes: readonly Wake[] }
  /** It wants to write, since that time. */
  | { kind: 'waits'; since: number }
  | { kind: 'asks'; question: number; name: string | undefined; scope: string }
  | { kind: 'answers'; question: number; isWatched: boolean }

/** What concerns the connection itself. `resync`: some messages before it were left out. `bye`: there will be no more. */
export type LinkMessage = { kind: 'hello'; id: string } | { kind: 'resync' } | { kind: 'bye' }

export const lineOf = (message: Message | LinkMessage) => `${JSON.stringify(message)}\n`
