import { parseArgs } from 'node:util'
import type { Command, OptionSpec } from './command.js'
import type { GlobalOptions, Values } from './context.js'
import { messageOf, usageError } from './errors.js'

/** What every command takes. */
export const globalOptions = {
  redis: {
    type: 'string',
    value: 'URL',
    help: 'the Redis of the nodes (default: REDIS_URL; ./mcp.db, if it is there; redis://127.0.0.1:6379)',
  },
  sqlite: { type: 'string', value: 'FILE', help: 'the file of the nodes, where they have no Redis' },
  prefix: { type: 'string', value: 'TEXT', help: 'what all keys in Redis begin with (default: mcp)' },
  name: { type: 'string', value: 'NAME', help: 'the name that durable() was given (default: none)' },
  'key-file': {
    type: 'string',
    value: 'FILE',
    help: 'keys of sealed payloads (durable({ seal })), one a line, the newest first',
  },
  secrets: {
    type: 'string',
    value: 'URL|sqlite:FILE',
    help: 'the store of seal.secrets, where the nodes have one',
  },
  json: { type: 'boolean', help: 'JSON instead of text' },
  'no-color': { type: 'boolean', help: 'plain text; so does the variable NO_COLOR' },
  'show-payloads': {
    type: 'boolean',
    help: 'show what clients, tools and users have sent; masked without it',
  },
  'full-ids': { type: 'boolean', help: 'do not shorten ids' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
} satisfies Record<string, OptionSpec>

export type CommandLine =
  | { what: 'version' }
  | { what: 'help'; command: Command | undefined }
  | { what: 'run'; command: Command; options: GlobalOptions; values: Values; args: string[] }

export function readCommandLine(argv: readonly string[], commands: readonly Command[]): CommandLine {
  const [first, ...rest] = argv
  if (first === undefined || first === '--help' || first === '-h') return { what: 'help', command: undefined }
  if (first === '--version' || first === '-v') return { what: 'version' }
  if (first === 'help' && rest[0] === undefined) return { what: 'help', command: undefined }
  const name = first === 'help' ? (rest[0] ?? '') : first
  const command = commands.find((candidate) => candidate.name === name)
  if (!command) throw usageError(`there is no command '${name}'.`)
  if (first === 'help') return { what: 'help', command }
  const { values, args } = parsed(command, rest)
  if (values['help'] === true) return { what: 'help', command }
  const [least, most] = command.arity
  if (args.length < least)
    throw usageError(`${command.name} needs ${command.args ?? 'an argument'}.`, command.name)
  if (args.length > most) throw usageError(`'${args[most]}' is one argument too many.`, command.name)
  return { what: 'run', command, options: globals(values), values, args }
}

function parsed(
  { name, options = {} }: Command,
  argv: readonly string[],
): { values: Values; args: string[] } {
  const all: Record<string, OptionSpec> = { ...globalOptions, ...options }
  const config = Object.fromEntries(
    Object.entries(all).map(([option, { type, short }]) => [
      option,
      { type, ...(short !== undefined && { short }) },
    ]),
  )
  try {
    const { values, positionals } = parseArgs({
      args: markIds(argv),
      options: config,
      allowPositionals: true,
    })
    const given = Object.entries(values).map(([option, value]) => [option, unmarked(value)])
    return { values: Object.fromEntries(given) as Values, args: positionals.map(unmarked) }
  } catch (error) {
    // What follows in it is of arguments that begin with a dash.
    const [problem = ''] = messageOf(error).replaceAll(MARK, '').split(' To specify ')
    throw usageError(problem, name)
  }
}

/** Ids are base64url, so one in 64 begins with a dash. No option of ours looks like that. */
const DASHED_ID = /^-(?=[\w-]{5,22}…?$)(?!-[a-z]+(-[a-z]+)*$)/
/** Stands before such an id while options are looked for. No argument of a process holds it. */
const MARK = '\0'

function markIds(argv: readonly string[]): string[] {
  const end = argv.indexOf('--')
  return argv.map((arg, i) => ((end < 0 || i < end) && DASHED_ID.test(arg) ? MARK + arg : arg))
}

const unmarked = <T>(value: T) => (typeof value === 'string' ? value.replace(MARK, '') : value)

function globals(values: Values): GlobalOptions {
  const text = (name: string) => (typeof values[name] === 'string' ? values[name] : undefined)
  const plain = values['no-color'] === true || !!process.env['NO_COLOR']
  const wanted = !!process.env['FORCE_COLOR'] || process.stdout.isTTY
  return {
    sqlite: fileOf(values),
    redis: text('redis') ?? (process.env['REDIS_URL'] || undefined),
    prefix: text('prefix') ?? 'mcp',
    name: text('name'),
    keyFile: text('key-file'),
    secrets: text('secrets'),
    json: values['json'] === true,
    color: !plain && wanted,
    showPayloads: values['show-payloads'] === true,
    fullIds: values['full-ids'] === true,
  }
}

function fileOf({ sqlite, redis, prefix }: Values): string | undefined {
  if (typeof sqlite !== 'string') return undefined
  if (redis !== undefined) throw usageError('--sqlite and --redis name two stores: give one of them.')
  if (prefix !== undefined)
    throw usageError('--prefix is of Redis: what a file holds is told apart by --name.')
  return sqlite
}

/** The value of an option that is a whole number. */
export function numberOption(
  values: Values,
  name: string,
  fallback: number,
  least = 0,
  most = Number.MAX_SAFE_INTEGER,
): number {
  const text = values[name]
  if (text === undefined) return fallback
  const number = Number(text)
  if (Number.isInteger(number) && number >= least && number <= most) return number
  const upTo = most < Number.MAX_SAFE_INTEGER ? ` to ${most}` : ''
  throw usageError(`--${name} must be a whole number from ${least}${upTo}, not '${String(text)}'.`)
}

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** The value of an option that is a span of time such as `90m`, in ms. */
export function timeOption(values: Values, name: string): number | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  const [, count = '', unit = ''] = /^(\d+)([smhd])$/.exec(String(text)) ?? []
  if (count !== '') return Number(count) * UNITS[unit as keyof typeof UNITS]
  throw usageError(`--${name} must be a time like 45s, 90m, 12h or 2d, not '${String(text)}'.`)
}
