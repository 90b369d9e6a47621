/** Orders keys as maps do: by their bytes in UTF-8, which is the order of their code points. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** The lowest key above all that begin with `prefix`; `undefined` if there is none. */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0)
  while (points.at(-1) === MAX_POINT) points.pop()
  const last = points.pop()
  return last === undefined ? undefined : String.fromCodePoint(...points, successor(last))
}

/** Keys and names are text that UTF-8 can hold; half a surrogate pair would become another key in the store. */
export function checkText(what: string, text: string): string {
  if (typeof text !== 'string') throw new TypeError(`${what} is a string.`)
  if (/\p{Surrogate}/u.test(text)) throw new TypeError(`${what} is not well-formed Unicode.`)
  return text
}

const MAX_POINT = 0x10ffff
const SURROGATES = { first: 0xd800, last: 0xdfff }

function successor(point: number) {
  return point + 1 === SURROGATES.first ? SURROGATES.last + 1 : point + 1
}
