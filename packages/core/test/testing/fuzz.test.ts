import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DurableContext } from '../../src/context/context.js'
import { durableTool } from '../../src/context/durable-handlers.js'
import { crashTest } from '../../src/testing/crash-test.js'
import type { Effect } from '../../src/testing/crash-test.js'
import { AT_ONCE, settled } from '../context/support.js'

class Transient extends Error {}

const KINDS = ['now', 'random', 'uuid7', 'sleep', 'elicit', 'state', 'map', 'info', 'race'] as const
type Kind = (typeof KINDS)[number]
/** `turns`: of the event loop, before the body has done it. */
type Plan = { kind: 'atLeastOnce' | 'atMostOnce'; fails: boolean; turns: number } | { kind: Kind }
const anyPlan: fc.Arbitrary<Plan> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('atLeastOnce' as const, 'atMostOnce' as const),
    fails: fc.boolean(),
    turns: fc.nat(3),
  }),
  fc.record({ kind: fc.constantFrom(...KINDS) }),
)
const anyProgram = fc.array(fc.array(anyPlan, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 })

const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } }
const turn = () => new Promise((resolve) => setImmediate(resolve))

function perform(ctx: DurableContext, name: string, plan: Plan, effect: Effect, failed: Set<string>) {
  if ('fails' in plan) {
    const body = async ({ idempotencyKey }: { idempotencyKey: string }) => {
      for (let i = 0; i < plan.turns; i++) await turn()
      if (plan.fails && !failed.has(name)) {
        failed.add(name)
        throw new Transient('not yet')
      }
      if (plan.kind === 'atMostOnce') effect(name)
      else effect(name, idempotencyKey)
      return name
    }
    return ctx[plan.kind](name, body, { retryable: [Transient], backoff: AT_ONCE })
  }
  switch (plan.kind) {
    case 'sleep':
      return ctx.sleep(name, 60_000)
    case 'elicit':
      return ctx.elicit(name, form)
    case 'race':
      return Promise.race([
        ctx.elicit(`ask ${name}`, form, { timeoutMs: 1000 }).catch(() => 'late'),
        ctx.sleep(name, 2000),
      ])
    case 'state':
      return ctx.state.of('n').update((n) => Number(n ?? 0) + 1, { name })
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

test('whatever a tool does by its context has no fault', async () => {
  const property = fc.asyncProperty(anyProgram, async (program) => {
    const questions = program.flatMap((group, i) => group.map((_, j) => `${i}.${j}`))
    const answers = Object.fromEntries(
      questions.map((name) => [name, { action: 'accept', content: {} } as const]),
    )
    const world = (effect: Effect) => {
      const failed = new Set<string>()
      return durableTool(async (_args: object, ctx) => {
        for (const [i, group] of program.entries()) {
          const steps = group.map((plan, j) =>
            settled(perform(ctx as DurableContext, `${i}.${j}`, plan, effect, failed)),
          )
          await Promise.all(steps)
        }
        return { content: [] }
      })
    }
    const { faults } = await crashTest(world, {}, { answers, withinMs: 300 })
    expect(faults).toEqual([])
  })
  await fc.assert(property, { numRuns: 8 })
})
