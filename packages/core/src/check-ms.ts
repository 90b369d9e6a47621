import { shown } from './known-options.js'

/**
 * Throws a `TypeError` if it is no number of milliseconds. What is made of an environment variable often is none: text is joined to
 * a time where a number is added, and no time is later than `NaN`.
 */
export function checkMs(what: string, ms: unknown, most = Number.POSITIVE_INFINITY) {
  checkNumber(what, ms, 'a number of milliseconds', most)
}

/** As `checkMs`, of what is no time. */
export function checkNumber(what: string, value: unknown, right: string, most = Number.POSITIVE_INFINITY) {
  if (typeof value === 'number' && value >= 0 && value <= most) return
  const bound = most === Number.POSITIVE_INFINITY ? '' : ` and at most ${most}`
  throw new TypeError(`${what} is ${right}, not negative${bound}. It is ${shown(value)}.`)
}
