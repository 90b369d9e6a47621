/**
 * Any schema of the Standard Schema interface, version 1 (https://standardschema.dev): zod, valibot, arktype and others.
 * Only its shape is needed, so there is no dependency.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }
export type SchemaIssue = {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

export type InferInput<Schema extends StandardSchema> = NonNullable<Schema['~standard']['types']>['input']
export type InferOutput<Schema extends StandardSchema> = NonNullable<Schema['~standard']['types']>['output']

/** A value as its schema gives it back, or what is wrong with it. */
export type Checked = { value: unknown } | { problem: string }
export type Check = (value: unknown) => Checked | Promise<Checked>

export const accept: Check = (value) => ({ value })

/** Throws a `TypeError` for what is no such schema. */
export function checkWith(schema: StandardSchema | undefined): Check {
  if (!schema) return accept
  if (typeof schema['~standard']?.validate !== 'function') {
    throw new TypeError(
      'A `schema` is one of the Standard Schema interface, such as those of zod 3.24 or newer, valibot and arktype. This one has no `~standard`.',
    )
  }
  return async (value) => {
    const result = await schema['~standard'].validate(value)
    return result.issues ? { problem: `does not fit its schema: ${describe(result.issues)}` } : result
  }
}

const MOST_ISSUES = 5

function describe(issues: readonly SchemaIssue[]) {
  const told = issues.slice(0, MOST_ISSUES).map(({ path = [], message }) => {
    const at = path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
    return at === '' ? message : `${at}: ${message}`
  })
  const more = issues.length - told.length
  return more > 0 ? `${told.join('; ')}; and ${more} more` : told.join('; ')
}
