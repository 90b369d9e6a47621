import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Row } from '../rows.js'
import type { Budgets, Results } from '../run.js'
import { chart } from './chart.js'
import type { Bar } from './chart.js'
import { figure, ratio, spread, target, verdict } from './format.js'
import { machine } from './machine.js'

const HERE = fileURLToPath(new URL('.', import.meta.url))
export const ROOT = join(HERE, HERE.includes('/dist/') ? '../../../../..' : '../../..')
const DOCUMENT = join(ROOT, 'docs/performance.md')
const CHARTS = join(ROOT, 'docs/performance')
const BEGIN = '<!-- results: written by npm run bench -->'
const END = '<!-- end of results -->'
/** Layers below it are summed up. */
const SMALL_US = 2

/** Writes the charts, and the tables between the marks of docs/performance.md. */
export async function writeDocument({ rows, budgets }: Results) {
  await mkdir(CHARTS, { recursive: true })
  for (const [name, svg] of charts(rows)) await writeFile(join(CHARTS, `${name}.svg`), svg)
  const text = await readFile(DOCUMENT, 'utf8')
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} has no place for the results`)
  const results = [BEGIN, `Measured on ${await machine()}.`, resultTable(rows), budgetTable(budgets)]
  await writeFile(DOCUMENT, `${text.slice(0, begin)}${results.join('\n\n')}\n\n${text.slice(end)}`)
}

function resultTable(rows: readonly Row[]): string {
  const head = ['what', 'measured', 'beside', 'peer', 'ratio', 'rounds', 'target', 'reached']
  const body = rows.map((row) => [
    row.what,
    figure(row.value, row.unit),
    row.against,
    figure(row.peer, row.unit),
    ratio(row.ratio),
    spread(row),
    target(row.target),
    verdict(row),
  ])
  return markdownTable(head, body)
}

function budgetTable(budgets: Budgets): string {
  const contestants = [...budgets.keys()]
  const inMicroseconds = (contestant: string, layer: string) => budgets.get(contestant)?.get(layer) ?? 0
  const largest = (layer: string) => Math.max(...contestants.map((name) => inMicroseconds(name, layer)))
  const layers = [...new Set([...budgets.values()].flatMap((layersOfOne) => [...layersOfOne.keys()]))]
  const small = layers.filter((layer) => largest(layer) < SMALL_US)
  const line = (title: string, summed: readonly string[]) => [
    title,
    ...contestants.map((name) =>
      Math.round(summed.reduce((sum, layer) => sum + inMicroseconds(name, layer), 0)).toString(),
    ),
  ]
  const body = layers
    .filter((layer) => largest(layer) >= SMALL_US)
    .toSorted((a, b) => largest(b) - largest(a))
    .map((layer) => line(layer, [layer]))
  const head = ['µs of CPU time for a call', ...contestants]
  return markdownTable(head, [...body, line('what is smaller', small), line('together', layers)])
}

/** Padded as prettier does it. */
export function markdownTable(head: readonly string[], body: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...body].map((cells) => cells[column]!.length)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}

function charts(rows: readonly Row[]): [name: string, svg: string][] {
  const by = (name: string) => rows.find((row) => row.name === name)!
  const bar = (label: string, value: number, unit: Row['unit'], own = false): Bar => ({
    label,
    value,
    shown: figure(value, unit),
    own,
  })
  const rates = [
    bar('durable in memory', by('calls-memory').value, '/s', true),
    bar('durable on Redis', by('calls-redis').value, '/s', true),
    bar('durable, appendfsync always', by('calls-redis-always').value, '/s', true),
    bar('SDK 1.x, in memory', by('calls-redis').peer, '/s'),
    bar('SDK 2.x, in memory', by('calls-sdk-2').peer, '/s'),
    bar('@hono/mcp, in memory', by('calls-hono-mcp').peer, '/s'),
  ]
  const latencies = [
    bar('1 client p50, durable on Redis', by('latency').value, 'µs', true),
    bar('1 client p50, SDK 1.x + 2 PING', by('latency').peer, 'µs'),
    bar('32 clients p99, durable on Redis', by('p99').value, 'µs', true),
    bar('32 clients p99, SDK 1.x', by('p99').peer, 'µs'),
  ]
  return [
    ['calls', chart({ title: 'Calls of a small tool per second, 32 clients', bars: rates })],
    ['latency', chart({ title: 'Latency of a call', bars: latencies })],
    [
      'targets',
      chart({ title: 'Each row in relation to its target, which is the line', bars: margins(rows), max: 3 }),
    ],
  ]
}

/** Longer is better: how far beyond its target a row is. */
function margins(rows: readonly Row[]): Bar[] {
  return rows.flatMap(({ name, target: wanted, ratio: reached, ok }) => {
    if (!wanted) return []
    const value = wanted.bound === 'min' ? reached / wanted.ratio : wanted.ratio / reached
    return [{ label: name, value, shown: `${ratio(reached)} (${target(wanted)})`, own: ok, mark: 1 }]
  })
}
