import type { StepKind } from './step-kind.js'

const quote = (text: string) => JSON.stringify(text)

const METHODS: Record<StepKind, string> = {
  body: 'ctx.atLeastOnce() or ctx.atMostOnce()',
  elicit: 'ctx.elicit()',
  handle: 'ctx.handle.create()',
  listRoots: 'ctx.listRoots()',
  now: 'ctx.now()',
  random: 'ctx.random()',
  sample: 'ctx.sample()',
  sleep: 'ctx.sleep()',
  state: 'a change of ctx.state',
  uuid7: 'ctx.uuid7()',
}

/**
 * Where the code and the journal of a call part. Names are without keys, which may be the users' data.
 */
export type Divergence = {
  /** The step that the code asked for; not there: its handler returned, or was not begun. */
  readonly step?: string
  /** The step that the journal has there; not there: a question of which only the client knows the name. */
  readonly expected?: string
  /** Counts the steps of the journal that the code had come to, and this one. */
  readonly position: number
  /** The kinds of the step, where only these differ. */
  readonly was?: StepKind
  readonly is?: StepKind
  /** The server has answered before its handler began, as one does that does not take the arguments. */
  readonly refused?: true
  /** Version of the code that has run the call last, and of this code, if they have one. */
  readonly recordedBy?: string
  readonly version?: string
}

/** Where code and journal part, in words. */
export function partingOf(divergence: Divergence): string {
  const { step, expected, position, was, is, refused, recordedBy, version } = divergence
  const old = `code ${codeOf(recordedBy)}`
  const now = `the code here ${codeOf(version)}`
  if (step !== undefined && was !== undefined && is !== undefined)
    return `The step ${quote(step)}, number ${position} of this call, was ${METHODS[was]} for ${old}, and is ${METHODS[is]} for ${now}.`
  const known = expected === undefined ? 'a question' : `the step ${quote(expected)}`
  const asked = refused
    ? 'answered before its handler began, as it does if it does not take the arguments, or has switched off what is called'
    : step === undefined
      ? 'returned without it'
      : `began ${quote(step)} instead, which the journal does not have`
  return `The journal of this call, by ${old}, has ${known} as number ${position}; ${now} ${asked}.`
}

const codeOf = (version: string | undefined) =>
  version === undefined ? 'without a version' : `of version ${quote(version)}`
