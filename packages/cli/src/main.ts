#!/usr/bin/env node
import { readCommandLine } from './command-line.js'
import { commands } from './commands/index.js'
import { Context } from './context.js'
import { asCliError } from './errors.js'
import { commandHelp, overview, version } from './help.js'
import { Output } from './show/output.js'

const output = new Output({ json: false, color: false })

/** 0: done. 1: it could not be done, or a risk was found. 2: the command line is wrong. */
async function main(): Promise<number> {
  const line = readCommandLine(process.argv.slice(2), commands)
  if (line.what === 'version') return print(version())
  if (line.what === 'help') return print(line.command ? commandHelp(line.command) : overview(commands))
  await using context = new Context(line.options, line.values, line.args)
  return (await line.command.run(context)) ?? 0
}

function print(text: string): number {
  for (const line of text.split('\n')) output.line(line)
  return 0
}

/** Whatever ended it, what is written of it does nothing to a terminal. */
function report(error: unknown): number {
  const known = asCliError(error)
  output.note(...known.toLines())
  return known.exitCode
}

// `mcp-durable tail | head` ends when head does.
output.stream.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
// What opens a file is experimental in some versions of Node.js, which nobody who looks into one has to be told.
process.removeAllListeners('warning')
process.on('warning', ({ name, message }) => {
  if (name !== 'ExperimentalWarning') output.note(`warning: ${message}`)
})
process.on('uncaughtException', (error: unknown) => process.exit(report(error)))

process.exitCode = await main().catch(report)
