import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const exec = promisify(execFile)
const npm = (name: 'npm' | 'npx') => (process.platform === 'win32' ? `${name}.cmd` : name)

export type Packed = { name: string; tarball: string }

/**
 * The packages as they would be published, by name: what `pnpm pack` makes of the compiled sources, in `folder`. With
 * pnpm, since npm does not replace `workspace:` in a manifest.
 */
export async function packPackages(folder: string, ...names: string[]): Promise<Packed[]> {
  const { packageManager } = await manifestOf('.')
  const packed: Packed[] = []
  for (const name of names) {
    const { name: published = '', version } = await manifestOf(`packages/${name}`)
    await exec(npm('npx'), ['--yes', packageManager ?? 'pnpm', 'pack', '--pack-destination', folder], {
      cwd: join(ROOT, 'packages', name),
    })
    const file = `${published.replace('@', '').replace('/', '-')}-${version}.tgz`
    packed.push({ name: published, tarball: join(folder, file) })
  }
  return packed
}

/** Installs with npm in a folder, from its cache where that has what is asked for. */
export async function npmInstall(folder: string, ...specs: string[]): Promise<void> {
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
  await exec(npm('npm'), ['install', ...quiet, ...specs], { cwd: folder })
}

type Manifest = { name?: string; version?: string; packageManager?: string }

async function manifestOf(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest
}
