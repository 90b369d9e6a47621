import * as fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { deadlineOf } from '../../src/context/call-log.js'
import { encodeValue } from '../../src/context/codec.js'
import type { DurableContext } from '../../src/context/context.js'
import { realTimeAndChance } from '../../src/context/time-and-chance.js'
import { validateEffects } from '../../src/context/validate.js'
import { MemoryContextStore } from './memory-context-store.js'
import { TestCall, thrown } from './support.js'
import type { Crash } from './support.js'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } }

/** A program of steps that run side by side, and of decisions by which of them ended first. */
type Program =
  | { kind: 'body' | 'once'; turns: readonly number[]; fails: boolean }
  | { kind: 'sleep'; ms: number }
  | { kind: 'elicit' | 'now' | 'state' }
  /** `hops`: microtasks after each one, as helpers and `finally` make them. */
  | { kind: 'race' | 'any' | 'allSettled' | 'sequence'; hops: readonly number[]; of: readonly Program[] }
  /** Goes on by what came first. */
  | { kind: 'branch'; of: readonly Program[]; next: Program }

const anyProgram = fc.letrec<{ program: Program }>((tie) => ({
  program: fc.oneof(
    { maxDepth: 3, depthSize: 'small', withCrossShrink: true },
    fc.record({
      kind: fc.constantFrom('body', 'once'),
      turns: fc.array(fc.nat({ max: 6 }), { minLength: 3, maxLength: 3 }),
      fails: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('sleep'), ms: fc.nat({ max: 4 }) }),
    fc.record({ kind: fc.constantFrom('elicit', 'now', 'state') }),
    fc.record({
      kind: fc.constantFrom('race', 'any', 'allSettled', 'sequence'),
      hops: fc.array(fc.nat({ max: 5 }), { minLength: 4, maxLength: 4 }),
      of: fc.array(tie('program'), { minLength: 2, maxLength: 4 }),
    }),
    fc.record({
      kind: fc.constant('branch'),
      of: fc.array(tie('program'), { minLength: 2, maxLength: 3 }),
      next: tie('program'),
    }),
  ) as fc.Arbitrary<Program>,
})).program

/** What one run of the call has seen so far: which one was first, by the place in the program. */
type Seen = Map<string, string>

class Run {
  readonly #ctx: DurableContext
  readonly #attempt: number
  readonly #seen: Seen

  constructor(ctx: DurableContext, attempt: number, seen: Seen) {
    this.#ctx = ctx
    this.#attempt = attempt
    this.#seen = seen
  }

  /** Resolves to what came of it, and which steps ended in which order as far as it decided by that. */
  async do(program: Program, at: string): Promise<string> {
    switch (program.kind) {
      case 'body':
      case 'once': {
        const method = program.kind === 'body' ? 'atLeastOnce' : 'atMostOnce'
        // How long it takes differs from run to run.
        const turns = program.turns[this.#attempt % program.turns.length] ?? 0
        const body = async () => {
          for (let i = 0; i < turns; i++) await turn()
          if (program.fails) throw new RangeError(at)
          return at
        }
        return this.#ctx[method](at, body, { attempts: 1 })
      }
      case 'sleep':
        return this.#ctx.sleep(at, program.ms).then(() => at)
      case 'elicit':
        return this.#ctx.elicit(at, form).then(() => at)
      case 'now':
        return this.#ctx.now(at).then(() => at)
      case 'state':
        return this.#ctx.state
          .of('n')
          .set(1, { name: at })
          .then(() => at)
      case 'branch': {
        const first = await this.#decide(at, Promise.race(this.#all(program.of, [], at)))
        return this.do(program.next, `${at} after ${first}`)
      }
      case 'sequence': {
        const done: string[] = []
        for (const [i, each] of program.of.entries())
          done.push(await this.do(each, `${at}.${i}`).catch(String))
        return done.join()
      }
      case 'race':
        return this.#decide(at, Promise.race(this.#all(program.of, program.hops, at)))
      case 'any':
        return this.#decide(at, Promise.any(this.#all(program.of, program.hops, at)).catch(String))
      case 'allSettled': {
        const order: string[] = []
        const all = this.#all(program.of, program.hops, at)
        await Promise.allSettled(all.map((each) => each.finally(() => void each.catch(() => undefined))))
        await Promise.allSettled(all.map((each, i) => each.finally(() => order.push(String(i)))))
        return order.join()
      }
    }
  }

  #all(programs: readonly Program[], hops: readonly number[], at: string) {
    return programs.map(async (each, i) => {
      try {
        return await this.do(each, `${at}.${i}`)
      } finally {
        for (let hop = 0; hop < (hops[i] ?? 0); hop++) await Promise.resolve()
      }
    })
  }

