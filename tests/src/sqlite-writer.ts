// A process that writes into a file of SQLite and says so to the others, or listens to them. Prints `ready`, and `write M overtaken N` for each of its
// transactions: how many others have written since it wanted to.
//   --file FILE   --id N: what it writes as
//   --rows N: of a transaction (default 1)
//   --bytes N: of what it says of each (default 1)
//   --every MS    between two writes (default: without a pause)
//   --alone       asks nobody for a turn
//   --listens     writes nothing; prints each wake: how many ms after its commit it came
//   --synchronous full|normal (default normal)

import { setImmediate as turnOfLoop, setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import Database from 'libsql'
import { Peers } from '../../packages/sqlite-store/dist/peers.js'

const { values } = parseArgs({
  options: {
    file: { type: 'string', default: '' },
    id: { type: 'string', default: '0' },
    rows: { type: 'string', default: '1' },
    bytes: { type: 'string', default: '1' },
    every: { type: 'string' },
    alone: { type: 'boolean', default: false },
    listens: { type: 'boolean', default: false },
    synchronous: { type: 'string', default: 'normal' },
  },
})

const rows = Number(values.rows)
const now = () => Number(process.hrtime.bigint()) / 1e6
const database = new Database(values.file)
database.exec('PRAGMA journal_mode = WAL')
// Some drivers wait by themselves else, and block the process.
database.exec('PRAGMA busy_timeout = 0')
database.exec(`PRAGMA synchronous = ${values.synchronous}`)
database.exec('CREATE TABLE IF NOT EXISTS written (writer INTEGER)')
const insert = database.prepare('INSERT INTO written VALUES (?)')
const last = database.prepare('SELECT max(rowid) AS id FROM written')
const transactions = () => ((last.get() as { id: number | null }).id ?? 0) / rows
const isBusy = (error: unknown) => /busy|locked/i.test(String((error as { code?: unknown }).code ?? error))

const peers = Peers.open(values.file, (wakes) => {
  for (const { topic, value } of wakes)
    if (values.listens) console.log(topic === 'resync' ? 'resync' : `after ${now() - Number(value)} ms`)
})
console.log('ready')
if (values.listens) setInterval(() => undefined, 60_000)
else await write()

async function write(): Promise<never> {
  let writes = 0
  let before = transactions()
  for (;;) {
    await (values.alone ? undefined : peers.turn())
    try {
      database.exec('BEGIN IMMEDIATE')
      for (let row = 0; row < rows; row++) insert.run(Number(values.id))
      const overtaken = transactions() - before - 1
      database.exec('COMMIT')
      console.log(`write ${++writes} overtaken ${overtaken}`)
      peers.committed([
        { name: undefined, scope: 'x'.repeat(Number(values.bytes)), topic: 'written', value: String(now()) },
      ])
      await (values.every === undefined ? turnOfLoop() : sleep(Number(values.every)))
      before = transactions()
    } catch (error) {
      if (!isBusy(error)) throw error
      await (values.alone ? sleep(5) : peers.busy())
    }
  }
}
