/** An object with these members in place of its own. Its methods go on having it as `this`. */
export function overriding<T extends object>(target: T, own: Partial<T>): T {
  const members = new Map<string | symbol, unknown>(Object.entries(own))
  return new Proxy(target, {
    get(_, name) {
      if (members.has(name)) return members.get(name)
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      const bound: unknown = member.bind(target)
      members.set(name, bound)
      return bound
    },
  })
}
