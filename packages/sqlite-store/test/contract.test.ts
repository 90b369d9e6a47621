import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeContract } from '@mcp-durable/core/testing/store'
import { sqliteStore } from '@mcp-durable/sqlite-store'
import { DRIVERS } from './support.js'

for (const { name, open } of DRIVERS) {
  storeContract(`SQLite, ${name}, two handles of one file`, () => {
    const path = join(tmpdir(), `mcp-durable-${randomUUID()}.db`)
    const handles = [open(path), open(path)]
    const [store, peer] = handles.map((handle) => sqliteStore(handle, { synchronous: 'normal' }))
    return {
      store: store!,
      peer: peer!,
      dispose: async () => {
        for (const handle of handles) handle.close()
        for (const more of ['', '-wal', '-shm']) rmSync(`${path}${more}`, { force: true })
      },
    }
  })
}
