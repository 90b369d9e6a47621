import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where the nodes of one run keep what they share. */
export interface Place extends AsyncDisposable {
  /** What tells a node of it. */
  flags: readonly string[]
  /** For people. */
  title: string
}

/** The Redis of `REDIS_URL`, else a file in a folder of its own, which is removed in the end. */
export async function findPlace(): Promise<Place> {
  const redis = process.env['REDIS_URL']
  if (redis)
    return { flags: ['--redis', redis], title: 'Redis (REDIS_URL)', [Symbol.asyncDispose]: async () => {} }
  const folder = await temporaryFolder('store')
  const path = join(folder.path, 'mcp.db')
  return { ...folder, flags: ['--file', path], title: `one file (${path})` }
}

/** A folder that is gone when this process is, unless it is killed. */
export async function temporaryFolder(what: string): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), `mcp-durable-${what}-`))
  const remove = (): void => rmSync(path, { recursive: true, force: true })
  process.once('exit', remove)
  const dispose = async (): Promise<void> => {
    process.off('exit', remove)
    remove()
  }
  return { path, [Symbol.asyncDispose]: dispose }
}
