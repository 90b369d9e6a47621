import { file } from '@mcp-durable/sqlite-store'

// Somebody else holds the file when a store opens it, and when it writes.

const { DatabaseSync: Database } = await import('node:sqlite').catch(async () => ({
  DatabaseSync: (await import('libsql')).default,
}))
const store = file('held.db')
const other = new Database('held.db')
for (const id of ['first', 'second']) {
  other.exec('BEGIN IMMEDIATE')
  setTimeout(() => other.exec('ROLLBACK'), 50)
  const state = { key: 'initialize', data: '{}' }
  const session = { id, protocolVersion: '2025-11-25', ttlMs: 60_000, state }
  await store.createSession(session, { maxPerPrincipal: 10 })
}
await store.close()
console.log('stored')
