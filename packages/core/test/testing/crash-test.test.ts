import { describe, expect, test } from 'vitest'
import type { DurableContext } from '../../src/context/context.js'
import { AtMostOnceFailedBeforeCompleting } from '../../src/context/errors.js'
import { durableTool } from '../../src/context/durable-handlers.js'
import { assertCrashSafe, crashTest } from '../../src/testing/crash-test.js'
import type { CrashOptions, CrashReport, Effect } from '../../src/testing/crash-test.js'

const text = (value: string) => ({ content: [{ type: 'text', text: value }] })
const form = { message: 'Sure?', requestedSchema: { type: 'object' as const, properties: {} } }
const yes = { action: 'accept', content: {} } as const
const soon = () => new Promise((resolve) => setImmediate(resolve))

type Handler = (ctx: DurableContext, effect: Effect) => unknown
const testOf = (handler: Handler, options: CrashOptions = {}) => {
  const world = (effect: Effect) =>
    durableTool(async (_args: object, ctx) => handler(ctx as DurableContext, effect))
  return crashTest(world, {}, options)
}

const kinds = ({ faults }: CrashReport) => [...new Set(faults.map(({ kind }) => kind))]
const messageOf = (report: CrashReport) => {
  try {
    assertCrashSafe(report)
  } catch (error) {
    return (error as Error).message
  }
  return ''
}

describe('a correct tool has no fault', () => {
  test('with steps of each kind, and all else that a context has', async () => {
    const report = await testOf(
      async (ctx, effect) => {
        const id = await ctx.uuid7('id')
        const dice = await ctx.random('dice')
        await ctx.progress(1)
        const charge = async () => {
          await soon()
          effect('charge')
          return { id }
        }
        const receipt = await ctx.atMostOnce('charge', charge).catch((error: unknown) => {
          if (!(error instanceof AtMostOnceFailedBeforeCompleting)) throw error
          return ctx.atLeastOnce('look', () => ({ id }))
        })
        await ctx.atLeastOnce('mail', ({ idempotencyKey }) => effect('mail', idempotencyKey), { key: id })
        await ctx.info('mailed')
        await ctx.sleep('a day', 86_400_000)
        const [sure, at] = await Promise.all([ctx.elicit('sure', form, { timeoutMs: 60_000 }), ctx.now('at')])
        await ctx.state.of('n').update((n) => Number(n ?? 0) + 1)
        await ctx.map('m').insert({ [id]: new Uint8Array([1]) })
        const handle = await ctx.handle.create('cart', { ttlMs: 60_000 })
        await handle.state.of('items').set([1])
        return text(JSON.stringify([receipt, dice, sure, at]))
      },
      // Slow machines too.
      { answers: { sure: yes }, withinMs: 20_000 },
    )
    expect(report).toMatchObject({ faults: [], untried: 0, effects: { charge: 1, mail: 1 } })
    expect(report.steps.slice(0, 3)).toEqual(['id', 'dice', 'charge'])
    // Each record before and after, and what only comes when the charge is unknown.
    expect(report.crashes).toBeGreaterThan(45)
  })

  test('with steps side by side, and with retries, which take no time', async () => {
    const report = await testOf(async (ctx, effect) => {
      let failures = 2
      const each = ['a', 'b', 'c'].map(async (key) => {
        await ctx.atLeastOnce('left', soon, { key })
        return ctx.atMostOnce('right', () => effect(`right ${key}`), { key }).catch(() => 'unknown')
      })
      const flaky = ctx.atLeastOnce('flaky', () => {
        if (failures-- > 0) throw new Error('not yet')
      })
      await Promise.all([...each, flaky])
      return text('done')
    })
    expect(report.faults).toEqual([])
  })

  test('with a race against a sleep that it wins, and one that it loses', async () => {
    const winners: unknown[] = []
    const report = await testOf(async (ctx) => {
      const quick = ctx.atLeastOnce('quick', () => soon().then(() => 'quick'))
      winners.push(await Promise.race([quick, ctx.sleep('long', 60_000).then(() => 'late')]))
      const answer = ctx.elicit('nobody', form, { timeoutMs: 60_000 }).catch((error: Error) => error.name)
      winners.push(await Promise.race([answer, ctx.sleep('longer', 600_000)]))
      return text('done')
    })
    expect(report.faults).toEqual([])
    expect(new Set(winners)).toEqual(new Set(['quick', 'StepTimeoutError']))
  })

  test('that is given as it is, with its arguments', async () => {
    const tool = durableTool(async ({ name }: { name: string }, ctx) => {
      const at = await ctx.now('at')
      return text(`${name} ${at}`)
    })
    expect(await crashTest(tool, { name: 'Ann' }, { now: 5 })).toEqual({
      crashes: 3,
      untried: 0,
      steps: ['at'],
      effects: {},
      faults: [],
    })
  })

  test('that changes its arguments, looks at who calls, and at what the SDK gives it', async () => {
    const seen = new Set<string>()
    const tool = durableTool(async (args: { left: string[] }, ctx) => {
      const { requestInfo } = ctx.extra as unknown as { requestInfo: string }
      seen.add(`${args.left.length} ${requestInfo}`)
      while (args.left.length > 1) await ctx.now(args.left.pop() ?? '')
      return text(String(args.left))
    })
    const options = {
      extra: { requestInfo: 'a request' },
      principal: 'ann',
      ignore: ['result-differs'] as const,
    }
    const { faults } = await crashTest(tool, { left: ['a', 'b', 'c'] }, options)
    // The replay for comparison has the arguments of its run, as in production.
    expect(faults.filter(({ crash }) => crash !== undefined)).toEqual([])
    expect(seen).toContain('3 a request')
  })

  test('whose last messages are recorded together with its result', async () => {
    const report = await testOf(async (ctx) => {
      await ctx.info('first')
      await ctx.info('last')
      return text('done')
    })
    expect(report).toMatchObject({ faults: [], untried: 0 })
  })

  test('that always fails, and one that tells of what it does not know', async () => {
    const failing = await testOf(
      async (ctx) => {
        await ctx.atMostOnce('charge', () => {
          throw new Error('no money')
        })
      },
      { ignore: ['outcome-unknown'] },
    )
    expect(failing.faults).toEqual([])
    const telling = await testOf(async (ctx) => {
      await ctx.atMostOnce('charge', soon).catch(() => {
        throw new Error('Ask the bank.')
      })
      return text('paid')
    })
    expect(telling.faults).toEqual([])
  })
})

