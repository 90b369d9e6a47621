import { RunRefusedError, StoreError } from '@mcp-durable/core/errors'

/** Something that a person can put right: what is wrong, and what to do next. */
export class CliError extends Error {
  readonly next: readonly string[]
  readonly exitCode: number

  constructor(
    problem: string,
    next: readonly string[] = [],
    { exitCode = 1, cause }: { exitCode?: number; cause?: unknown } = {},
  ) {
    super(problem, { cause })
    this.next = next
    this.exitCode = exitCode
  }

  toLines(): string[] {
    return [`error: ${this.message}`, ...this.next.map((line) => `  ${line}`)]
  }
}

export function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error
  if (error instanceof RunRefusedError) return new CliError(error.message, [], { cause: error })
  if (!(error instanceof StoreError)) return new CliError(messageOf(error), framesOf(error), { cause: error })
  return new CliError(error.message, [nextOf(error)], { cause: error })
}

function nextOf({ code, message }: StoreError): string {
  if (code === 'store-sealed') return 'Give a file that has that key: --key-file FILE'
  if (code === 'store-tampered' && message.includes('seal.plain'))
    return 'Somebody without a key may have put it there. Where it is from before the nodes sealed: --read-plain'
  return /NOPERM/.test(message)
    ? 'This user of Redis may not do that. docs/security.md says which rights are needed.'
    : 'Try again; mcp-durable doctor looks at the server.'
}

/** The command line is wrong. */
export function usageError(problem: string, command?: string): CliError {
  return new CliError(problem, [`See: mcp-durable ${command === undefined ? '' : `${command} `}--help`], {
    exitCode: 2,
  })
}

/** A fault of this program: where it is. The message stands before them in a stack, and is printed apart. */
function framesOf(error: unknown): string[] {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  return stack
    .split('\n')
    .filter((line) => /^ {4}at /.test(line))
    .map((line) => line.trim())
}

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
