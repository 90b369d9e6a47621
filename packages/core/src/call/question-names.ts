import { isWellFormed } from '../ids.js'

/**
 * What a client without a session answers a question by that was asked under a name: that name. UTF-8 can't hold half a surrogate
 * pair; such a name is spelt out, behind a line break, with which no name begins.
 */
export const keyOf = (name: string) => (isWellFormed(name) ? name : `\n${JSON.stringify(name)}`)

/** As it stands in a record. */
export const encodeName = (name: string) => encodeURIComponent(keyOf(name))

export const decodeKey = (recorded: string) => decodeURIComponent(recorded)

export function decodeName(recorded: string): string {
  const key = decodeKey(recorded)
  return key.startsWith('\n') ? (JSON.parse(key) as string) : key
}
