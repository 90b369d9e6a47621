import { readFileSync, statSync } from 'node:fs'
import { sealedStore } from '@mcp-durable/core'
import type { Store } from '@mcp-durable/core'
import { openedInspection, sealKeyIds } from '@mcp-durable/core/inspect'
import { CliError, messageOf } from '../errors.js'
import type { Connected } from './connected.js'

/** What others than its owner may do with a file. */
const OTHERS = 0o077

/** The keys of a file: one a line, in base64 or hex, the newest first. Lines that begin with `#` are left out. */
export function readKeys(path: string): string[] {
  let text: string
  try {
    // Windows says nothing of others here.
    const mayOthers = process.platform !== 'win32' && (statSync(path).mode & OTHERS) !== 0
    if (mayOthers)
      throw new CliError(`${path} may be read by others than its owner.`, [
        `Make it yours alone: chmod 600 ${path}`,
      ])
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(
      `${path} can't be read: ${messageOf(error)}`,
      ['Give the file of the keys: --key-file FILE'],
      {
        cause: error,
      },
    )
  }
  const lines = text.split(/\r?\n/).map((line) => line.trim())
  return lines.filter((line) => line !== '' && !line.startsWith('#'))
}

/** The same, with what is sealed opened by these keys, and by the secrets. */
export function withKeys<C extends Connected>(connected: C, path: string, secrets?: Store): C {
  const options = sealingWith(path, secrets)
  const inspect = explained(path, () => openedInspection(connected.inspect, options))
  return {
    ...connected,
    inspect,
    open: (plain = 'read') => sealedStore(connected.open(), { ...options, plain }),
  }
}

export const sealedWith = (store: Store, path: string, secrets?: Store): Store =>
  explained(path, () => sealedStore(store, sealingWith(path, secrets)))

export const sealingWith = (path: string, secrets: Store | undefined) => ({
  keys: readKeys(path),
  ...(secrets && { secrets }),
})

/** What the keys are known by. */
export const idsOfKeys = (path: string): string[] => explained(path, () => sealKeyIds(readKeys(path)))

function explained<T>(path: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new CliError(`${path} holds no keys: one a line, of 32 bytes, in base64 or hex.`, [
      'A new key: openssl rand -base64 32',
    ])
  }
}
