// A process that keeps things in a store of SQLite and tells of each when the store has acknowledged it, or with --early before that.
//   --file FILE   --synchronous full|normal

import { writeSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { sqliteStore } from '@mcp-durable/sqlite-store'
import Database from 'libsql'

const ROUNDS = 6
const AT_ONCE = 3

const { values } = parseArgs({
  options: {
    file: { type: 'string', default: '' },
    synchronous: { type: 'string', default: 'full' },
    early: { type: 'boolean', default: false },
  },
})

const database = new Database(values.file)
const store = sqliteStore(database, { synchronous: values.synchronous as 'full' | 'normal' })
const ttlMs = 60 * 60_000
const scopes = Array.from({ length: AT_ONCE }, (_, index) => `s${index}`)

/** A line goes out at once, as an answer to a client would. */
async function tell(line: string, stored: Promise<unknown>) {
  if (values.early) writeSync(1, `${line}\n`)
  await stored
  if (!values.early) writeSync(1, `${line}\n`)
}

const begin = (id: string) => ({
  id,
  principal: undefined,
  protocolVersion: '2025-11-25',
  ttlMs,
  state: { key: 'initialize', data: '{}' },
})
const call = (scope: string) => ({
  scope,
  callId: 'c',
  owner: 'me',
  principal: undefined,
  requestKeys: ['1:1'],
  data: 'request {}',
  ttlMs,
  maxOpenCalls: 10,
})
/** Two at once: both are there, or none. */
const entries = (round: number) => [0, 1].map((seq) => entry(`${9e13 + round}-${seq}`))
const entry = (id: string) => ({ id, data: `step ${'x'.repeat(300)}` })

await Promise.all(
  scopes.map((id) => tell(`session ${id}`, store.createSession(begin(id), { maxPerPrincipal: 9 }))),
)
// A few pages, so that what is written moves into the file now and then.
database.exec('PRAGMA wal_autocheckpoint = 24')
await Promise.all(scopes.map((scope) => tell(`call ${scope}`, store.openCall(call(scope)))))
for (let round = 1; round <= ROUNDS; round++)
  await Promise.all(
    scopes.flatMap((scope) => [
      tell(`round ${scope} ${round}`, store.appendCall(scope, 'c', entries(round))),
      tell(`value ${scope} ${round}`, store.writeValue(scope, 'key', round - 1, String(round))),
    ]),
  )