describe('an effect that happens twice', () => {
  test('outside of steps', async () => {
    const report = await testOf(async (ctx, effect) => {
      effect('mail')
      await ctx.now('then')
      return text('done')
    })
    expect(kinds(report)).toEqual(['effect-repeated'])
    expect(messageOf(report)).toContain(
      'The effect "mail" happened 2 times, and once in a call that nothing interrupts (outside of steps)',
    )
    expect(messageOf(report)).toContain('Move it into the body of a step')
  })

  test('in a step at least once, without its key', async () => {
    const report = await testOf(async (ctx, effect) => {
      await ctx.atLeastOnce('mail', () => effect('mail'))
      return text('done')
    })
    expect(report.faults).toEqual([
      {
        kind: 'effect-repeated',
        what: 'The effect "mail" happened 2 times, and once in a call that nothing interrupts (in the step "mail").',
        crash: 'when the body of the step "mail" had run, before that was recorded',
        crashes: 1,
        advice: expect.stringContaining('idempotencyKey'),
      },
    ])
  })

  test('with a key that is another one each time', async () => {
    let key = 0
    const report = await testOf(async (ctx, effect) => {
      await ctx.atLeastOnce('mail', () => effect('mail', `key ${++key}`))
      return text('done')
    })
    expect(kinds(report)).toEqual(['effect-repeated'])
    expect(messageOf(report)).toContain('different keys')
  })

  test('in a step at most once that is retried after it took effect', async () => {
    let calls = 0
    const report = await testOf(async (ctx, effect) => {
      calls++
      let isFirst = calls > 1
      const charge = () => {
        effect('charge')
        if (!isFirst) return
        isFirst = false
        throw new RangeError('connection lost')
      }
      await ctx.atMostOnce('charge', charge, { retryable: [RangeError] }).catch(() => undefined)
      return text('done')
    })
    expect(kinds(report)).toEqual(['effect-repeated'])
    expect(messageOf(report)).toContain('`retryable` may only match errors that say that it took none')
  })

  test('because it is done again where nobody knows', async () => {
    const report = await testOf(async (ctx, effect) => {
      const charge = () => effect('charge')
      await ctx
        .atMostOnce('charge', charge)
        .catch(() => ctx.atMostOnce('again', charge).catch(() => undefined))
      return text('done')
    })
    expect(kinds(report)).toEqual(['effect-repeated'])
    expect(messageOf(report)).toContain('Two steps do the same thing')
  })

  test('in a step that only a call comes to which was interrupted', async () => {
    const report = await testOf(async (ctx, effect) => {
      await ctx
        .atMostOnce('charge', soon)
        .catch(() => ctx.atLeastOnce('tell support', () => effect('ticket')))
      return text('done')
    })
    expect(kinds(report)).toEqual(['effect-repeated'])
    expect(report.faults[0]?.crash).toMatch(/"charge".*, and then .*"tell support"/)
  })
})

