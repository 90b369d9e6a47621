import { describe, expect, test } from 'vitest'
import { chaos } from '../src/chaos-run.js'
import type { ChaosOptions } from '../src/chaos-run.js'
import { crashRun } from '../src/crash-run.js'
import type { CrashScenario } from '../src/crash-run.js'
import type { Mutant } from '../src/mutants.js'
import { NEVER } from './crash-support.js'
import { store, twoAtATime } from './support.js'

// The test of the test, in the protocol without sessions: code with a fault of which one knows is found out, by the crash
// points or by chaos.

const RUNS = 3

const dies: CrashScenario['points'] = [{ operation: 0, moment: 'asked' }]
const crashes: { mutant: Mutant; scenario: Omit<CrashScenario, 'store'>; finds: RegExp }[] = [
  { mutant: 'retry-begins', scenario: { points: [NEVER], client: 'alone' }, finds: /opened 2 times/ },
  { mutant: 'last-answer', scenario: { points: dies, client: 'twice' }, finds: /another answer to ask/ },
  {
    mutant: 'asked-again',
    scenario: { points: dies, client: 'late' },
    finds: /in the journal more than once/,
  },
  {
    mutant: 'last-answer',
    scenario: { points: dies, tool: 'task', client: 'task twice' },
    finds: /another answer to ask/,
  },
  {
    mutant: 'kept-as-any-call',
    scenario: { points: [NEVER], tool: 'task', client: 'task answers' },
    finds: /it goes \d+ ms before its time/,
  },
  { mutant: 'death-is-departure', scenario: { points: dies, client: 'alone' }, finds: /it was cancelled/ },
]

test.concurrent.each(crashes)('$mutant, $scenario.client', async ({ mutant, scenario, finds }) => {
  const found: string[] = []
  // On a busy machine its client may be too late to meet the fault.
  for (let run = 1; run <= RUNS && !finds.test(found.join('\n')); run++) {
    const { violations } = await twoAtATime(() => crashRun({ store, ...scenario, mutation: mutant }))
    found.push(...violations)
  }
  expect(found.join('\n')).toMatch(finds)
})

const runs: (Pick<ChaosOptions, 'faults' | 'seconds'> & { mutants: Mutant[]; finds: RegExp[] })[] = [
  {
    mutants: ['resumed-by-anybody', 'answered-by-anybody', 'keys-of-anybody', 'any-body', 'tasks-of-anybody'],
    faults: [],
    seconds: 12,
    finds: [
      /(eve|nobody) asked for the task/,
      /(eve|nobody) resumed/,
      /(eve|nobody) answered/,
      /ledger_charge x\.\d+: /,
      /joined \(200\) with another request/,
    ],
  },
  {
    mutants: ['task-needs-its-client'],
    faults: [],
    seconds: 10,
    finds: [/the task was cancelled: The client has closed the stream/],
  },
  { mutants: ['departure-is-death'], faults: [], seconds: 15, finds: [/it went on without its client/] },
  {
    mutants: ['return-is-unseen'],
    faults: ['proxy'],
    seconds: 15,
    finds: [/its client was away for \d+ ms only/],
  },
]

describe.each(runs)('$mutants', ({ mutants, finds, ...run }) => {
  test('chaos finds it', async () => {
    const lines: string[] = []
    const options = { ...run, nodes: 2, store: 'redis', client: 'ts1', mutation: mutants.join() } as const
    // On a busy machine a run has few calls, and may have none of a kind.
    for (let seed = 1; seed <= RUNS && !finds.every((find) => find.test(lines.join('\n'))); seed++)
      await chaos({ ...options, seed }, (line) => lines.push(line))
    for (const find of finds) expect(lines.join('\n')).toMatch(find)
  })
})
