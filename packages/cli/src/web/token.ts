import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CliError, messageOf } from '../errors.js'

const LEAST = 16
const VARIABLE = 'MCP_DURABLE_WEB_TOKEN'
const MAKE = 'Make one: openssl rand -hex 32 > token; then --token token'

/** What a browser has to know, and what it is remembered by. Neither is ever written anywhere. */
export class Token {
  readonly #text: string
  /** For a cookie: nobody who reads it learns the token. */
  readonly proof: string
  /** Tells tokens apart, and nothing else of them. */
  readonly name: string

  constructor(text: string) {
    this.#text = text
    this.proof = createHmac('sha256', text).update('mcp-durable monitor --web').digest('base64url')
    this.name = hash('sha256', this.proof, 'hex').slice(0, 8)
  }

  isToken = (given: string) => isSame(given, this.#text)
  isProof = (given: string) => isSame(given, this.proof)
}

/** From a file, or the variable; on a command line others could read it. */
export function readToken(file: string | undefined): Token | undefined {
  const text = file === undefined ? process.env[VARIABLE] : readFrom(file)
  if (text === undefined || (file === undefined && text === '')) return undefined
  if (text.length < LEAST || !/^[\x21-\x7E]+$/.test(text))
    throw new CliError(`the token must be one line of at least ${LEAST} characters without spaces.`, [MAKE])
  return new Token(text)
}

/** What is told where one is needed. */
export const tokenNeeded = (host: string) =>
  new CliError(`whoever reaches ${host} could look into the store: that needs a token.`, [
    `${MAKE}, or set ${VARIABLE}`,
  ])

function readFrom(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new CliError(`the file of the token can't be read: ${messageOf(error)}`, [MAKE], { cause: error })
  }
}

/** In a time that tells nothing of how much of it is right. */
const isSame = (a: string, b: string) => timingSafeEqual(digest(a), digest(b))
const digest = (text: string) => hash('sha256', text, 'buffer')