describe('a step that moved', () => {
  let n = 0

  test.each([
    ['under another name', (ctx: DurableContext) => ctx.now(`at ${++n}`)],
    ['with another key', (ctx: DurableContext) => ctx.atLeastOnce('at', soon, { key: ++n })],
  ])('%s', async (how, step) => {
    const report = await testOf(async (ctx) => {
      await step(ctx)
      return text('done')
    })
    expect(kinds(report)).toEqual(['step-moved'])
    expect(messageOf(report)).toContain(how)
  })

  test('in another order', async () => {
    const report = await testOf(async (ctx) => {
      const names = ++n % 2 === 0 ? ['a', 'b'] : ['b', 'a']
      for (const name of names) await ctx.now(name)
      return text('done')
    })
    expect(kinds(report)).toEqual(['step-moved'])
    expect(messageOf(report)).toMatch(/came after .*, and before it in the next run/)
  })

  test('or is left out, by memory that the next process does not have', async () => {
    const cache = new Map<string, number>()
    const report = await testOf(async (ctx) => {
      if (!cache.has('at')) cache.set('at', await ctx.now('at'))
      return text('done')
    })
    expect(kinds(report)).toEqual(['step-moved'])
    expect(messageOf(report)).toContain('The step "at" is not in a later run')
  })
})

describe('what else is found', () => {
  test('a result that differs', async () => {
    const report = await testOf(async (ctx) => {
      await ctx.now('at')
      return text(new Date().toISOString())
    })
    // Each thing once, although the times are other ones in each call.
    expect(report.faults).toEqual([
      {
        kind: 'result-differs',
        what: expect.stringMatching(/^The result\.content\.0\.text was ".*", and ".*" in a later run$/),
        crash: undefined,
        crashes: 3,
        advice: expect.stringContaining('ctx.now'),
      },
    ])
  })

  test('a message that differs, and a change of a map', async () => {
    let n = 0
    const report = await testOf(async (ctx) => {
      await ctx.info(`at ${++n}`)
      await ctx.map('m').insert({ key: new Uint8Array([n]) })
      return text('done')
    })
    expect(kinds(report).toSorted()).toEqual(['map-change-differs', 'message-differs'])
  })

  test('an unknown outcome that the tool lets through', async () => {
    const report = await testOf(async (ctx) => {
      await ctx.atMostOnce('charge', soon)
      return text('done')
    })
    expect(report.faults).toEqual([
      {
        kind: 'outcome-unknown',
        what: 'The tool ends with the error of the step "charge", of which nobody knows what it has done.',
        crash: expect.any(String),
        crashes: expect.any(Number),
        advice: expect.stringContaining('AtMostOnceFailedBeforeCompleting'),
      },
    ])
  })

  test('a tool that fails when it is run again', async () => {
    let runs = 0
    const report = await testOf(async (ctx) => {
      if (++runs % 2 === 0) throw new TypeError('no cart')
      await ctx.now('at')
      return text('done')
    })
    expect(kinds(report)).toContain('result-differs')
  })

  test('a run that does not end', async () => {
    let runs = 0
    const report = await testOf(
      async (ctx) => {
        // The first call is run once more, for comparison.
        if (++runs > 3) await new Promise(() => undefined)
        await ctx.now('at')
        return text('done')
      },
      { withinMs: 1000 },
    )
    expect(kinds(report)).toEqual(['no-end'])
    expect(messageOf(report)).toContain('it stood before its first step')
  })

  test('except what is said to be no fault', async () => {
    const report = await testOf(async (ctx) => ctx.atMostOnce('charge', soon), {
      ignore: ['outcome-unknown'],
    })
    expect(report.faults).toEqual([])
  })
})

