/** Throws a `TypeError` if `options` is no object, or names an option that there is not; it names the one that was probably meant. */
export function checkNames(where: string, options: unknown, known: readonly string[], what = 'option') {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`${where}: options are an object, and ${shown(options)} was given.`)
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const [nearest] = known.toSorted((a, b) => distance(name, a) - distance(name, b))
    const isNear = nearest !== undefined && distance(name, nearest) <= Math.max(2, name.length / 3)
    const hint = isNear ? `Did you mean \`${nearest}\`?` : `There are: ${known.join(', ')}.`
    throw new TypeError(`${where}: there is no ${what} \`${name}\`. ${hint}`)
  }
}

/** Throws a `TypeError` that says what to give, unless it was given. `takes`: as in 'node() takes …'. */
export function checkGiven(isRight: boolean, takes: string, given: unknown) {
  if (!isRight) throw new TypeError(`${takes}. It was given ${shown(given)}.`)
}

/** A text is none, though it can be gone through as one: letter by letter. */
export const isList = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')

/** What a value is, without what is in it: that may be a secret. */
export function shown(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return `the number ${value}`
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** How many letters have to be changed, added or left out, whatever their case. */
function distance(from: string, to: string): number {
  const [a, b] = [from.toLowerCase(), to.toLowerCase()]
  let row = Array.from({ length: b.length + 1 }, (_, n) => n)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
