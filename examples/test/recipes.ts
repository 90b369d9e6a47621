import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { npmInstall, packPackages } from '../../test-support/index.js'

const exec = promisify(execFile)
const RECIPES = fileURLToPath(new URL('../recipes', import.meta.url))
const CACHE = fileURLToPath(new URL('../../.cache/mcp-durable', import.meta.url))

/**
 * A project with the recipes of docs/frameworks.md, compiled, and the packages as they would be published. The frameworks
 * and runtimes are fetched once and kept: the workspace needs none of them. Not under node_modules, where Deno and Next.js
 * compile no TypeScript.
 */
export class Recipes implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly frameworks: string,
  ) {}

  static async prepare(): Promise<Recipes> {
    const frameworks = await fetchFrameworks()
    // Within the folder of the frameworks, where their modules are found.
    const folder = await mkdtemp(join(frameworks, 'run-'))
    const recipes = new Recipes(folder, frameworks)
    await cp(RECIPES, folder, { recursive: true })
    for (const { name, tarball } of await packPackages(folder, 'core', 'redis-store')) {
      const target = join(folder, 'node_modules', name)
      await mkdir(target, { recursive: true })
      await exec('tar', ['-xzf', tarball, '-C', target, '--strip-components=1'])
    }
    await exec(process.execPath, [recipes.program('typescript/bin/tsc'), '-p', folder])
    return recipes
  }

  program(path: string) {
    return join(this.frameworks, 'node_modules', path)
  }

  [Symbol.asyncDispose]() {
    return rm(this.folder, { recursive: true, force: true })
  }
}

/** The folder with their modules; where they are there already, it takes no time. */
export async function fetchFrameworks(): Promise<string> {
  const manifest = join(RECIPES, 'package.json')
  const versions = createHash('sha256')
    .update(process.platform + process.arch)
    .update(await readFile(manifest))
  const folder = join(CACHE, `frameworks-${versions.digest('hex').slice(0, 12)}`)
  if (existsSync(folder)) return folder
  await mkdir(CACHE, { recursive: true })
  const draft = await mkdtemp(join(CACHE, 'draft-'))
  try {
    await cp(manifest, join(draft, 'package.json'))
    await npmInstall(draft)
    // Renamed only when complete, so that an interrupted fetch is not taken for a finished one.
    await rename(draft, folder)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
  return folder
}

/** The binary of a runtime that npm has chosen for this platform, in the folder of the frameworks. */
export function runtimeBinary(name: 'bun' | 'deno', frameworks: string): string {
  const [scope, path] = ({ bun: ['@oven', 'bin/bun'], deno: ['@deno', 'deno'] } as const)[name]
  const packages = join(frameworks, 'node_modules', scope)
  const found = readdirSync(packages).map((platform) => join(packages, platform, path))
  const binary = found.find((file) => existsSync(file))
  if (binary === undefined) throw new Error(`npm has brought no ${name} for this platform`)
  return binary
}
