import { checkGiven } from '../known-options.js'

/** Throws a `TypeError` at once where every request would end with 500. `adapter`: by its name. */
export function checkMounted(adapter: string, mcp: unknown) {
  const isRight = typeof (mcp as { fetch?: unknown } | null | undefined)?.fetch === 'function'
  checkGiven(
    isRight,
    `${adapter}() takes what durable() returns: ${adapter}(durable({ server, store }))`,
    mcp,
  )
}
