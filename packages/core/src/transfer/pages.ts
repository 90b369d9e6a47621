import type { Piece } from './pieces.js'

/** As many as one piece has, or as come to a MiB. */
const PAGE = 200
const PAGE_BYTES = 1 << 20
const FIRST_READ = 8

/**
 * What `read` answers behind an item, in pages; one ends with the item that brings it to a MiB. Items may be large: no more are asked for
 * at once than are likely to fit. Fewer than that are the last.
 */
export async function* pagesOf<T>(
  read: (after: T | undefined, most: number) => Promise<readonly T[]>,
  bytesOf: (item: T) => number,
): AsyncGenerator<{ page: T[]; first: boolean }, void> {
  let [page, bytes, first, most]: [T[], number, boolean, number] = [[], 0, true, FIRST_READ]
  for (let last: T | undefined; ;) {
    const items = await read(last, most)
    let sum = 0
    for (const item of items) {
      const size = bytesOf(item)
      page.push(item)
      bytes += size
      sum += size
      if (page.length < PAGE && bytes < PAGE_BYTES) continue
      yield { page, first }
      ;[page, bytes, first] = [[], 0, false]
    }
    if (items.length < most) break
    last = items.at(-1)
    most = Math.min(PAGE, Math.max(1, Math.floor((PAGE_BYTES * items.length) / Math.max(1, sum))))
  }
  if (page.length > 0) yield { page, first }
}

/** How many bytes of data it has, about. */
export function bytesIn(piece: Piece): number {
  switch (piece.kind) {
    case 'log':
      return sumOf(piece.entries, ({ data }) => data)
    case 'history':
      return sumOf(piece.entries, ({ data }) => data)
    case 'values':
      return sumOf(piece.values, ({ data }) => data)
    case 'map':
      return sumOf(piece.entries, ([, value]) => value)
    case 'scope':
      return sumOf(piece.state, ({ data }) => data)
    default:
      return 0
  }
}

const sumOf = <T>(items: readonly T[], dataOf: (item: T) => string) =>
  items.reduce((sum, item) => sum + Buffer.byteLength(dataOf(item)), 0)
