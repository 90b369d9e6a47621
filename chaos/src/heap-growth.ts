import { readFile } from 'node:fs/promises'

/** What there is more of, in bytes of its own and in number. */
export type Grown = { what: string; bytes: number; count: number }

type Snapshot = {
  snapshot: { meta: { node_fields: string[]; node_types: [string[], ...unknown[]] } }
  nodes: number[]
  strings: string[]
}
type Sum = { bytes: number; count: number }

/** Of these each has a name that says what it is; of all others the type alone is told. */
const NAMED = new Set(['object', 'native', 'closure'])

/** Two files in the format of `v8.writeHeapSnapshot`: by type and constructor, what grew most first. */
export async function heapGrowth(before: string, after: string): Promise<Grown[]> {
  const earlier = sums(JSON.parse(await readFile(before, 'utf8')) as Snapshot)
  const later = sums(JSON.parse(await readFile(after, 'utf8')) as Snapshot)
  return [...later]
    .map(([what, { bytes, count }]) => {
      const was = earlier.get(what)
      return { what, bytes: bytes - (was?.bytes ?? 0), count: count - (was?.count ?? 0) }
    })
    .filter(({ bytes }) => bytes > 0)
    .toSorted((a, b) => b.bytes - a.bytes)
}

function sums({ snapshot: { meta }, nodes, strings }: Snapshot): Map<string, Sum> {
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => meta.node_fields.indexOf(field))
  const [types] = meta.node_types
  const found = new Map<string, Sum>()
  for (let at = 0; at < nodes.length; at += meta.node_fields.length) {
    const kind = types[nodes[at + type!]!]!
    const what = NAMED.has(kind) ? `${kind} ${strings[nodes[at + name!]!]}` : kind
    const sum = found.get(what) ?? { bytes: 0, count: 0 }
    sum.bytes += nodes[at + size!]!
    sum.count++
    found.set(what, sum)
  }
  return found
}
