import { execFile } from 'node:child_process'
import { cpus, release, totalmem, type } from 'node:os'
import { promisify } from 'node:util'

/** What the figures were measured on. */
export async function machine(): Promise<string> {
  const { stdout } = await promisify(execFile)('redis-server', ['--version']).catch(() => ({ stdout: '' }))
  const [, redis = 'unknown'] = /v=(\S+)/.exec(stdout) ?? []
  const cores = cpus()
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const model = cores[0]?.model.trim() ?? 'unknown processor'
  return `${cores.length} cores of ${model}, ${memory}, ${type()} ${release()}, Node.js ${process.versions.node}, Redis ${redis}`
}
