import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Terminal } from '../../../../test-support/index.js'
import { toSvg } from './svg.js'

/** Where pictures of the screen go: `SCREENS=docs/screens`. Without it none are kept. */
const folder = process.env['SCREENS']

export async function keepScreen(name: string, terminal: Terminal, size: { columns: number; rows: number }) {
  if (!folder) return
  await mkdir(folder, { recursive: true })
  const lines = (await terminal.colored()).split('\n')
  const end = lines.findIndex((line) => line.includes('ended with'))
  const text = (end < 0 ? lines : lines.slice(0, end)).join('\n')
  await writeFile(join(folder, `${name}.svg`), toSvg(text, size.columns))
}
