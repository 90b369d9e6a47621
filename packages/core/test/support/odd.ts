const fails = () => {
  throw new Error('has none')
}

/** What a handler may throw, and what has no text, or no form in JSON. */
export const ODD: Record<string, () => unknown> = {
  'a big int': () => 10n,
  'a symbol': () => Symbol('s'),
  nothing: () => undefined,
  'a function': () => fails,
  'a cycle': () => {
    const cycle: Record<string, unknown> = {}
    cycle['again'] = cycle
    return cycle
  },
  'an object without a prototype': () => Object.create(null) as object,
  'an object whose toJSON throws': () => ({ toJSON: fails }),
  'an error with a cycle': () => {
    const error = new Error('odd')
    return Object.assign(error, { request: { error } })
  },
  'an error whose stack is a list': () => Object.assign(new Error('odd'), { stack: ['a', 'b'] }),
  'an error whose stack throws': () => Object.defineProperty(new Error('odd'), 'stack', { get: fails }),
  'an error whose message throws': () => Object.defineProperty(new Error('odd'), 'message', { get: fails }),
}
