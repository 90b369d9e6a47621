import { z } from 'zod'
import type { Check, Checked } from './standard-schema.js'

/** What clients may answer (specification 2025-11-25, "Client Features"). Unknown members are kept. */
const elicitResult = z.looseObject({
  action: z.enum(['accept', 'decline', 'cancel']),
  content: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]))
    .nullish()
    .transform((content) => content ?? undefined),
})
const block = z.looseObject({ type: z.string() })
const samplingResult = z.looseObject({
  role: z.enum(['user', 'assistant']),
  content: z.union([block, z.array(block)]),
  model: z.string(),
  stopReason: z.string().optional(),
})
const rootsResult = z.looseObject({
  roots: z.array(z.looseObject({ uri: z.string(), name: z.string().optional() })),
})

export type ElicitContent = Record<string, string | number | boolean | string[]>
export type ElicitResult<Content = ElicitContent | undefined> =
  { action: 'accept'; content: Content } | { action: 'decline' | 'cancel'; content?: undefined }
export type SamplingBlock = { type: string; [key: string]: unknown }
export type SamplingResult = {
  role: 'user' | 'assistant'
  content: SamplingBlock | SamplingBlock[]
  model: string
  stopReason?: string
}
export type Root = { uri: string; name?: string }

export const checkSampling = checkShape(samplingResult)
export const checkRoots = checkShape(rootsResult)
const checkElicit = checkShape(elicitResult)

/** The shape of the answer, then the content: against what was asked for, and against a schema of the caller's. */
export function checkElicitation(requestedSchema: object | undefined, checkContent: Check): Check {
  const requested = requestedSchema && fromJsonSchema(requestedSchema)
  return async (answer) => {
    const shaped = checkElicit(answer)
    if ('problem' in shaped) return shaped
    const { content, ...rest } = shaped.value as z.infer<typeof elicitResult>
    if (rest.action !== 'accept') return { value: rest }
    const asked = requested?.safeParse(content ?? {})
    if (asked?.error) return { problem: `is not what was asked for: ${z.prettifyError(asked.error)}` }
    const checked = await checkContent(content)
    return 'problem' in checked ? checked : { value: { ...rest, content: checked.value } }
  }
}

function checkShape(schema: z.ZodType) {
  return (answer: unknown): Checked => {
    const { data, error } = schema.safeParse(answer)
    return error ? { problem: `is not a valid answer: ${z.prettifyError(error)}` } : { value: data }
  }
}

/** A requested schema that cannot be read asks for nothing. */
function fromJsonSchema(schema: object): z.ZodType | undefined {
  try {
    return z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0])
  } catch {
    return undefined
  }
}
