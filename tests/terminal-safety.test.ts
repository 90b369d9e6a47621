import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { commands } from '../packages/cli/src/commands/index.js'
import { MAIN } from '../packages/cli/test/support/cli.js'
import { Terminal } from '../test-support/index.js'
import { POISON, POISONED_NAME, PoisonedRedis } from './support/poisoned-redis.js'

// Whatever clients, tools, nodes and others have put into Redis, and whatever stands on the command line: no byte that
// the program writes acts on a terminal, or begins a line of its own, except the program's own colours and line ends.

const ACTING = /[^\P{C}\p{Co}\n]|\p{Zl}|\p{Zp}|\p{Default_Ignorable_Code_Point}/u
const ESC = '\u001B'
/** The colours that the program has. */
const OWN = new RegExp(`${ESC}\\[(?:1|2|7|22|27|31|32|33|35|36|39)m`, 'g')
/** What else it writes where it owns the whole screen, or asks. */
const OWN_SCREEN = new RegExp(`${ESC}\\[(?:\\?(?:1049|25)[hl]|2J|\\d+;1H|K|\\d*G|0J)`, 'g')

let redis: PoisonedRedis
let scratch: string
/** A module whose server says what is poisoned, and refuses each call with it. */
let sayingIt: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'mcp-durable-code-'))
  sayingIt = join(scratch, 'code.mjs')
  await writeFile(sayingIt, poisonedCode())
  // The SDK minds the names of the tools.
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  redis = await PoisonedRedis.start()
})
afterAll(async () => {
  await redis?.[Symbol.asyncDispose]()
  await rm(scratch, { recursive: true, force: true })
})

const poisonedCode = () => `
  const text = ${JSON.stringify(POISON)}
  console.log(text)
  export const server = () => ({
    async connect(transport) {
      transport.onmessage = ({ id, method }) => {
        if (method === 'initialize') return transport.send({ jsonrpc: '2.0', id, result: {} })
        if (id !== undefined) return transport.send({ jsonrpc: '2.0', id, error: { code: 1, message: text } })
      }
    },
    async close() {},
  })`

type Written = { code: number | null; stdout: string; stderr: string }

