#!/usr/bin/env node
import { readCommandLine } from './command-line.js'
import { commands } from './commands/index.js'
import { Context } from './context.js'
import { asCliError } from './errors.js'
import { commandHelp, overview, version } from './help.js'

/** 0: done. 1: it could not be done, or a risk was found. 2: the command line is wrong. */
async function main(): Promise<number> {
  const line = readCommandLine(process.argv.slice(2), commands)
  if (line.what === 'version') return print(version())
  if (line.what === 'help') return print(line.command ? commandHelp(line.command) : overview(commands))
  await using context = new Context(line.options, line.values, line.args)
  return (await line.command.run(context)) ?? 0
}

function print(text: string): number {
  console.log(text)
  return 0
}

// `mcp-durable tail | head` ends when head does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

try {
  process.exitCode = await main()
} catch (error) {
  const known = asCliError(error)
  if (!known) throw error
  console.error(known.toText())
  process.exitCode = known.exitCode
}