  async #decide(at: string, first: Promise<string>): Promise<string> {
    const what = await first.catch((error: unknown) => String(error))
    // What was left running when the handler ended decides nothing.
    this.#ctx.signal.throwIfAborted()
    const before = this.#seen.get(at)
    if (before !== undefined && before !== what) throw new Diverged(`${at}: ${before}, then ${what}`)
    this.#seen.set(at, what)
    return what
  }
}

class Diverged extends Error {}

const handlerOf = (program: Program, seen: Seen, diverged: Diverged[]) => async (ctx: DurableContext) => {
  try {
    return await new Run(ctx, ctx.attempt, seen).do(program, '0')
  } catch (error) {
    if (error instanceof Diverged) diverged.push(error)
    return String(error)
  }
}

/** Answers every question after some turns. */
function answering(call: TestCall, turns: number) {
  const over = new AbortController()
  const answer = async () => {
    while (!over.signal.aborted) {
      for (let i = 0; i <= turns; i++) await turn()
      for (const { name } of call.questions) call.answer(name, { action: 'accept', content: {} })
    }
  }
  void answer()
  return () => over.abort()
}

const anyCrash: fc.Arbitrary<Crash> = fc.record({
  at: fc.integer({ min: 1, max: 14 }),
  when: fc.constantFrom('before', 'applied'),
})

describe('any program of races, crashing anywhere and any number of times', () => {
  test.each([false, true])('decides the same in every run; acknowledged in batches: %s', async (batches) => {
    const property = fc.asyncProperty(
      anyProgram,
      fc.array(anyCrash, { minLength: 1, maxLength: 4 }),
      fc.nat({ max: 5 }),
      async (program, crashes, turns) => {
        const call = new TestCall()
        const stop = answering(call, turns)
        const seen: Seen = new Map()
        const diverged: Diverged[] = []
        const handler = handlerOf(program, seen, diverged)
        let ended: unknown = 'crashed'
        for (const crash of [...crashes, undefined]) {
          if (ended === 'crashed') ended = await call.node({ crash, batches }).run(handler)
          expect(diverged).toEqual([])
        }
        const last = call.node({ batches: !batches })
        expect(await last.run(handler)).toEqual(ended)
        expect(diverged).toEqual([])
        stop()
        if (!last.handled) throw new Error('The handler did not end.')
        expect(await validateEffects(call.finished(last.handled), call.store, last.handled.rerun)).toEqual([])
      },
    )
    await fc.assert(property, { numRuns: 400 })
  })
})

/** Lets a handler run until it waits for nothing but `ms` of time. */
async function crashedAfter(call: TestCall, handler: (ctx: DurableContext) => unknown) {
  const node = call.node()
  void node.run(handler)
  for (let i = 0; i < 50; i++) await turn()
  void node.crash()
}
const held = () => new Promise<string>(() => undefined)