describe('a tool that can’t be tested', () => {
  test('waits for an answer that is not given', async () => {
    const asking = testOf(async (ctx) => text(JSON.stringify(await ctx.elicit('sure', form))))
    await expect(asking).rejects.toThrow('waits for an answer to "sure". Give it: { answers: { "sure": ')
  })

  test('does not end', async () => {
    const waiting = testOf(
      async (ctx) => {
        await ctx.now('at')
        await new Promise(() => undefined)
      },
      { withinMs: 50 },
    )
    await expect(waiting).rejects.toThrow(
      'did not end within 50 ms, without any crash; the last step that it began is "at"',
    )
  })

  test('is none', async () => {
    await expect(crashTest(async () => 1, {})).rejects.toThrow('a tool is what durableTool() returns')
  })

  test('nor may options be misspelt', async () => {
    await expect(
      crashTest(
        durableTool(async () => 1),
        {},
        { anwsers: {} } as CrashOptions,
      ),
    ).rejects.toThrow('`answers`')
  })
})

test('questions of each kind are answered as the options say, also those with keys and by functions, and refused', async () => {
  const seen: unknown[] = []
  const report = await testOf(
    async (ctx) => {
      const messages = [{ role: 'user' as const, content: { type: 'text', text: 'hi' } }]
      seen.push(await ctx.sample('think', { messages, maxTokens: 1 }), await ctx.listRoots('roots'))
      seen.push(await ctx.elicit('sure', form, { key: 1 }), await ctx.elicit('sure', form, { key: 2 }))
      seen.push(await ctx.elicit('no', form).catch((error: Error) => error.message))
      return text('done')
    },
    {
      answers: {
        think: () => ({ role: 'assistant', content: { type: 'text', text: 'hm' }, model: 'm' }),
        roots: { roots: [{ uri: 'file:///tmp' }] },
        'sure (1)': { action: 'decline' },
        sure: yes,
        no: new Error('not now'),
      },
      withinMs: 20_000,
    },
  )
  expect(report).toMatchObject({ faults: [], untried: 0 })
  expect(seen.slice(0, 5)).toEqual([
    { role: 'assistant', content: { type: 'text', text: 'hm' }, model: 'm' },
    { roots: [{ uri: 'file:///tmp' }] },
    { action: 'decline' },
    yes,
    'The client refused the question "no": not now',
  ])
})

test('a tool of very many steps is crashed at places that are spread over all of them, for a limited time', async () => {
  const report = await testOf(
    async (ctx) => {
      for (let key = 0; key < 500; key++) await ctx.atLeastOnce('each', () => key, { key })
      return text('done')
    },
    { withinMs: 3000 },
  )
  expect(report.faults).toEqual([])
  expect(report.steps).toHaveLength(500)
  expect(report.crashes).toBeGreaterThan(0)
  expect(report.untried).toBeGreaterThan(100)
})
