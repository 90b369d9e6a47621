import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const filesIn = (folder: string, extension: string) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(extension))
    .map((name) => `${folder}/${name}`)

const about = ['CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md']
const documents = ['README.md', 'examples/README.md', ...about, ...filesIn('docs', '.md')]
const sources = [
  'examples/src/readme.ts',
  'examples/src/readme-server.ts',
  'examples/src/durable-context.ts',
  'examples/src/operating.ts',
  'examples/src/protocol-2026.ts',
  'examples/src/tasks.ts',
  ...filesIn('examples/src/migrating', '.ts'),
  ...filesIn('examples/src/testing', '.ts'),
  ...filesIn('examples/recipes', '.ts'),
  'examples/recipes/next/app/mcp/route.ts',
]
const compiled = new Set(sources.flatMap((path) => linesOf(read(path))))

test('there is code in the README and in docs/', () => {
  expect(documents.flatMap((path) => blocksOf(path, 'ts')).length).toBeGreaterThan(20)
})

test('the server in the README and in the quick start is the file that is compiled', () => {
  const server = read('examples/src/readme-server.ts')
  expect(blocksOf('README.md', 'js')).toEqual([server])
  expect(blocksOf('docs/quick-start.md', 'js')[0]).toBe(server)
})

test.each(documents)('%s: every line of code stands in a file that compiles', async (path) => {
  const lines = blocksOf(path, 'ts').flatMap(linesOf)
  const exported = new Map(await exportsOf())
  const isImport = (line: string) => isShortImport(line) || importsFrom(exported, line)
  expect(lines.filter((line) => !compiled.has(line) && !isImport(line))).toEqual([])
})

test.each(documents)('%s: what its code uses of the packages it imports', async (path) => {
  const code = [...blocksOf(path, 'ts'), ...blocksOf(path, 'js')].join('\n')
  const bare = code.replaceAll(/ \/\/.*$/gm, '').replaceAll(/'[^'\n]*'/g, "''")
  const isThere = (name: string) =>
    new RegExp(`import [^;]*\\b${name}\\b[^;]*? from|(function|const) ${name}\\b`).test(bare)
  const isUsed = (name: string) => new RegExp(`(?<![.\\w'"\`-])${name}[(<]|instanceof ${name}\\b`).test(bare)
  const names = (await exportsOf()).flatMap(([, exported]) => [...exported])
  expect([...new Set(names)].filter((name) => isUsed(name) && !isThere(name))).toEqual([])
})

