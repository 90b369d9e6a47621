import type { InspectedFile } from '@mcp-durable/sqlite-store/inspect'
import type { SqliteConnected } from '../connect/connected.js'
import { quoted } from '../show/shell.js'
import { bytes } from '../show/text.js'
import { note, ok, risk } from './finding.js'
import type { Examination, Finding } from './finding.js'
import { checkNodes } from './node-checks.js'
import { checkSealing } from './seal-checks.js'
import { checkCalls, checkDiverged } from './session-checks.js'

const LARGE_WAL = 256 * 1024 ** 2
const LITTLE_SPACE = 256 * 1024 ** 2
/** Reading more would take long. */
const MOST_CHECKED = 1024 ** 3

/** The file, nodes, and calls. */
export async function examineSqlite(
  { inspect }: SqliteConnected,
  { leaseMs, mostSessions, privacy, stored, keyIds }: Examination,
): Promise<Finding[]> {
  const file = await inspect.file.read()
  const nodes = await inspect.nodes.list()
  const looked = { nodes, leaseMs, privacy }
  return [
    ...(file
      ? [
          checkPlace(file),
          checkMode(file),
          checkJournal(file),
          checkSize(file),
          checkSpace(file),
          checkIntegrity(file, inspect.file.quickCheck()),
        ]
      : []),
    ...checkNodes(looked),
    ...(await checkCalls(inspect, { ...looked, most: mostSessions })),
    ...(await checkDiverged(inspect, { ...looked, most: mostSessions })),
    ...(await checkSealing(stored, { ...looked, keyIds })),
  ]
}

function checkPlace({ path, version, network }: InspectedFile): Finding {
  const found = `${path}, schema ${version}`
  if (network === undefined) return ok('file', found)
  return risk('file', `${found}, on ${network}`, {
    risk: 'on a network file system, locks may not hold: processes damage the file',
    fix: 'move it to a local disk while nothing runs; for several machines: mcp-durable migrate --to redis://HOST:PORT',
  })
}

function checkMode({ path, mode }: InspectedFile): Finding {
  const found = `0${mode.toString(8)}`
  if ((mode & 0o077) === 0) return ok('permissions', found)
  return risk('permissions', found, {
    risk: 'other users of this machine may read what clients and tools have sent',
    fix: `chmod 600 ${quoted(path)}*`,
  })
}

function checkJournal({ journalMode, walSize, path }: InspectedFile): Finding {
  if (journalMode !== 'wal')
    return risk('journal mode', journalMode, {
      risk: 'readers and writers shut each other out; something else than the library has changed it',
      fix: `sqlite3 ${quoted(path)} 'PRAGMA journal_mode = WAL'`,
    })
  const found = `wal, with ${bytes(walSize)} that are not in the file itself yet`
  if (walSize < LARGE_WAL) return ok('journal mode', found)
  return note('journal mode', found, {
    risk: 'something reads for long, a backup perhaps: until it has ended the write-ahead log grows',
  })
}

function checkSize({ size, free }: InspectedFile): Finding {
  return ok('size', `${bytes(size)}, of which ${bytes(free)} hold nothing`)
}

function checkSpace({ disk, path }: InspectedFile): Finding {
  const found = `${bytes(disk.free)} of ${bytes(disk.size)} free`
  if (disk.free > LITTLE_SPACE) return ok('disk', found)
  return risk('disk', found, {
    risk: 'when it is full, new sessions and calls get 503, and running calls stand still',
    fix: `df -h ${quoted(path)}`,
  })
}

function checkIntegrity({ size, path }: InspectedFile, tables: Iterable<string[]>): Finding {
  if (size > MOST_CHECKED)
    return note('integrity', `not looked at: the file has ${bytes(size)}`, {
      fix: `sqlite3 ${quoted(path)} 'PRAGMA quick_check'`,
    })
  for (const damage of tables) {
    const [first] = damage
    if (first === undefined) continue
    return risk('integrity', first, {
      risk: 'the file is damaged: by the disk, by a copy that was made while it was written, or by a network file system',
      fix: `sqlite3 ${quoted(path)} .recover > rest.sql, while nothing runs; or take the last backup`,
    })
  }
  return ok('integrity', 'nothing is damaged')
}
