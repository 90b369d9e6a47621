import { inspect } from 'node:util'
import { escapeControls } from './escape-controls.js'

/** The part of pino's interface that is used; pino, winston and `console`-likes fit. Fields never hold payloads or tokens. */
export interface Logger {
  error(fields: object, message: string): void
  warn(fields: object, message: string): void
  info(fields: object, message: string): void
  debug(fields: object, message: string): void
}

/** Warnings and errors, a line each, on standard error. Whatever is in a text, it begins no other line and does nothing to a terminal. */
export const consoleLogger: Logger = {
  error: (fields, message) => console.error(line('error', fields, message)),
  warn: (fields, message) => console.warn(line('warn', fields, message)),
  info: () => undefined,
  debug: () => undefined,
}

/** A logger that fails, which is the application's, must fail nothing else: its line goes to standard error. */
export function unfailing(logger: Logger): Logger {
  const log = (level: keyof Logger) => (fields: object, message: string) => {
    const failed = (failure: unknown) => writeAnyway({ ...fields, logger: failure }, message)
    try {
      const pending: unknown = logger[level](fields, message)
      if (pending instanceof Promise) pending.catch(failed)
    } catch (failure) {
      failed(failure)
    }
  }
  return { error: log('error'), warn: log('warn'), info: log('info'), debug: log('debug') }
}

function writeAnyway(fields: object, message: string) {
  try {
    consoleLogger.error(fields, `${message} (the logger has failed)`)
  } catch {
    // There is nobody left to tell.
  }
}

function line(level: string, fields: object, message: string) {
  const details = Object.entries(fields).map(([key, value]) => ` ${key}=${text(value)}`)
  return `[mcp-durable] ${level}: ${escapeControls(message)}${details.join('')}`
}

/** Of whatever was thrown: it may be no error, or have no form in JSON. */
function text(value: unknown) {
  try {
    if (value instanceof Error) return indented(value.stack ?? value.message)
    return escapeControls(typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value)))
  } catch {
    return inspected(value)
  }
}

function inspected(value: unknown) {
  try {
    return indented(inspect(value, { customInspect: false, breakLength: Infinity }))
  } catch {
    return `(${typeof value} without a text)`
  }
}

/** The lines of a stack, so that none of them looks like a line of the log. */
const indented = (stack: string) =>
  stack
    .split('\n')
    .map((stackLine) => escapeControls(stackLine.trim()))
    .join('\n    ')

/** Enough of an id to find it again, too little to use it. */
export const shortId = (id: string) => `${id.slice(0, 6)}…`
