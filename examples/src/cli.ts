import { parseArgs, type ParseArgsConfig } from 'node:util'
import { escapeControls } from '@mcp-durable/core/inspect'

/** What every server among the examples understands. */
export const serverOptions = {
  port: { type: 'string', default: '3000' },
  host: { type: 'string', default: '127.0.0.1' },
  redis: { type: 'string' },
  file: { type: 'string' },
} as const

export const serverUsage = `  --port N      port to listen on; 0 takes a free one (default 3000)
  --host HOST   address to bind (default 127.0.0.1)
  --redis URL   keep sessions and streams in this Redis
  --file FILE   keep them in this file; without either they live in this process only`

type Parsed<T extends ParseArgsConfig> = ReturnType<typeof parseArgs<T>>

/**
 * `parseArgs` with a usage text. `--help` prints it and exits 0; a flag that is unknown or lacks its value
 * prints what is wrong and the usage, and exits 2.
 */
export function readFlags<const T extends ParseArgsConfig>(usage: string, config: T): Parsed<T> {
  const options = { ...config.options, help: { type: 'boolean', short: 'h' } } as const
  try {
    const parsed = parseArgs<ParseArgsConfig>({ ...config, options })
    if (parsed.values['help'] === true) {
      console.log(usage)
      process.exit(0)
    }
    return parsed as Parsed<T>
  } catch (error) {
    return usageError(messageOf(error), usage)
  }
}

/** Ends the program with code 2: the command line is wrong and this is how to put it right. */
export function usageError(problem: string, usage: string): never {
  console.error(`error: ${escapeControls(problem)}\n\n${usage}`)
  process.exit(2)
}

/** Ends the program with code 1: the command line is right, but the work could not be done. */
export function fail(problem: string): never {
  // What an assertion says has several lines.
  console.error(`error: ${problem.split('\n').map(escapeControls).join('\n  ')}`)
  process.exit(1)
}

export function portFlag(name: string, text: string, usage: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  return usageError(`--${name} must be a number from 0 to 65535, not '${text}'; 0 takes a free port`, usage)
}

export function urlFlag(name: string, text: string, protocols: readonly string[], usage: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && protocols.includes(url.protocol)) return url
  const wanted = protocols.map((protocol) => `${protocol}//…`).join(' or ')
  return usageError(`--${name} must be a URL like ${wanted}, not '${text}'`, usage)
}

export function redisFlag(text: string | undefined, usage: string): string | undefined {
  return text === undefined ? undefined : urlFlag('redis', text, ['redis:', 'rediss:'], usage).href
}

export function choiceFlag<const T extends string>(
  name: string,
  text: string,
  choices: readonly T[],
  usage: string,
): T {
  const choice = choices.find((candidate) => candidate === text)
  return choice ?? usageError(`--${name} must be one of ${choices.join(', ')}, not '${text}'`, usage)
}

/**
 * Runs `close` once at SIGTERM or SIGINT, then exits. The handlers are gone after the first signal, so a
 * second one ends a program that does not come to an end by itself.
 */
export function closeOnSignal(close: () => Promise<void>): void {
  const stop = (): void => {
    process.off('SIGTERM', stop)
    process.off('SIGINT', stop)
    close().then(
      () => process.exit(0),
      (error: unknown) => fail(`could not shut down cleanly: ${messageOf(error)}`),
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

/** Lets the `exit` handlers run at a signal: they end the processes that this one started. */
export function exitOnSignal(): void {
  process.once('SIGTERM', () => process.exit(143))
  process.once('SIGINT', () => process.exit(130))
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
