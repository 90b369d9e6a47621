import { describe, expect, test } from 'vitest'
import { judge } from '../src/conformance/run-suite.js'

const check = (name: string, status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'INFO', errorMessage?: string) => ({
  name,
  status,
  ...(errorMessage !== undefined && { errorMessage }),
})
const scenarios = (...checks: ReturnType<typeof check>[]) => new Map([['ping', checks]])

describe('the verdict on a suite', () => {
  test('all checks passed', () => {
    const verdict = judge(scenarios(check('A', 'SUCCESS'), check('B', 'INFO')), { passed: 1, failed: 0 }, 1)
    expect(verdict).toEqual({ passed: 1, failed: 0, failures: [] })
  })

  test('a failing check is named with its reason', () => {
    const checks = scenarios(check('A', 'SUCCESS'), check('B', 'FAILURE', 'no pong'))
    const verdict = judge(checks, { passed: 1, failed: 1 }, 2)
    expect(verdict).toEqual({ passed: 1, failed: 1, failures: [{ check: 'ping: B', reason: 'no pong' }] })
  })

  test('a check that only warned has not passed', () => {
    const verdict = judge(
      scenarios(check('A', 'SUCCESS'), check('B', 'WARNING')),
      { passed: 1, failed: 0 },
      2,
    )
    expect(verdict.failed).toBe(1)
    expect(verdict.failures[0]!.reason).toMatch(/only warned: ping: B/)
  })

  test('a suite that ran nothing, or broke off, fails', () => {
    expect(judge(new Map(), { passed: 0, failed: 0 }, 40).failed).toBe(40)
    const broken = judge(scenarios(check('A', 'SUCCESS')), { passed: -1, failed: -1 }, 1)
    expect(broken.failed).toBe(1)
    expect(broken.failures[0]!.reason).toMatch(/did not come to its end/)
  })

  test('sums that contradict the checks fail', () => {
    expect(judge(scenarios(check('A', 'SUCCESS')), { passed: 2, failed: 0 }, 1).failed).toBe(1)
  })

  test('leave out what is not judged, and not what the suite printed', () => {
    const left = new Map([...scenarios(check('A', 'SUCCESS')), ['tasks-x', [check('B', 'FAILURE')]]])
    expect(judge(left, { passed: 1, failed: 1 }, 1, 'tasks-')).toMatchObject({ passed: 1, failed: 0 })
    expect(judge(left, { passed: 1, failed: 0 }, 1, 'tasks-').failed).toBe(1)
  })
})
