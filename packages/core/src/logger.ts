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

function line(level: string, fields: object, message: string) {
  const details = Object.entries(fields).map(([key, value]) => ` ${key}=${text(value)}`)
  return `[mcp-durable] ${level}: ${escapeControls(message)}${details.join('')}`
}

function text(value: unknown) {
  if (value instanceof Error) return indented(value.stack ?? value.message)
  return escapeControls(typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value)))
}

/** The lines of a stack, so that none of them looks like a line of the log. */
const indented = (stack: string) =>
  stack
    .split('\n')
    .map((stackLine) => escapeControls(stackLine.trim()))
    .join('\n    ')

/** Enough of an id to find it again, too little to use it. */
export const shortId = (id: string) => `${id.slice(0, 6)}…`
