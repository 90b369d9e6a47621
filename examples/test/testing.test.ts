import { expect, test } from 'vitest'
import { runProgram } from './run-program.js'

test('the test of the order runs in node:test too, where there is no vitest', async () => {
  const { code, stdout, stderr } = await runProgram('testing/order.node')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('an order survives a crash at each of its steps')
})
