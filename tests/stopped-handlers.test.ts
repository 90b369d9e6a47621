import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'

/** A process in which a handler is stopped while it waits for one of its two steps. */
async function run(...args: string[]) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const [code, out, err] = await Promise.all([exit, text(child.stdout), text(child.stderr)])
  return { code, out, err }
}
const PROGRAM = 'tests/dist/stopped-handler.js'

test('a cancelled handler that had two steps under way ends no process', async () => {
  expect(await run(PROGRAM)).toMatchObject({ code: 0, out: 'lives on\ngoes\n' })
})

test('a rejection of something else ends the process, as it did', async () => {
  const { code, out, err } = await run(PROGRAM, 'other')
  expect({ code, out }).toEqual({ code: 1, out: 'lives on\n' })
  expect(err).toContain('Error: of something else')
})

test('unless Node.js was told otherwise', async () => {
  const { code, out } = await run('--unhandled-rejections=none', PROGRAM, 'other')
  expect({ code, out }).toEqual({ code: 0, out: 'lives on\ngoes\n' })
})
