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

  toText(): string {
    return [`error: ${this.message}`, ...this.next.map((line) => `  ${line}`)].join('\n')
  }
}

/** The command line is wrong. */
export function usageError(problem: string, command?: string): CliError {
  return new CliError(problem, [`See: mcp-durable ${command === undefined ? '' : `${command} `}--help`], {
    exitCode: 2,
  })
}

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
