/** Throws a `TypeError` for what can't be the name of a step, or of a patch. */
export function checkName(of: string, name: unknown) {
  if (typeof name !== 'string' || name === '' || name.includes('\n'))
    throw new TypeError(`The name of a ${of} is one line of text.`)
}
