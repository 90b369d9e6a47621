import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { Registry } from '../../test-support/registry.js'

// `npm run release`. That its packages can be installed is tested beside this: the registry there is filled by a rehearsal.

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const NAMES = ['core', 'redis-store', 'sqlite-store', 'cli'].map((name) => `@mcp-durable/${name}`)

function release(args: string[], env: NodeJS.ProcessEnv = {}) {
  const command = promisify(execFile)(process.execPath, ['scripts/release.mjs', ...args], {
    cwd: ROOT,
    env: { ...process.env, ACTIONS_ID_TOKEN_REQUEST_URL: '', SIGSTORE_ID_TOKEN: '', ...env },
  })
  return command.then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      output: error.stdout + error.stderr,
    }),
  )
}

test('without an argument nothing is published, and it says what would be', async () => {
  const { code, output } = await release(['--skip-check'])
  expect(output).toMatch(/nothing was published\n$/)
  for (const name of NAMES) expect(output).toContain(`would publish ${name}@`)
  expect(output).toContain('before --publish: provenance needs a token of the CI')
  expect(code).toBe(0)
})

test('what can have no provenance is not published', async () => {
  const { code, output } = await release(['--publish'])
  expect(output).toContain('provenance needs a token of the CI')
  expect(output).toContain('Nothing was published.')
  expect(code).toBe(1)
})

test('after one that was interrupted, the next one publishes the rest', async () => {
  await using registry = await Registry.start()
  const manifest = await readFile(join(ROOT, 'packages/core/package.json'), 'utf8')
  const { version } = JSON.parse(manifest) as { version: string }
  const core = { name: NAMES[0], 'dist-tags': { latest: version }, versions: { [version]: { version } } }
  await fetch(`${registry.url}@mcp-durable%2fcore`, { method: 'PUT', body: JSON.stringify(core) })
  const token = { [`npm_config_//${new URL(registry.url).host}/:_authToken`]: 'none' }
  const { code, output } = await release(['--rehearse', registry.url], token)
  expect(output).toContain(`left alone, since it is published: @mcp-durable/core@${version}`)
  expect(registry.published).toEqual(NAMES.map((name) => `${name}@${version}`))
  expect(code).toBe(0)
})

test('a tarball that lacks something, or has too much, is found', async () => {
  const { problemsOf } = (await import(
    new URL('../../scripts/release/tarball.mjs', import.meta.url).href
  )) as { problemsOf: (folder: string) => Promise<string[]> }
  const folder = await mkdtemp(join(tmpdir(), 'mcp-durable-tarball-'))
  const manifest = {
    name: '@mcp-durable/core',
    version: '2.0.0',
    license: 'Apache-2.0',
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
  }
  const files: Record<string, string> = {
    'package.json': JSON.stringify(manifest),
    'README.md': '',
    LICENSE: '',
    'dist/index.js': '',
    'dist/index.d.ts': '',
    'dist/index.js.map': JSON.stringify({ sources: ['../src/index.ts'] }),
    'src/index.ts': '',
  }
  const write = async (path: string, content: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  try {
    for (const [path, content] of Object.entries(files)) await write(path, content)
    expect(await problemsOf(folder)).toEqual([])
    await rm(join(folder, 'LICENSE'))
    await rm(join(folder, 'dist/index.d.ts'))
    await rm(join(folder, 'src/index.ts'))
    await write('src/index.test.ts', '')
    await write('secrets.env', '')
    const dependencies = { '@mcp-durable/redis-store': '^1.0.0', zod: 'catalog:' }
    await write('package.json', JSON.stringify({ ...manifest, dependencies }))
    expect((await problemsOf(folder)).toSorted()).toEqual([
      '@mcp-durable/core 2.0.0 asks for @mcp-durable/redis-store ^1.0.0: packages are released together',
      'LICENSE is missing',
      'dist/index.js.map names ../src/index.ts, which is missing: compile anew, without the dist folder that is there',
      'package.json asks for zod catalog:',
      'package.json names ./dist/index.d.ts, which is missing',
      'secrets.env does not belong into it',
      'src/index.test.ts does not belong into it',
    ])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
