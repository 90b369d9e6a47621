import type { Group } from '../bench.js'
import { calls } from './calls.js'

export const groups: readonly Group[] = [calls]
