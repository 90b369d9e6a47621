import type { Context } from './context.js'

export type OptionSpec = {
  type: 'string' | 'boolean'
  short?: string
  /** What stands for the value in the help: `N`. */
  value?: string
  help: string
}

/** One word after `mcp-durable`. */
export type Command = {
  name: string
  /** What follows the name: `ID`. */
  args?: string
  /** How many arguments it takes at least, and at most. */
  arity: readonly [least: number, most: number]
  /** One line, for the list of commands. */
  summary: string
  /** More lines for its own help. */
  details?: string
  options?: Record<string, OptionSpec>
  /** Resolves to the exit code; 0 if it says nothing. */
  run(context: Context): Promise<number | void>
}
