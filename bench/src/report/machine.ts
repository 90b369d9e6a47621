import { execFile } from 'node:child_process'
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { promisify } from 'node:util'

const [LOAD = 0] = loadavg()

/** What the figures were measured on, and how busy it was with other things before. */
export async function machine(): Promise<string> {
  const { stdout } = await promisify(execFile)('redis-server', ['--version']).catch(() => ({ stdout: '' }))
  const [, redis = 'unknown'] = /v=(\S+)/.exec(stdout) ?? []
  const cores = cpus()
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const model = cores[0]?.model.trim() ?? 'unknown processor'
  const busy =
    LOAD > 0.5 ? `; it was busy with other work (load average ${LOAD.toFixed(1)} before the run)` : ''
  return `${cores.length} cores of ${model}, ${memory}, ${type()} ${release()}, Node.js ${process.versions.node}, Redis ${redis}${busy}`
}
