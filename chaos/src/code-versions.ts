import { appendFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { durableTool } from '@mcp-durable/core'
import { ledgerDigest } from '@mcp-durable/examples/dist/fixtures/ledger-tools.js'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

/**
 * Three versions of one tool. `v1` charges; `v2` checks before, and its charge has another name; `v3` checks before where no earlier run
 * has gone beyond, by `ctx.patched()`.
 */
export const codes = ['v1', 'v2', 'v3'] as const
export type Code = (typeof codes)[number]
export const isCode = (text: string | undefined): text is Code => codes.some((code) => code === text)

/** The name of their server, and its path. */
export const VERSIONED = 'versioned'
export const PATCH = 'checks'

/** The steps of a call that has ended, in the order of the result; what is done beside them ends it. */
export const PATHS = [
  ['first', 'charge', 'ship', 'beside-1', 'beside-2'],
  ['first', 'check', 'charge-card', 'ship', 'beside-1', 'beside-2'],
  ['first', 'check', 'charge', 'ship', 'beside-1', 'beside-2'],
] as const

/** What a version makes of a journal: the steps that are recorded of it, and whether it goes through the patch, if that is. */
export function fits(code: Code, { steps, patched }: { steps: ReadonlySet<string>; patched?: boolean }) {
  const [checks, charges, chargesCard] = ['check', 'charge', 'charge-card'].map((name) => steps.has(name))
  if (code === 'v1') return !checks && !chargesCard
  if (code === 'v2') return !charges && (checks || !chargesCard)
  if (chargesCard || (charges && !checks && patched === true)) return false
  // What is recorded already and not of the patch says that the call does not go through it.
  return !checks || patched === true
}

/** Notes when each step of each call took effect. Two things go on at once, and rest beside their steps. */
export function registerVersioned(server: McpServer, ledger: string, code: Code, staysAt?: string): void {
  server.registerTool(
    VERSIONED,
    { inputSchema: { id: z.string(), delayMs: z.number() } },
    durableTool({ task: 'auto' }, async ({ delayMs }, ctx) => {
      const step = (name: string) => () => {
        appendFileSync(ledger, `${VERSIONED} ${ctx.callId} ${name} ${process.pid} ${Date.now()}\n`)
        return randomUUID()
      }
      const least = (name: string) => ctx.atLeastOnce(name, step(name))
      const rest = () => delay(delayMs, undefined, { signal: ctx.signal })
      const order = async () => {
        const values: string[] = [await least('first')]
        await rest()
        if (code === 'v2' || (code === 'v3' && ctx.patched(PATCH))) values.push(await least('check'))
        const charge = code === 'v2' ? 'charge-card' : 'charge'
        values.push(await ctx.atMostOnce(charge, step(charge)).catch((error: Error) => error.name))
        if (staysAt === charge) await once(ctx.signal, 'abort')
        await rest()
        return [...values, await least('ship')]
      }
      const beside = async () => {
        const before = await least('beside-1')
        await rest()
        return [before, await least('beside-2')]
      }
      const values = await Promise.all([order(), beside()])
      return { content: [{ type: 'text' as const, text: ledgerDigest(values.flat()) }] }
    }),
  )
}