/** Runs the command with colours; ended with SIGTERM once its output matches `until`. */
async function run(args: readonly string[], until?: RegExp): Promise<Written> {
  const env = { ...process.env, REDIS_URL: redis.url, FORCE_COLOR: '1' }
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const bytes = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (data: Buffer) => {
      bytes[name] = Buffer.concat([bytes[name], data])
      if (until?.test(bytes[name].toString())) child.kill('SIGTERM')
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  // Bytes that are not UTF-8 would be something else to a terminal.
  const decode = (all: Buffer) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(all)
  return { code, stdout: decode(bytes.stdout), stderr: decode(bytes.stderr) }
}

function expectSafe(written: string) {
  const rest = written.replaceAll(OWN, '')
  const [found] = ACTING.exec(rest) ?? []
  expect(found && `U+${found.codePointAt(0)?.toString(16)} in ${JSON.stringify(rest)}`).toBeUndefined()
  expect(rest).not.toMatch(/^\s*x?INJECTED/m)
}

const isJson = (args: readonly string[]) => args.includes('--json') || args[0] === 'export'

/** JSON, or JSON Lines: all strings in it. */
function stringsOf(text: string): string[] {
  const documents = /^\{$/m.test(text.split('\n')[0] ?? '') ? [text] : text.trim().split('\n')
  const strings: string[] = []
  for (const document of documents) {
    JSON.parse(document, (key, value: unknown) => {
      strings.push(key, ...(typeof value === 'string' ? [value] : []))
      return value
    })
  }
  return strings
}

const SHOW = ['--show-payloads', '--full-ids']
/** For each command, ways to have it show what is poisoned. */
const cases: Record<string, () => string[][]> = {
  monitor: () => [
    ['--count', '1', ...SHOW],
    ['--count', '1', ...SHOW, '--json'],
    ['--web', '--host', POISONED_NAME],
    ['--web', '--token', POISONED_NAME],
    ['--web', '--port', POISONED_NAME],
  ],
  sessions: () => [SHOW, [...SHOW, '--json'], ['--prefix', POISONED_NAME], ['--sqlite', POISONED_NAME]],
  session: () => ofBoth(redis.session, `b${POISONED_NAME}`),
  calls: () => [
    SHOW,
    [...SHOW, '--json'],
    [...SHOW, '--ended'],
    ['--principal', POISONED_NAME, ...SHOW],
    ['--principal', `${POISONED_NAME} is none`],
  ],
  call: () => ofBoth(redis.openCall, redis.endedCall, redis.callAlone),
  tail: () => ofBoth(redis.endedCall),
  state: () => [...ofBoth(redis.session), [redis.session, POISONED_NAME]],
  map: () => [[], ['--json'], ...ofBoth(POISONED_NAME), [`${POISONED_NAME} is none`]],
  export: () => [
    [redis.session, ...SHOW],
    [redis.endedCall, ...SHOW],
  ],
  cancel: () => [[`${POISONED_NAME} is none`], [redis.callAlone, '--by', POISONED_NAME]],
  resume: () => [[`${POISONED_NAME} is none`]],
  retry: () => [[`${POISONED_NAME} is none`]],
  fork: () => [
    [`${POISONED_NAME} is none`, '--from', 'x'],
    [redis.endedCall, '--from', POISONED_NAME, '--by', POISONED_NAME],
  ],
  replay: () => [
    ...ofBoth(redis.endedCall).map((args) => [...args, '--code', sayingIt]),
    [redis.callAlone, '--code', sayingIt, ...SHOW],
    [redis.endedCall, '--code', POISONED_NAME],
    [`${POISONED_NAME} is none`, '--code', sayingIt],
    [`./${POISONED_NAME}.jsonl`, '--code', sayingIt],
  ],
  clear: () => [
    ['--principal', POISONED_NAME],
    ['--all', '--prefix', POISONED_NAME],
    [`b${POISONED_NAME}`, '--full-ids'],
    [`${POISONED_NAME} is none`],
  ],
  reseal: () => [['--key-file', POISONED_NAME]],
  migrate: () => [['--from', `sqlite:${POISONED_NAME}`, '--to', redis.url]],
  doctor: () => [SHOW, [...SHOW, '--json']],
  proxy: () => [
    ['--upstream', POISONED_NAME],
    ['--upstream', 'http://127.0.0.1:1/', '--port', POISONED_NAME],
    ['--upstream', 'http://127.0.0.1:1/', '--port', '0', '--host', POISONED_NAME],
  ],
}
const ofBoth = (...ids: string[]) =>
  ids.flatMap((id) => [
    [id, ...SHOW],
    [id, ...SHOW, '--json'],
  ])

describe('every command', () => {
  test('has a case here', () => {
    expect(Object.keys(cases).toSorted()).toEqual(commands.map(({ name }) => name).toSorted())
  })

  test.each(Object.keys(cases))('%s shows what is poisoned, and nothing of it acts', async (name) => {
    for (const args of cases[name]!()) {
      const written = await run([name, ...args])
      expectSafe(written.stdout)
      expectSafe(written.stderr)
      const all = written.stdout + written.stderr
      expect(all, `${name} ${JSON.stringify(args)} shows nothing poisoned`).toContain('INJECTED')
      if (isJson([name, ...args]) && written.stdout !== '') {
        const poisoned = stringsOf(written.stdout).filter((text) => text.includes('INJECTED'))
        const whole = poisoned.filter((text) => text.includes(POISON) || text.includes(POISONED_NAME))
        expect(whole.length, `whole strings of ${name}`).toBeGreaterThan(0)
      }
    }
  })

  test.each(commands.map(({ name }) => name))(
    '%s says what is wrong, and nothing of it acts',
    async (name) => {
      const { code, stdout, stderr } = await run([name, `--${POISONED_NAME}`])
      expect(code).toBe(2)
      expect(stderr).toContain('INJECTED')
      expectSafe(stdout)
      expectSafe(stderr)
    },
  )

  test.each([
    ['an argument too many', [POISONED_NAME, POISONED_NAME]],
    ['what no id begins with', [POISONED_NAME]],
    ['no number', ['an-id', '--limit', POISONED_NAME]],
    ['no address of Redis', ['an-id', '--redis', `redis://${POISONED_NAME}`]],
    ['no Redis', ['an-id', '--redis', 'redis://127.0.0.1:1', '--prefix', POISONED_NAME]],
  ])('%s', async (_what, args) => {
    const { code, stdout, stderr } = await run(['session', ...args])
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/^error: /)
    expectSafe(stdout)
    expectSafe(stderr)
  })

  test('and what is no command', async () => {
    for (const args of [[POISONED_NAME], ['help', POISONED_NAME]]) {
      const { code, stderr } = await run(args)
      expect(code).toBe(2)
      expect(stderr).toContain('INJECTED')
      expectSafe(stderr)
    }
  })

  test('the proxy says before whom it stands', async () => {
    const upstream = `http://127.0.0.1:1/${POISONED_NAME}`
    const { stdout, stderr } = await run(['proxy', '--upstream', upstream, '--port', '0'], /listening on/)
    expect(stdout).toContain('INJECTED')
    expectSafe(stdout)
    expectSafe(stderr)
  })

  test('the page says what it shows', async () => {
    const args = ['monitor', '--web', '--port', '0', '--prefix', POISONED_NAME]
    const { stdout, stderr } = await run(args, /listening on/)
    expect(stdout).toContain('INJECTED')
    expectSafe(stdout)
    expectSafe(stderr)
  })
})

describe('on a terminal', () => {
  /** Everything that the command writes to its terminal, from its first byte on. */
  async function record(
    args: readonly string[],
    walk: (terminal: Terminal) => Promise<void>,
  ): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-recorded-'))
    const file = join(dir, 'bytes')
    try {
      // Begins when the recording does.
      const script = `read -r go; exec '${process.execPath}' '${MAIN}' "$@"`
      await using terminal = await Terminal.start(['sh', '-c', script, 'sh', ...args], {
        columns: 200,
        rows: 40,
        env: { REDIS_URL: redis.url, FORCE_COLOR: '1' },
      })
      await terminal.record(file)
      await terminal.press('Enter')
      await walk(terminal)
      await terminal.shows('ended with')
      return (await readFile(file, 'utf8')).replaceAll(/\r+\n/g, '\n')
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }

  test('the monitor draws its own sequences only', async () => {
    const written = await record(['monitor', ...SHOW], async (terminal) => {
      await terminal.shows(String.raw`\u001b[5m`)
      for (let table = 0; table < 3; table++) {
        await terminal.press('Enter')
        // The first one is the session that holds most of it.
        if (table === 0) await terminal.shows('INJECTED')
        await terminal.press('Escape', 'Tab')
      }
      await terminal.press('c')
      await terminal.press('n', 'q')
    })
    expect(written).toContain('INJECTED')
    expectSafe(written.replaceAll(OWN_SCREEN, ''))
  })

  test('a question repeats what was given', async () => {
    const written = await record(['clear', '--principal', POISONED_NAME], async (terminal) => {
      await terminal.shows('y/N')
      await terminal.press('n', 'Enter')
    })
    expect(written).toContain('INJECTED')
    expectSafe(written.replaceAll(OWN_SCREEN, ''))
  })
})

test('nothing but the output, the screen and the question writes', async () => {
  const folder = fileURLToPath(new URL('../packages/cli/src', import.meta.url))
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts'))
  const sources = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))
  const writes = /console\.|process\.std(?:out|err)|\.write\(/
  const writing = files.filter((_, i) => writes.test(sources[i] ?? ''))
  expect(writing.toSorted()).toEqual([
    'command-line.ts', // asks whether there is a terminal
    'monitor/screen.ts',
    'replay/worker.ts', // has the code that is tried write to standard error, on Deno
    'show/ask.ts',
    'show/output.ts',
    'web/event-stream.ts', // to a browser
  ])
})