test.each(documents)('%s: every file that is linked to is there', (path) => {
  const links = [...read(path).matchAll(/\]\(([^):#]+)(?:#[^)]*)?\)/g)].map(([, link = '']) => link)
  const folder = join(root, dirname(path))
  expect(links.filter((link) => !existsSync(join(folder, link)))).toEqual([])
})

test.each(documents)('%s: every cell of its tables says something', (path) => {
  const rows = read(path)
    .split('\n')
    .filter((line) => /^\|.*\|$/.test(line))
  expect(rows.filter((row) => /\|\s*\|/.test(row.replaceAll('\\|', '')))).toEqual([])
})

test('the commands and files that CONTRIBUTING.md names are there', () => {
  const text = read('CONTRIBUTING.md')
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const commands = [...text.matchAll(/npm run ([a-z-]+)/g)].map(([, name = '']) => name)
  expect(commands.filter((name) => !(name in scripts))).toEqual([])
  const paths = [...text.matchAll(/[`\s]((?:packages|tests|test-support|docs|examples)\/[\w./-]+)/g)]
  expect(paths.length).toBeGreaterThan(8)
  expect(paths.map(([, path = '']) => path).filter((path) => !existsSync(join(root, path)))).toEqual([])
})

test.each([
  ['nginx', 'nginx.conf'],
  ['caddyfile', 'Caddyfile'],
])('the configuration of %s in docs/deploying.md is the file that is tested', (language, file) => {
  expect(blocksOf('docs/deploying.md', language)).toEqual([read(`docs/deploying/${file}`)])
})

test('the messages in docs/troubleshooting.md are those of the code', () => {
  const files = readdirSync(join(root, 'packages/core/src'), { recursive: true, encoding: 'utf8' })
  const code = files.filter((name) => name.endsWith('.ts')).map((name) => read(`packages/core/src/${name}`))
  const all = code.join('\n')
  const tables = read('docs/troubleshooting.md').split('\n\n')
  const rows = tables
    .filter((text) => text.startsWith('| message '))
    .flatMap((text) => text.split('\n').slice(2))
  const quoted = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, text = '']) => text),
  )
  expect(quoted.length).toBeGreaterThan(12)
  const parts = quoted.flatMap((text) => text.split('…')).map((part) => part.trim())
  expect(parts.filter((part) => !all.includes(part))).toEqual([])
})

test('every command in the documents is there', () => {
  const text = documents.map(read).join('\n')
  const named = (pattern: RegExp) => new Set([...text.matchAll(pattern)].map(([, name = '']) => name))
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const commands = filesIn('packages/cli/src/commands', '.ts').map((path) => path.replace(/.*\/|\.ts$/g, ''))
  expect([...named(/npm run ([\w:-]+)/g)].filter((name) => !(name in scripts))).toEqual([])
  expect([...named(/`mcp-durable (\w+)/g)].filter((name) => !commands.includes(name))).toEqual([])
})

test('the README of each package names its imports, and that of the command all commands', () => {
  for (const [name, ids] of importsOf()) {
    const text = read(`packages/${name}/README.md`)
    expect(ids.filter((id) => !text.includes(`${id}\``) && !text.includes(`'${id}'`))).toEqual([])
  }
  const text = read('packages/cli/README.md')
  const commands = read('packages/cli/src/commands/index.ts').matchAll(/from '\.\/(\w+)\.js'/g)
  expect([...commands].map(([, name]) => name).filter((name) => !text.includes(`\`${name}`))).toEqual([])
})

/** The code blocks of a document in one language. */
function blocksOf(path: string, language: string): string[] {
  const blocks = read(path).matchAll(/^```(\w+)\n(.*?)^```$/gms)
  return [...blocks].flatMap(([, name, code = '']) => (name === language ? [code] : []))
}

/** A document imports only what matters; the file may import more from the same module. */
function isShortImport(line: string) {
  const [, names = '', module = ''] = /^import (?:type )?\{ (.+) \} from '(.+)'$/.exec(line) ?? []
  const imports = read('examples/src/readme.ts').matchAll(/^import (?:type )?\{ (.+) \} from '(.+)'$/gm)
  const all = [...imports].flatMap(([, some = '', from]) => (from === module ? some.split(', ') : []))
  return names !== '' && names.split(', ').every((name) => all.includes(name))
}

/** What can be imported of each package. */
const importsOf = () =>
  ['core', 'redis-store', 'sqlite-store'].map((name) => {
    const { exports } = JSON.parse(read(`packages/${name}/package.json`)) as { exports: object }
    const paths = Object.keys(exports).filter((path) => path !== './package.json')
    return [name, paths.map((path) => `@mcp-durable/${name}${path.slice(1)}`)] as const
  })

/** Names that our packages export, by module. */
function exportsOf(): Promise<(readonly [id: string, names: Set<string>])[]> {
  // That one is for vitest alone.
  const ids = importsOf().flatMap(([, all]) => all.filter((id) => !id.endsWith('testing/store')))
  const namesIn = async (id: string) => new Set(Object.keys((await import(id)) as object))
  return Promise.all(ids.map(async (id) => [id, await namesIn(id)] as const))
}

function importsFrom(exported: Map<string, Set<string>>, line: string) {
  const [, names = '', id = ''] = /^import \{ (.+) \} from '(.+?)'/.exec(line) ?? []
  return names.split(', ').every((name) => exported.get(id)?.has(name))
}

function linesOf(code: string) {
  return code
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}
