import type { Transfer } from '@mcp-durable/core/transfer'
import { Reading } from '../inspect/reading.js'
import type { InspectableRedis } from '../inspect/reading.js'
import { Keys, prefixOf } from '../keys.js'
import { Pieces } from './pieces.js'
import { PiecePutter } from './put.js'

/**
 * Moves what `redisStore` keeps under a prefix and name, in either direction. Throws a `StoreError` where Redis can't be reached, or refuses.
 */
export function transferRedis(
  client: InspectableRedis,
  { prefix = 'mcp', name }: { prefix?: string; name?: string | undefined } = {},
): Transfer {
  const reading = new Reading(client)
  const keys = new Keys(prefixOf(prefix, name))
  const pieces = new Pieces(reading, keys)
  const putter = new PiecePutter(client, keys)
  return {
    names: () => pieces.names(),
    pieces: () => pieces.all(),
    put: (piece) => putter.put(piece),
  }
}
