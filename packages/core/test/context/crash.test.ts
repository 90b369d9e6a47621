import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { DurableContext } from '../../src/context/context.js'
import { AtMostOnceFailedBeforeCompleting } from '../../src/context/errors.js'
import { validateEffects } from '../../src/context/validate.js'
import { AT_ONCE, settled, TestCall } from './support.js'
import type { Crash } from './support.js'

class Transient extends Error {}
class Fatal extends Error {}

/** How the body of a step ends, the first time it is run, the second, …; after that it succeeds. */
type Script = ('transient' | 'fatal' | 'value')[]
type StepPlan =
  | { kind: 'atLeastOnce' | 'atMostOnce'; script: Script }
  | { kind: 'now' | 'random' | 'uuid7' | 'sleep' | 'elicit' | 'state' | 'map' | 'info' }
/** What runs one after the other, and in it what runs side by side. */
type Program = StepPlan[][]

const anyScript = fc.array(fc.constantFrom('transient', 'fatal', 'value'), { maxLength: 3 })
const anyPlan: fc.Arbitrary<StepPlan> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('atLeastOnce', 'atMostOnce'), script: anyScript }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('now', 'random', 'uuid7', 'sleep', 'elicit', 'state', 'map', 'info'),
    }),
  },
)
const anyProgram = fc.array(fc.array(anyPlan, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 })
const anyCrash: fc.Arbitrary<Crash> = fc.record({
  at: fc.integer({ min: 1, max: 12 }),
  when: fc.constantFrom('before', 'applied'),
})

/** The world outside: what bodies did to it, by step. */
class World {
  readonly runs = new Map<string, number>()
  /** Runs that took effect: all but those that failed in a way that may be tried again. */
  readonly effects = new Map<string, number>()

  async act(step: string, outcomes: Script): Promise<string> {
    const run = this.runs.get(step) ?? 0
    this.runs.set(step, run + 1)
    await new Promise((resolve) => setImmediate(resolve))
    if (outcomes[run] === 'transient') throw new Transient(`${step} ${run}`)
    this.effects.set(step, (this.effects.get(step) ?? 0) + 1)
    if (outcomes[run] === 'fatal') throw new Fatal(`${step} ${run}`)
    return `${step} ${run}`
  }
}

const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } }

function perform(ctx: DurableContext, name: string, plan: StepPlan, world: World): Promise<unknown> {
  const policy = { retryable: [Transient], errors: [Fatal], attempts: 2, backoff: AT_ONCE }
  switch (plan.kind) {
    case 'atLeastOnce':
    case 'atMostOnce':
      return ctx[plan.kind](name, () => world.act(name, plan.script), policy)
    case 'sleep':
      return ctx.sleep(name, 0)
    case 'elicit':
      return ctx.elicit(name, form)
    case 'state':
      return ctx.state.of('n', { schema: z.number() }).update((n = 0) => n + 1, { name })
    case 'map':
      return ctx
        .map('m')
        .idempotently(name)
        .insert({ [name]: new Uint8Array([1]) })
    case 'info':
      return ctx.info(name)
    default:
      return ctx[plan.kind](name)
  }
}

/** What a handler saw of a step, as far as code can branch on it. */
function seen(outcome: { value: unknown } | { error: Error }): string {
  if ('value' in outcome) return JSON.stringify(outcome)
  const { error } = outcome
  const classes = [Transient, Fatal, AtMostOnceFailedBeforeCompleting].map((Class) => error instanceof Class)
  return JSON.stringify([error.constructor.name, error.name, error.message, classes])
}

/** Runs the program as a handler that catches what its steps throw; notes what it saw, which must never change. */
function handlerOf(program: Program, world: World, notes: Map<string, string>) {
  return async (ctx: DurableContext) => {
    const digest: string[] = []
    for (const [i, group] of program.entries()) {
      const outcomes = group.map(async (plan, j) => {
        const name = `${plan.kind} ${i}.${j}`
        const what = seen(await settled(perform(ctx, name, plan, world)))
        expect(notes.get(name) ?? what).toBe(what)
        notes.set(name, what)
        return what
      })
      digest.push(...(await Promise.all(outcomes)))
    }
    return digest
  }
}

function names(program: Program, kind: StepPlan['kind']) {
  return program.flatMap((group, i) =>
    group.flatMap((plan, j) => (plan.kind === kind ? [`${kind} ${i}.${j}`] : [])),
  )
}

test('any program, crashing anywhere and any number of times, sees and does what its steps promise', async () => {
  const property = fc.asyncProperty(
    anyProgram,
    fc.array(anyCrash, { maxLength: 6 }),
    async (plans, crashes) => {
      const call = new TestCall()
      const world = new World()
      const notes = new Map<string, string>()
      const handler = handlerOf(plans, world, notes)
      for (const name of names(plans, 'elicit'))
        call.answer(name, { action: 'accept', content: { ok: true } })

      let ended: unknown = 'crashed'
      for (const crashing of [...crashes, undefined]) {
        if (ended === 'crashed') ended = await call.node({ crash: crashing }).run(handler)
      }
      const memoized = new Map(world.runs)
      const last = call.node()
      expect(await last.run(handler)).toEqual(ended)
      expect(world.runs).toEqual(memoized)

      for (const name of names(plans, 'atMostOnce')) {
        expect(world.effects.get(name) ?? 0).toBeLessThanOrEqual(1)
        const unknown = notes.get(name)?.includes('AtMostOnceFailedBeforeCompleting')
        if (!unknown && notes.get(name)?.includes('value')) expect(world.effects.get(name)).toBe(1)
      }
      for (const name of names(plans, 'atLeastOnce')) expect(world.runs.get(name)).toBeGreaterThanOrEqual(1)
      expect(new Set(call.questions.map(({ name }) => name)).size).toBe(call.questions.length)
      expect(call.sent).toHaveLength(names(plans, 'info').length)
      expect((await call.store.readValue(call.scope, 'n'))?.data ?? '[0]').toBe(
        `[${names(plans, 'state').length}]`,
      )
      const map = await call.store.rangeMap('m', { reverse: false, limit: 100 })
      expect(map.map(([key]) => key)).toEqual(names(plans, 'map').toSorted())

      if (!last.handled) throw new Error('The handler did not end.')
      expect(await validateEffects(call.finished(last.handled), call.store, last.handled.rerun)).toEqual([])
    },
  )
  await fc.assert(property, { numRuns: 300 })
})

test('a value that was given out before a crash is the one of every later run', async () => {
  const steps = ['atLeastOnce', 'atMostOnce', 'now', 'random', 'uuid7', 'state', 'elicit'] as const
  const plans: Program = steps.map((kind) => [{ kind, script: [] }])
  for (const when of ['before', 'applied'] as const) {
    for (let at = 1; at <= 20; at++) {
      const call = new TestCall()
      const world = new World()
      for (const name of names(plans, 'elicit')) call.answer(name, { action: 'decline' })
      const handler = handlerOf(plans, world, new Map())
      const first = await call.node({ crash: { at, when } }).run(handler)
      const second = await call.node().run(handler)
      if (first !== 'crashed') expect(second).toEqual(first)
      expect(await call.node().run(handler)).toEqual(second)
    }
  }
})