describe('steps that earlier runs have ended', () => {
  test('settle in the order in which they did, those that begin later too', async () => {
    const call = new TestCall()
    const order: string[] = []
    const note = (name: string) => () => void order.push(name)
    await crashedAfter(call, async (ctx) => {
      const slow = ctx.atLeastOnce('slow', async () => {
        for (let i = 0; i < 20; i++) await turn()
      })
      await ctx.atLeastOnce('quick', () => 1)
      await ctx.atLeastOnce('after quick', () => 1)
      await slow
      await held()
    })
    expect(call.records.map(({ id }) => id)).toEqual(['quick', 'after quick', 'slow'])
    await crashedAfter(call, async (ctx) => {
      const slow = ctx.atLeastOnce('slow', () => 1).then(note('slow'))
      await ctx.atLeastOnce('quick', () => 1).then(note('quick'))
      // Code between the steps may wait for what is no step.
      for (let i = 0; i < 20; i++) await turn()
      await ctx.atLeastOnce('after quick', () => 1).then(note('after quick'))
      await slow
    })
    await expect.poll(() => order).toEqual(['quick', 'after quick', 'slow'])
  })

  test('settle before all that ends in this run, however soon that does', async () => {
    const call = new TestCall()
    await crashedAfter(call, async (ctx) => {
      await ctx.now('first')
      await ctx.now('second')
      await held()
    })
    const winner = await call.node().run(async (ctx) => {
      const recorded = async () => {
        await ctx.now('first')
        for (let i = 0; i < 20; i++) await turn()
        await ctx.now('second')
        return 'what had ended'
      }
      return Promise.race([ctx.atLeastOnce('new', () => 'what had not'), recorded()])
    })
    expect(winner).toBe('what had ended')
  })

  test('and that this run does not come to, hold up the others for a moment only', async () => {
    const call = new TestCall()
    await crashedAfter(call, async (ctx) => {
      for (const name of ['removed 1', 'a', 'removed 2', 'removed 3', 'b', 'removed 4']) await ctx.now(name)
      await held()
    })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const order: string[] = []
    const node = call.node()
    const run = thrown(
      node.run(async (ctx) => {
        const steps = ['b', 'a'].map((name) => ctx.now(name).then(() => order.push(name)))
        await Promise.all(steps)
        await ctx.now('removed 1').then(() => order.push('removed 1'))
      }) as Promise<unknown>,
    )
    // Of four that are missing, one is waited for.
    await vi.advanceTimersByTimeAsync(1.5 * realTimeAndChance.patienceMs)
    // That the others never come is a divergence, and shows when the handler has returned.
    expect(await run).toMatchObject({ code: 'divergence', data: { expected: 'removed 2', position: 4 } })
    expect(order).toEqual(['a', 'b', 'removed 1'])
    expect(node.told).toMatchObject([{ level: 'warn', fields: { steps: ['removed 1'] } }])
  })

  test('are waited for as long as is said, by what ended behind them', async () => {
    const call = new TestCall()
    await crashedAfter(call, async (ctx) => {
      await ctx.now('begun')
      await ctx.now('quoted')
      await ctx.sleep('patience', 0)
      await held()
    })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const node = call.node({ divergesAfterMs: 30_000 })
    const winner = node.run(async (ctx) => {
      const quote = async () => {
        for (const name of ['begun', 'quoted']) {
          // A read that is no step; what is waited for anew counts anew.
          await new Promise((resolve) => setTimeout(resolve, 20_000))
          await ctx.now(name)
        }
        return 'the quote'
      }
      const won = await Promise.race([quote(), ctx.sleep('patience', 0).then(() => 'the patience')])
      return ctx.atLeastOnce('book', () => won)
    })
    for (let second = 0; second < 45; second++) {
      await vi.advanceTimersByTimeAsync(1000)
      for (let i = 0; i < 10; i++) await turn()
    }
    expect(await Promise.race([winner, turn()])).toBe('the quote')
    expect(node.told).toEqual([])
  })

  test('wait for a handler that reads before it comes to them, as long as that takes', async () => {
    const call = new TestCall()
    let finishReading: () => void = () => undefined
    const reading = new Promise<undefined>((resolve) => (finishReading = () => resolve(undefined)))
    await crashedAfter(call, async (ctx) => {
      await ctx.now('read before')
      await ctx.now('other')
      await held()
    })
    const store = new (class extends MemoryContextStore {
      override readValue = () => reading
    })()
    const winner = call.node({ store }).run(async (ctx) => {
      const read = async () => {
        await ctx.state.get()
        return ctx.now('read before').then(() => 'read before')
      }
      return Promise.race([ctx.now('other').then(() => 'other'), read()])
    })
    expect(await Promise.race([winner, new Promise((resolve) => setTimeout(resolve, 1500, 'waits'))])).toBe(
      'waits',
    )
    finishReading()
    expect(await winner).toBe('read before')
  })

  test('a stopped call does not wait for them', async () => {
    const call = new TestCall()
    await crashedAfter(call, async (ctx) => void (await ctx.now('removed')))
    const node = call.node()
    const run = node.run((ctx) => ctx.now('new'))
    node.cancel()
    await expect(run).rejects.toThrow('cancelled')
  })
})

describe('times that have passed while no node ran the call', () => {
  /** As an earlier run has left them: begun, and not ended. */
  function overdue(deadlines: Record<string, number>): TestCall {
    const call = new TestCall()
    for (const [id, ago] of Object.entries(deadlines)) {
      call.records.push({ id: deadlineOf(id), phase: 'done', value: encodeValue(Date.now() - ago) })
    }
    call.questions.push({ name: 'ask', method: 'elicitation/create' })
    return call
  }
  const race = (ctx: DurableContext) =>
    Promise.race([
      ctx.sleep('give up', 20).then(() => 'give up'),
      ctx.elicit('ask', form, { timeoutMs: 15 }).then(
        () => 'answered',
        () => 'no answer',
      ),
      ctx.sleep('remind', 10).then(() => 'remind'),
    ])

  test('pass in their order, not in that of the code', async () => {
    const call = overdue({ 'give up': 10, ask: 15, remind: 20 })
    expect(await call.node().run(race)).toBe('remind')
    expect(await call.node().run(race)).toBe('remind')
  })

  test('do not pass before a question whose time was up before has been looked at for its answer', async () => {
    const deadlines = { 'give up': 10, ask: 20, remind: 15 }
    const silent = overdue(deadlines)
    expect(await silent.node().run(race)).toBe('no answer')
    expect(silent.records.filter(({ phase }) => phase === 'failed').map(({ id }) => id)).toEqual(['ask'])
    const answered = overdue(deadlines)
    answered.answer('ask', { action: 'decline' })
    expect(await answered.node().run(race)).toBe('answered')
  })
})
