const BEGINNING = 'sealed:1:'
const ID_CHARS = 8
/** What stands before the bytes of a record that is sealed with no secret: beginning, key, kind. */
const HEAD = BEGINNING.length + ID_CHARS + ':e:'.length
const NAME_CHARS = 22
const ID = /^[0-9a-f]{8}$/
const NAME = /^[\w-]{22}$/

/** What a sealed record says of itself. `secret`: the name of that of its principal, if it has one. */
export type SealedText = { id: string; kind: string; secret: string | undefined; bytes: Buffer }

export const isSealedText = (text: string) => text.startsWith(BEGINNING)

/** The id of the key that a record says it is sealed with, `''` if that is none; `undefined`: it is not sealed. */
export function sealOf(text: string): string | undefined {
  if (!isSealedText(text)) return undefined
  const id = text.slice(BEGINNING.length, BEGINNING.length + ID_CHARS)
  return ID.test(id) && text[HEAD - 3] === ':' ? id : ''
}

/** The name of the secret that a sealed record needs; `undefined`: none. */
export function secretOf(text: string): string | undefined {
  if (text[HEAD + NAME_CHARS] !== ':' || !isSealedText(text)) return undefined
  const name = text.slice(HEAD, HEAD + NAME_CHARS)
  return NAME.test(name) ? name : undefined
}

/** `undefined` for what was not written by `sealedText`. */
export function readSealedText(text: string): SealedText | undefined {
  const id = sealOf(text)
  if (!id || text[HEAD - 1] !== ':') return undefined
  const secret = secretOf(text)
  const bytes = decoded(secret === undefined ? text.slice(HEAD) : text.slice(HEAD + NAME_CHARS + 1))
  return bytes && { id, kind: text[HEAD - 2] ?? '', secret, bytes }
}

export const sealedText = ({ id, kind, secret, bytes }: SealedText) =>
  `${BEGINNING}${id}:${kind}:${secret === undefined ? '' : `${secret}:`}${bytes.toString('base64')}`

/** How many characters that are for so many bytes. */
export const charsOf = (bytes: number, hasSecret: boolean) =>
  HEAD + (hasSecret ? NAME_CHARS + 1 : 0) + 4 * Math.ceil(bytes / 3)

/** What is no base64 is left out where it is decoded, so the length tells. */
function decoded(text: string): Buffer | undefined {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const bytes = Buffer.from(text, 'base64')
  return text.length % 4 === 0 && bytes.length === (text.length / 4) * 3 - padding ? bytes : undefined
}
