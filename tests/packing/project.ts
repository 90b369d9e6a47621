import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { inject } from 'vitest'
import { Child, freePort } from '../../test-support/index.js'

export type Command = readonly [string, ...string[]]

/** A new project of somebody who has only what the registry serves: an empty folder, outside of this repository. */
export class Project implements AsyncDisposable {
  private constructor(readonly folder: string) {}

  static async create(): Promise<Project> {
    const project = new Project(await mkdtemp(join(tmpdir(), 'mcp-durable-stranger-')))
    await project.write('package.json', JSON.stringify({ name: 'stranger', private: true, type: 'module' }))
    await project.write('.npmrc', inject('npmrc'))
    return project
  }

  /** The address of the registry that has our packages. */
  get registry(): string {
    return inject('npmrc').split('=')[1]!.trim()
  }

  write(file: string, content: string): Promise<void> {
    return writeFile(join(this.folder, file), content)
  }

  /** A file of the folder `stranger`. */
  copy(file: string): Promise<void> {
    return copyFile(fileURLToPath(new URL(`stranger/${file}`, import.meta.url)), join(this.folder, file))
  }

  /** What it prints. What it printed is in the error, too, if it fails. */
  async run([command, ...args]: Command): Promise<string> {
    const options = { cwd: this.folder, env: environment(), maxBuffer: 100_000_000 }
    const { stdout } = await promisify(execFile)(command, args, options).catch(
      (error: Error & { stdout: string; stderr: string }) => {
        throw new Error(`${command} ${args.join(' ')}\n${error.stdout}${error.stderr}`, { cause: error })
      },
    )
    return stdout
  }

  /** A server that says where it listens. */
  async start([command, ...args]: Command, env: NodeJS.ProcessEnv = {}) {
    const port = await freePort()
    const child = await Child.spawn(command, args, {
      cwd: this.folder,
      env: environment({ PORT: String(port), ...env }),
    })
    try {
      const [, url = ''] = await child.waitForLine(/listening on (http:\/\/[^/,]+)/)
      return Object.assign(child, { url })
    } catch (error) {
      await child.kill('SIGKILL')
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Without what npm and vitest set for themselves. */
function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(npm_(?!config_registry)|VITEST|NODE_OPTIONS|NODE_ENV)/.test(name),
  )
  return { ...Object.fromEntries(kept), NODE_OPTIONS: '', ...more }
}

/** The binary of a version of Node.js that CI tests. */
export async function nodeBinary(major: number): Promise<string> {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const script = [join(root, 'scripts/on-node.mjs'), `${major}`, 'node', '-p', 'process.execPath']
  const { stdout } = await promisify(execFile)(process.execPath, script)
  return stdout.trim().split('\n').at(-1)!
}
