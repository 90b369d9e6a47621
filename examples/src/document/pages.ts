import { type DurableContext } from '@mcp-durable/core'
import { AtMostOnceFailedBeforeCompleting } from '@mcp-durable/core/errors'
import { z } from 'zod'
import { NetworkError, RefusedError, type Outside } from '../examples/outside.js'

export interface Page {
  text: string
  /** What somebody has to look at. */
  problem?: string
}

const Text = z.object({ text: z.string() })
/** Turned away means not paid, so it may be tried again. */
const paid = { schema: Text, retryable: [NetworkError], errors: [RefusedError], backoff: { initialMs: 20 } }

/** What is on one page, or nothing if it was paid for and got lost. */
export async function recognise(
  outside: Outside,
  ctx: DurableContext,
  subject: string,
  { image, page }: { image: string; page: number },
): Promise<string | undefined> {
  try {
    const order = { subject, image }
    const { text } = await ctx.atMostOnce('ocr', (run) => outside.ask('ocr', order, run), {
      ...paid,
      key: page,
    })
    return text
  } catch (error) {
    if (error instanceof AtMostOnceFailedBeforeCompleting) return undefined
    throw error
  }
}

/** The page in another language, or as it is if there is no translation. */
export async function translate(
  outside: Outside,
  ctx: DurableContext,
  subject: string,
  { text, page, language }: { text: string | undefined; page: number; language: string },
): Promise<Page> {
  if (text === undefined) return { text: '', problem: 'not read' }
  try {
    const order = { subject, text, language }
    return await ctx.atMostOnce('translate', (run) => outside.ask('translate', order, run), {
      ...paid,
      key: page,
    })
  } catch (error) {
    if (error instanceof RefusedError) return { text, problem: error.message }
    if (error instanceof AtMostOnceFailedBeforeCompleting) return { text, problem: 'not translated' }
    throw error
  }
}
