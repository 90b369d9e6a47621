import { readFileSync } from 'node:fs'
import { globalOptions } from './command-line.js'
import type { Command, OptionSpec } from './command.js'

export function overview(commands: readonly Command[]): string {
  const lines = commands.map(
    (command) => [`${command.name} ${command.args ?? ''}`.trim(), command.summary] as const,
  )
  return [
    'usage: mcp-durable COMMAND [options]\n',
    'Shows and operates what durable MCP servers keep in Redis, or in a file.\n',
    columns(lines),
    `\nOptions of every command:\n${optionLines(globalOptions)}`,
    '\nIds may be given shortened wherever that names one thing only. Nothing is written, except by cancel, resume, retry, fork, clear, migrate, reseal and proxy.',
    'mcp-durable COMMAND --help tells more of one command.',
  ].join('\n')
}

export function commandHelp({ name, args = '', summary, details, options = {} }: Command): string {
  const own = Object.keys(options).length > 0 ? `\n${optionLines(options)}\n` : ''
  return [
    `usage: mcp-durable ${`${name} ${args}`.trim()} [options]\n`,
    summary,
    ...(details === undefined ? [] : ['', details]),
    own,
    `Options of every command:\n${optionLines(globalOptions)}`,
  ].join('\n')
}

export function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

function optionLines(options: Record<string, OptionSpec>): string {
  return columns(
    Object.entries(options).map(([name, { short, value, help }]) => {
      const names = short === undefined ? `--${name}` : `-${short}, --${name}`
      return [value === undefined ? names : `${names} ${value}`, help] as const
    }),
  )
}

function columns(lines: ReadonlyArray<readonly [string, string]>): string {
  const width = Math.max(...lines.map(([left]) => left.length))
  return lines.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}
