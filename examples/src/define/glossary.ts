import type { DurableContext, MapEntry, SortedMap } from '@mcp-durable/core'

export interface Definition {
  definition: string
  /** Where the term is in the index by time. */
  key: string
}

const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const valueOf = (stored: Uint8Array): unknown => JSON.parse(Buffer.from(stored).toString())
const definitionOf = (stored: Uint8Array): Definition => valueOf(stored) as Definition
const definitionsOf = (entries: readonly MapEntry[]): [term: string, Definition][] =>
  entries.map(([term, stored]) => [term, definitionOf(stored)])

/**
 * A glossary in two maps: `terms`, in the order of the alphabet, and `times`, in the order in which terms were defined.
 * Each change of a map applies once, however many nodes the call takes. The two do not change together: a reader may
 * find a new term in one of them a moment before it is in the other.
 */
export class Glossary {
  readonly #terms: SortedMap
  readonly #times: SortedMap
  readonly #ctx: DurableContext

  constructor(ctx: DurableContext, name: string) {
    this.#ctx = ctx
    this.#terms = ctx.map(`${name}/terms`)
    this.#times = ctx.map(`${name}/times`)
  }

  /** What is stored now. In a durable tool what is read is memoized: after a takeover it may be something else. */
  read(terms: readonly string[]): Promise<(Definition | undefined)[]> {
    return this.#ctx.atLeastOnce('read the terms', async () => {
      const found = await this.#terms.getMany(terms)
      return found.map((stored) => stored && definitionOf(stored))
    })
  }

  async lookUp(term: string): Promise<Definition | undefined> {
    const stored = await this.#terms.get(term)
    return stored && definitionOf(stored)
  }

  async addTerm(term: string, definition: Definition): Promise<void> {
    await this.#terms.insert({ [term]: bytes(definition) })
  }

  /** Two changes of the same map in one call are told apart by their aliases. */
  async addTime(
    term: string,
    { key, replaces }: { key: string; replaces: string | undefined },
  ): Promise<void> {
    if (replaces !== undefined) await this.#times.idempotently('forget the old time').remove(replaces)
    await this.#times.idempotently('note the new time').insert({ [key]: bytes(term) })
  }

  async remove(terms: readonly string[], keys: readonly string[]): Promise<void> {
    await this.#terms.remove(terms)
    await this.#times.remove(keys)
  }

  async list(after: string | undefined, limit: number): Promise<[string, Definition][]> {
    return definitionsOf(await this.#terms.range({ limit, ...(after !== undefined && { after }) }))
  }

  async search(prefix: string): Promise<[string, Definition][]> {
    return definitionsOf(await this.#terms.prefixRange(prefix))
  }

  async recent(limit: number): Promise<string[]> {
    return (await this.#times.reverseRange({ limit })).map(([, stored]) => String(valueOf(stored)))
  }
}
