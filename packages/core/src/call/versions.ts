import type { NodeBeat } from '../store/membership.js'
import { decodeAbout } from './about-node.js'

/**
 * What becomes of a call whose node is gone, or that has waited, at a node with other code than has run it. `compatible`: it goes on
 * there. `pinForMs`: it is left to the nodes with the same code while there is one, for so many ms at most; then it goes on. `refuse`:
 * it goes on only where the code is the same; if that is nowhere for `maxUnservedMs`, it ends as unknown.
 */
export type VersionPolicy = 'compatible' | 'refuse' | { pinForMs: number }

export type VersionOptions = { version?: string | undefined; whenVersionsDiffer?: VersionPolicy | undefined }

/** A call that this node has claimed. `version`: that of the code that has run it last, if that has one. */
type RunByOther = { version: string | undefined; unservedMs: number }

/** Which code may go on with which calls. Calls and nodes without a version go with all. */
export class Versions {
  readonly #own: string | undefined
  readonly #policy: VersionPolicy

  constructor({ version, whenVersionsDiffer = 'compatible' }: VersionOptions) {
    this.#own = version
    this.#policy = whenVersionsDiffer
  }

  /** What is to be done with a call; `nodes`: those that the store knows. */
  async judge(
    { version, unservedMs }: RunByOther,
    nodes: () => Promise<readonly NodeBeat[]>,
    leaseMs: number,
  ): Promise<'go on' | 'leave' | 'refuse'> {
    const policy = this.#policy
    if (version === undefined || this.#own === undefined || version === this.#own) return 'go on'
    if (policy === 'compatible') return 'go on'
    if (policy === 'refuse') return 'refuse'
    if (unservedMs >= policy.pinForMs) return 'go on'
    const isAlive = (await nodes()).some(
      ({ lateMs, about }) => lateMs < leaseMs && decodeAbout(about)?.version === version,
    )
    return isAlive ? 'leave' : 'go on'
  }
}
