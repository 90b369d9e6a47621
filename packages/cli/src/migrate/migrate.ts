import { isAlive } from '@mcp-durable/core/inspect'
import { bytesIn } from '@mcp-durable/core/transfer'
import type { Piece } from '@mcp-durable/core/transfer'
import { CliError } from '../errors.js'
import { placeOf } from '../look/node-names.js'
import { count } from '../show/text.js'
import type { End, Part } from './end.js'
import { Tally } from './tally.js'

/** A map that the target has until it is whole. */
const UNFINISHED = 'mcp-durable:unfinished-migration'
const FROM = 'from'
/** How many pieces are put at once, and how many bytes. */
const AT_ONCE = 100
const BYTES_AT_ONCE = 16 << 20
/** Clocks of stores may differ by as much from this one's. */
const MARGIN_MS = 60_000

export type Migration = {
  from: End
  to: End
  /** Of these names; the first one's part of the target says that it is not whole yet. */
  names: readonly [string | undefined, ...(string | undefined)[]]
  leaseMs: number
  /** Told now and then. */
  progress: (moved: Tally) => void
}

/** Moves everything, and compares. What is in the source stays there. Begun again after an interruption, it writes the same again. */
export async function migrate({ from, to, names, leaseMs, progress }: Migration): Promise<Tally> {
  const parts = names.map((name) => ({ source: from.part(name), target: to.part(name) }))
  const quiet = async () => {
    for (const { source, target } of parts) {
      await requireQuiet(source, from, leaseMs)
      await requireQuiet(target, to, leaseMs)
    }
  }
  await quiet()
  const [{ target: marked } = { target: to.part(undefined) }] = parts
  await begin(parts, marked, { from, to, leaseMs })
  const moved = new Tally()
  for (const { source, target } of parts) await copy(source, target, moved, progress)
  await quiet()
  await compare(parts, moved, to)
  await changeMarker(marked, { set: [], remove: [FROM] })
  return moved
}

type Ends = { from: End; to: End }
type Parts = ReadonlyArray<{ source: Part; target: Part }>

/** Whoever runs would write here, or there, and miss what is moved. */
async function requireQuiet({ inspect }: Part, { where }: End, leaseMs: number) {
  const nodes = await inspect.nodes.list()
  const alive = nodes.filter((node) => isAlive(node, leaseMs))
  if (alive.length === 0) return
  const names = alive.map(({ node, about }) => placeOf(about) ?? node)
  throw new CliError(`${count(alive.length, 'node')} of ${where} may be running: ${names.join(', ')}.`, [
    'Stop every process that uses either store, and try again. One that was killed counts for its lease (10 s).',
  ])
}

/** The target must be empty, or what an interrupted migration from the same source has left. */
async function begin(parts: Parts, marked: Part, { from, to, leaseMs }: Ends & { leaseMs: number }) {
  const isTarget = async () => {
    for (const { source } of parts) if ((await sourceOf(source)) !== undefined) return true
    return false
  }
  if (await isTarget())
    throw new CliError(`${from.where} is itself the target of a migration that was not finished.`, [
      'Finish that one first: give its --from and --to again.',
    ])
  const begun = await sourceOf(marked)
  if (begun === undefined) {
    for (const { target } of parts) await forgetNodes(target, await requireEmpty(target, to), leaseMs)
    await changeMarker(marked, { set: [[FROM, from.where]], remove: [] })
    if (!(await isTarget())) return
    await changeMarker(marked, { set: [], remove: [FROM] })
    throw new CliError(`${from.where} and ${to.where} are the same store.`, ['Give another --to.'])
  }
  if (begun !== from.where)
    throw new CliError(`${to.where} holds a part of what was moved from ${begun}.`, [
      `Give that as --from to finish it, or another --to: an empty store.`,
    ])
  for (const { source, target } of parts) await requireUnused(source, target, to)
}

/** The nodes that have come and gone. */
async function requireEmpty({ transfer }: Part, { where }: End): Promise<string[]> {
  const nodes: string[] = []
  for await (const piece of transfer.pieces()) {
    if (piece.kind === 'listed') continue
    if (piece.kind === 'node' && piece.held.length === 0) {
      nodes.push(piece.node)
      continue
    }
    throw new CliError(`${where} is not empty: it holds ${nounOf(piece)}.`, [
      'Give another --to: a file that is not there yet, or another Redis or --prefix.',
      'mcp-durable sessions, calls and map show what is there.',
    ])
  }
  return nodes
}

/** Else they would be taken for nodes that have run on what was moved. */
async function forgetNodes(part: Part, nodes: readonly string[], leaseMs: number) {
  const store = part.open()
  try {
    for (const node of nodes) await store.removeNode(node, leaseMs)
  } finally {
    await store.close()
  }
}

/** A node that has been on it meanwhile may have changed it. */
async function requireUnused(source: Part, target: Part, { where }: End) {
  const known = new Set((await source.inspect.nodes.list()).map(({ node }) => node))
  const others = (await target.inspect.nodes.list()).filter(({ node }) => !known.has(node))
  if (others.length > 0)
    throw new CliError(`${where} was used before all was moved there.`, [
      'Its nodes may have changed what was moved. Begin again with an empty --to.',
    ])
}

async function copy(source: Part, target: Part, moved: Tally, progress: (moved: Tally) => void) {
  let putting: Promise<void>[] = []
  let bytes = 0
  for await (const piece of source.transfer.pieces()) {
    // Pages of one log or map go one after the other.
    const isFull = putting.length >= AT_ONCE || bytes >= BYTES_AT_ONCE
    if (isFull || ('first' in piece && !piece.first)) {
      await Promise.all(putting)
      putting = []
      bytes = 0
      progress(moved)
    }
    putting.push(target.transfer.put(piece))
    bytes += bytesIn(piece)
    moved.add(piece)
  }
  await Promise.all(putting)
  progress(moved)
}

/**
 * The target holds what was put there, and nothing else. All goes there at the moment at which it would have gone from the source; so
 * what goes before both were read is left out, and the rest is the same however long that took.
 */
async function compare(parts: Parts, moved: Tally, { where }: End) {
  const found = await tallyOf(parts.map(({ target }) => target))
  const read = Date.now() + MARGIN_MS
  const [is, was] = [found.after(read), moved.after(read)]
  if (is.digest === was.digest) return
  throw new CliError(
    `${where} does not hold the same as the source: ${is.told} there, ${was.told} in the source.`,
    [
      'Something has changed one of them meanwhile, or their clocks differ by more than a minute.',
      'Begin again with an empty --to, while nothing runs.',
    ],
  )
}

async function tallyOf(parts: readonly Part[]): Promise<Tally> {
  const tally = new Tally()
  for (const { transfer } of parts)
    for await (const piece of transfer.pieces()) if (!isMarker(piece)) tally.add(piece)
  return tally
}

const isMarker = (piece: Piece) => piece.kind === 'map' && piece.map === UNFINISHED

/** Where an unfinished migration to here comes from. */
async function sourceOf({ inspect }: Part): Promise<string | undefined> {
  const [entry] = await inspect.maps.read(UNFINISHED, { limit: 1 })
  return entry?.[1]
}

async function changeMarker(part: Part, change: { set: [string, string][]; remove: string[] }) {
  const store = part.open()
  try {
    await store.changeMap(UNFINISHED, change)
  } finally {
    await store.close()
  }
}

function nounOf(piece: Piece): string {
  if (piece.kind === 'scope') return piece.version > 0 ? 'sessions' : 'calls or states'
  if (piece.kind === 'map') return 'maps'
  return piece.kind === 'history' ? 'histories' : 'data'
}
