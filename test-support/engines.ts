import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const exec = promisify(execFile)

/** Programs that take the options of `redis-server`. */
const PROGRAMS = ['valkey-server', 'keydb-server', 'redis-server']

export interface Engine {
  /** As it names itself, with its version. */
  name: string
  command: string
}

/** Those on the `PATH` and in `REDIS_SERVERS`, which is a list of programs with colons between. */
export async function findEngines(): Promise<Engine[]> {
  const named = (process.env['REDIS_SERVERS'] ?? '').split(':').filter((command) => command !== '')
  const found = await Promise.all([...named, ...PROGRAMS].map(engineAt))
  const engines = new Map(found.flatMap((engine) => (engine ? [[engine.name, engine]] : [])))
  return [...engines.values()]
}

async function engineAt(command: string): Promise<Engine | undefined> {
  const { stdout } = await exec(command, ['--version']).catch(() => ({ stdout: '' }))
  const [, engine, version] = /^(\w+) .*?v=([\d.]+)/.exec(stdout) ?? []
  return engine === undefined ? undefined : { name: `${engine} ${version}`, command }
}
