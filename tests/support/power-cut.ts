import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

// What is left on the disk when the power fails: a process is run under strace, which tells every write, sync and answer in their order;
// then, for each moment, the files are made again as a disk may hold them. What was synced is there. Of what was written since, there
// may be nothing, all, or any blocks, as the disk reorders them.

export type DiskEvent =
  | { kind: 'write'; file: string; offset: number; data: Buffer }
  | { kind: 'truncate'; file: string; size: number }
  | { kind: 'sync'; file: string }
  | { kind: 'remove'; file: string }
  /** The process has told somebody (a line on its stdout). */
  | { kind: 'told'; line: string }

/** `unsynced`: how much of what was not synced is on the disk. */
export type Cut = { after: number; unsynced: 'none' | 'all' | 'some'; told: readonly string[] }

const BLOCK = 512
const CALLS = 'openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink'
const exec = promisify(execFile)

/** Runs `node ARGS` to its end, and tells what it did to files of this name, and to those whose names begin with it. */
export async function recordDisk(
  args: readonly string[],
  database: string,
  log: string,
): Promise<DiskEvent[]> {
  const strace = ['-f', '-y', '-xx', '-s', '1000000', '-e', `trace=${CALLS}`, '-o', log]
  await exec('strace', [...strace, process.execPath, ...args], { timeout: 60_000, maxBuffer: 1e8 })
  return readFileSync(log, 'latin1')
    .split('\n')
    .flatMap((line) => eventOf(line, database) ?? [])
}

const SYSCALL = /^\d+ +(\w+)\((.*)\) += (-?\d+)/

function eventOf(line: string, database: string): DiskEvent | undefined {
  const [, name = '', args = '', result = ''] = SYSCALL.exec(line) ?? []
  const [target = '', ...texts] = [...args.matchAll(/(?:\\x[0-9a-f]{2})+/g)].map(([hex]) => unhexed(hex))
  const path = target.toString()
  if (name === 'write' && args.startsWith('1<'))
    return { kind: 'told', line: (texts[0] ?? '').toString().trim() }
  // The shared memory is made anew from the log.
  if (
    !path.startsWith(database) ||
    path.endsWith('-shm') ||
    path.includes('/', database.length) ||
    Number(result) < 0
  )
    return undefined
  const file = basename(path)
  const last = Number(/(\d+)$/.exec(args)?.[1])
  if (name === 'pwrite64') return { kind: 'write', file, offset: last, data: texts[0] ?? Buffer.alloc(0) }
  if (name === 'ftruncate') return { kind: 'truncate', file, size: last }
  if (name === 'unlink') return { kind: 'remove', file }
  return name === 'fsync' || name === 'fdatasync' ? { kind: 'sync', file } : undefined
}

const unhexed = (hex: string) => Buffer.from(hex.replaceAll('\\x', ''), 'hex')

/** Every moment at which something may be lost that was not before: what was synced alone after each word, the rest after each write. */
export function cutsOf(events: readonly DiskEvent[]): Cut[] {
  const told: string[] = []
  return events.flatMap((event, index): Cut[] => {
    if (event.kind === 'told') told.push(event.line)
    const all = (['none', 'all', 'some'] as const).map((unsynced) => ({
      after: index + 1,
      unsynced,
      told: [...told],
    }))
    if (event.kind === 'told') return all.slice(0, 1)
    return event.kind === 'write' || event.kind === 'truncate' ? all.slice(1) : []
  })
}

/** Writes into a folder what the disk holds after a cut. `random`: numbers from 0 to 1. */
export function restore(events: readonly DiskEvent[], cut: Cut, folder: string, random: () => number) {
  const files = new Map<string, { disk: Image; pending: DiskEvent[] }>()
  for (const event of events.slice(0, cut.after)) {
    if (event.kind === 'told') continue
    if (event.kind === 'remove') {
      files.delete(event.file)
      continue
    }
    const file = files.get(event.file) ?? { disk: new Image(), pending: [] }
    files.set(event.file, file)
    if (event.kind === 'sync') for (const before of file.pending.splice(0)) file.disk.apply(before)
    else file.pending.push(event)
  }
  mkdirSync(folder, { recursive: true })
  for (const [name, { disk, pending }] of files) {
    const parts = cut.unsynced === 'some' ? pending.flatMap(blocksOf) : pending
    for (const part of parts)
      if (cut.unsynced === 'all' || (cut.unsynced === 'some' && random() < 0.5)) disk.apply(part)
    writeFileSync(join(folder, name), disk.content)
  }
}

/** What a file holds. */
class Image {
  #bytes = Buffer.alloc(0)
  #size = 0

  get content() {
    return this.#bytes.subarray(0, this.#size)
  }

  apply(event: DiskEvent) {
    if (event.kind === 'truncate') {
      this.#bytes.fill(0, event.size)
      this.#resize(event.size)
    }
    if (event.kind !== 'write') return
    this.#resize(Math.max(this.#size, event.offset + event.data.length))
    event.data.copy(this.#bytes, event.offset)
  }

  #resize(size: number) {
    if (size > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * size)
    this.#size = size
  }
}

function blocksOf(event: DiskEvent): DiskEvent[] {
  if (event.kind !== 'write') return [event]
  const blocks: DiskEvent[] = []
  for (let from = 0; from < event.data.length;) {
    const to = from + BLOCK - ((event.offset + from) % BLOCK)
    blocks.push({ ...event, offset: event.offset + from, data: event.data.subarray(from, to) })
    from = to
  }
  return blocks
}
