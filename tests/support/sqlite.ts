import Database from 'libsql'
import { waitFor } from '../../test-support/index.js'
import type { NodeProcess } from '../../test-support/index.js'

/** One that is stopped with the lock holds up all, until it goes on: nothing can take it away. */
export async function pauseOutsideOfTransaction(one: NodeProcess, file: string) {
  const database = new Database(file)
  try {
    await waitFor(() => {
      one.pause()
      try {
        database.exec('BEGIN IMMEDIATE')
        database.exec('COMMIT')
        return true
      } catch {
        one.resume()
        return false
      }
    })
  } finally {
    database.close()
  }
}
