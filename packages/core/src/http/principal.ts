import { MisconfiguredError } from '../errors.js'
import type { Logger } from '../logger.js'
import { callerOf } from '../proxy/caller.js'
import type { AuthInfo } from '../auth-info.js'
import type { DurableOptions } from '../options.js'
import { withinMs } from '../within.js'

/** Tells whose a request is; `undefined` alone: nobody is known. Throws, or rejects with, a `MisconfiguredError`. */
export type Identify = (
  request: Request,
  authInfo: AuthInfo | undefined,
) => string | undefined | Promise<string | undefined>

const ANSWER_WITHIN_MS = 30_000

/**
 * Stores compare principals as texts. Whatever else became one by conversion would be the same for many callers: a promise,
 * an object, and a text with half a character, of which UTF-8 makes U+FFFD.
 */
export function identifyBy(principal: DurableOptions['principal'], logger: Logger): Identify {
  if (!principal) return byClientId(logger)
  return (request, authInfo) => {
    const answer = asked(() => principal(request, authInfo))
    if (!isThenable(answer)) return checked(answer, RETURNED)
    const late = () =>
      new MisconfiguredError(`\`principal\` did not answer within ${ANSWER_WITHIN_MS / 1000} s`)
    return withinMs(Promise.resolve(answer), ANSWER_WITHIN_MS, late).then(
      (settled) => checked(settled, RETURNED),
      (error: unknown) => failed(error),
    )
  }
}

/**
 * Before a server that checks tokens itself: the client of the auth info, or else whoever the header says. `bySubject`: a
 * token may stand for its subject; there must be a `Vouching` then.
 */
export function identifyByHeader(bySubject: boolean, logger: Logger): Identify {
  const identify = byClientId(logger)
  return (request, authInfo) => {
    if (authInfo !== undefined) return identify(request, authInfo)
    return callerOf(request, bySubject).principal
  }
}

function byClientId(logger: Logger): Identify {
  let warned = false
  return (_request, authInfo) => {
    if (authInfo && authInfo.clientId === undefined && !warned) {
      warned = true
      logger.warn({}, NO_CLIENT_ID)
    }
    return checked(authInfo?.clientId, 'the auth info has as its `clientId`')
  }
}

function asked(ask: () => unknown): unknown {
  try {
    return ask()
  } catch (error) {
    return failed(error)
  }
}

function failed(error: unknown): never {
  if (error instanceof MisconfiguredError) throw error
  throw new MisconfiguredError('`principal` threw; refuse callers in a middleware before this', {
    cause: error,
  })
}

function checked(principal: unknown, origin: string): string | undefined {
  if (principal === undefined) return undefined
  if (typeof principal === 'string' && principal !== '' && !HALF_CHARACTER.test(principal)) return principal
  throw new MisconfiguredError(
    `${origin} ${described(principal)}: a principal is a string that is not empty, or undefined if nobody is known`,
  )
}

function described(value: unknown) {
  if (value === null) return 'null'
  if (value === '') return 'an empty string'
  if (typeof value === 'string') return 'a string that is not well-formed Unicode'
  return `a value of type ${typeof value}`
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'

const HALF_CHARACTER = /\p{Surrogate}/u
const RETURNED = '`principal` returned'
const NO_CLIENT_ID =
  'there is auth info without a `clientId`, so sessions are bound to nobody: whoever has the id of one may use it. ' +
  'Set `principal` to what tells your users apart'
