import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as errors from '@mcp-durable/core/errors'
import { beforeAll, expect, test } from 'vitest'

// docs/errors.md names every error that can reach a user: what the sources throw, answer and log, it lists.

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PACKAGES = ['packages/core/src', 'packages/redis-store/src', 'packages/sqlite-store/src']
/** Classes that no application, client or operator gets to see. */
const INTERNAL = new Set([
  'Refusal', // becomes an HTTP answer
  'UnsentError', // a request to an upstream that was not sent is sent again
  'DeadlineError', // becomes a StoreError
  'BadAnswerError', // becomes a 502
  'ServerRefusedError', // becomes the answer that the server behind has given
  'NoAnswerError', // ends the call of a client with a JSON-RPC error
])
/** Enough of a text to find it by. */
const ENOUGH = 40

let sources: string
let doc: string
beforeAll(async () => {
  const files = await Promise.all(PACKAGES.map((folder) => filesOf(join(ROOT, folder))))
  sources = (await Promise.all(files.flat().map((file) => readFile(file, 'utf8')))).join('\n')
  doc = comparable(await readFile(join(ROOT, 'docs/errors.md'), 'utf8'))
})

async function filesOf(folder: string) {
  const names = await readdir(folder, { recursive: true })
  const kept = names.filter((name) => name.endsWith('.ts') && !/(^testing\/|\.test\.ts$)/.test(name))
  return kept.map((name) => join(folder, name))
}

/** Parts that differ are `…` in the docs; how a text is quoted does not matter. */
const comparable = (text: string) =>
  text
    .replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '…')
    .replaceAll(/[`\\]/g, '')
    .replaceAll(/\s+/g, ' ')

const LITERAL = /'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g
const literals = (code: string) => [...code.matchAll(LITERAL)].map(([, a, b, c]) => a ?? b ?? c ?? '')

/** What stands between the parentheses of each call that begins so. */
function argumentsOf(call: RegExp): string[] {
  return [...sources.matchAll(call)].map(({ 0: { length }, index }) => {
    let depth = 1
    let end = index + length
    for (; depth > 0; end++)
      depth += '([{'.includes(sources[end]!) ? 1 : ')]}'.includes(sources[end]!) ? -1 : 0
    return sources.slice(index + length, end - 1)
  })
}

function missing(texts: readonly string[]): string[] {
  const wanted = texts
    .map((text) =>
      comparable(text)
        .replace(/^[… :]+/, '')
        .trim(),
    )
    .filter((text) => /\p{L}{2}/u.test(text))
  return [...new Set(wanted)].filter((text) => !doc.includes(text.slice(0, ENOUGH).trim()))
}

/** The first words of a text, which may be put together from several, or be a constant. */
function firstLiteral(code: string): string[] {
  const [name] = /^\s*[A-Z][A-Z_]+\b/.exec(code) ?? []
  if (name === undefined) return literals(code).slice(0, 1)
  const [definition] = new RegExp(`const ${name.trim()} =[^]{0,300}`).exec(sources) ?? []
  return literals(definition ?? '').slice(0, 1)
}

test('every class of errors, and every code', () => {
  const classes = [...sources.matchAll(/class (\w+) extends (?:\w*Error)\b/g)].map(([, name = '']) => name)
  expect(classes.length).toBeGreaterThan(20)
  expect(missing(classes.filter((name) => !INTERNAL.has(name)))).toEqual([])

  const exported = Object.keys(errors)
  const durable = [
    ...sources.matchAll(/export class (\w+) extends (?:Durable|Step|Store|Unrecordable|SessionGone)Error\b/g),
  ]
  const absent = durable.map(([, name = '']) => name).filter((name) => !exported.includes(name))
  expect(absent).toEqual([])

  const codes = [
    ...argumentsOf(/\bsuper\(/g).flatMap(firstLiteral),
    ...argumentsOf(/new (?:Durable|Step|Store)Error\(/g).flatMap(firstLiteral),
  ].filter((text) => /^[a-z]+(-[a-z$]|$)/.test(text))
  expect(codes.length).toBeGreaterThan(20)
  // A code that is put together, such as journal-${reason}: each of them begins so.
  expect(missing(codes.map((code) => code.replace(/\$\{.*/, '')))).toEqual([])
})

test('every refusal over HTTP: its status, its code and what it says', () => {
  const numbers = Object.fromEntries(
    [...sources.matchAll(/^ {2}(\w+): (-32\d{3}),$/gm)].map(([, name = '', number = '']) => [name, number]),
  )
  const refusals = argumentsOf(/new Refusal\(/g)
  // A status that is not here is that of an upstream, passed on.
  const rows = refusals.flatMap((code) => {
    const row = /(\d{3}),\s*ErrorCode\.(\w+)/.exec(code)
    return row ? [row] : []
  })
  expect(rows.length).toBeGreaterThan(12)
  const absent = rows.filter(
    ([, status, name = '']) => !new RegExp(`\\| ${status} \\| ${numbers[name]} \\|`).test(doc),
  )
  expect(absent.map(([text]) => text)).toEqual([])
  const texts = refusals.flatMap((code) => literals(code).filter((text) => /^[A-Z][\w ]+: /.test(text)))
  expect(missing(texts.map((text) => text.replace(/^[A-Z][\w -]+: /, '')))).toEqual([])
  expect(missing(argumentsOf(/\brefuse\.\w+\(/g).flatMap(firstLiteral))).toEqual([])
})

test('every error that ends a request', () => {
  expect(missing(argumentsOf(/\berrorResponse\(/g).flatMap((code) => literals(code).slice(-1)))).toEqual([])
})

test('every warning and error on the log', () => {
  const lines = argumentsOf(/logger\.(?:warn|error)\(/gi).map((code) =>
    code.replace(/^\s*\{(?:[^{}]|\{[^{}]*\})*\}/, ''),
  )
  // Texts that come from elsewhere are looked for where they are made.
  const elsewhere = lines
    .map((code) => code.replaceAll(/[\s,]/g, ''))
    .filter((code) => /^[a-z]\w*$/.test(code))
  expect(new Set(elsewhere)).toEqual(new Set(['risk', 'message']))
  const texts = [
    ...lines.flatMap((code) => [...literals(code), ...firstLiteral(code.replace(/^\s*,/, ''))]),
    ...argumentsOf(/#warn\(/g).flatMap(firstLiteral),
    ...argumentsOf(/new MisconfiguredError\(/g).flatMap(firstLiteral),
    ...[...sources.matchAll(/`Redis [^`]*|'Redis (?:has|refuses) [^']*/g)].map(
      ([text]) => text.slice(1).split(':')[0]!,
    ),
    ...[
      ...sources.matchAll(
        /`(?:SQLite \w+ [^`]*|The SQLite (?!file \S+ is on)[^`]*|Another process [^`]*|Processes that [^`]*)/g,
      ),
    ].map(([text]) => text.slice(1).split(':')[0]!),
  ]
  expect(texts.length).toBeGreaterThan(25)
  expect(missing(texts)).toEqual([])
})
