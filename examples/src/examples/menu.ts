import { escapeControls } from '@mcp-durable/core/inspect'
import { createInterface } from 'node:readline'
import { examples, type Example } from './catalog.js'

/** Asks which example to run, again and again; ends at `q`, Ctrl-C or the end of the input. */
export async function* choices(): AsyncGenerator<Example> {
  const lines = createInterface({ input: process.stdin })
  // The signal is for the program; while readline has the terminal, Ctrl-C comes here.
  lines.on('SIGINT', () => lines.close())
  show()
  try {
    for await (const line of lines) {
      const text = line.trim().toLowerCase()
      if (text === 'q') return
      const chosen = examples.find(({ name }, index) => text === name || text === String(index + 1))
      if (chosen) yield chosen
      else console.log(`There is no example '${escapeControls(text)}'.`)
      show()
    }
  } finally {
    lines.close()
  }
}

function show(): void {
  const lines = examples.map(({ name, title }, index) => `  ${index + 1}  ${name.padEnd(12)}${title}`)
  console.log(`\n${lines.join('\n')}\n  q  leave\n`)
  process.stdout.write('example: ')
}
