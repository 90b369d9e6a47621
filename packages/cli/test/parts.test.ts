import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { escapeControls } from '@mcp-durable/core/inspect'
import { describe, expect, test } from 'vitest'
import { readCommandLine } from '../src/command-line.js'
import { commands } from '../src/commands/index.js'
import { parseTarget } from '../src/connect/target.js'
import { Activity } from '../src/monitor/activity.js'
import { fit, headLine, rowLine } from '../src/monitor/columns.js'
import { share } from '../src/monitor/draw-overview.js'
import { render, styled } from '../src/show/line.js'
import { Privacy, toJson } from '../src/show/privacy.js'
import { quoted } from '../src/show/shell.js'
import { clip, padEnd, span, width } from '../src/show/text.js'

describe('the command line', () => {
  const read = (...argv: string[]) => readCommandLine(argv, commands)

  test('ids that begin with a dash are ids', () => {
    for (const id of ['-AbC12', '-bcdefg…', '-Xy_0123456789abcdefgh', '--Xy0123456789abcdefghi']) {
      expect(read('call', id, '--json')).toMatchObject({ args: [id], options: { json: true } })
    }
    expect(() => read('call', '--nothing')).toThrow(/--nothing/)
    expect(read('state', '-AbC12', 'key', '--json')).toMatchObject({ args: ['-AbC12', 'key'] })
    expect(read('map', 'name', '--after', '-AbC12')).toMatchObject({ values: { after: '-AbC12' } })
  })

  test('what is given after -- is an argument', () => {
    expect(read('call', '--', '--json')).toMatchObject({ args: ['--json'], options: { json: false } })
  })
})

describe('where Redis is', () => {
  test.each([
    ['redis://h', { hosts: [{ host: 'h', port: 6379 }], options: {}, master: undefined }],
    [
      'redis://u:p%40@h:1/3',
      { hosts: [{ host: 'h', port: 1 }], options: { username: 'u', password: 'p@', db: 3 } },
    ],
    ['rediss://[::1]:7', { hosts: [{ host: '::1', port: 7 }], options: { tls: {} } }],
    [
      'redis://a:1,b:2',
      {
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
      },
    ],
    [
      'redis://a:1,redis://b:2',
      {
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
      },
    ],
    [
      'redis+sentinel://a,b:2/main/4',
      {
        hosts: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 2 },
        ],
        options: { db: 4 },
        master: 'main',
      },
    ],
  ])('%s', (text, target) => {
    expect(parseTarget(text)).toMatchObject(target)
  })

  test('what is no address, without repeating the password in it', () => {
    for (const text of ['localhost:6379', 'http://x', 'redis://:secret@a b']) {
      expect(() => parseTarget(text)).toThrow(/must look like/)
      expect(() => parseTarget(text)).not.toThrow(/secret/)
    }
  })
})

describe('text', () => {
  test('data does nothing to a terminal, and is as wide as it is written', () => {
    const data = 'a\u001B[2Jb\nc\u202Ed'
    const written = String.raw`a\u001b[2Jb\nc\u202ed`
    expect(render([data, styled('bad', data)], { color: false })).toBe(written + written)
    expect(render([styled('bad', data)], { color: true })).toBe(`\u001B[31m${written}\u001B[39m`)
    expect(width(data)).toBe(written.length)
    expect(padEnd(data, 30)).toBe(data + ' '.repeat(30 - written.length))
  })

  test('a word for a shell is the same word there', async () => {
    for (const word of ['mcp:x', "it's", 'a b', '$(id)', "b\u001B'\\n\n\u202E", '…']) {
      const command = `printf %s ${escapeControls(quoted(word))}`
      const { stdout } = await promisify(execFile)('bash', ['-c', command], { env: { LC_ALL: 'C.UTF-8' } })
      expect(stdout).toBe(word)
    }
  })

  test('is clipped by the columns that it takes', () => {
    expect(clip('漢字漢字', 5)).toBe('漢字…')
    expect(clip('abc', 3)).toBe('abc')
    expect(clip('abc', 0)).toBe('')
    expect(width(clip('👨‍👩‍👧‍👦'.repeat(5), 4))).toBeLessThanOrEqual(4)
  })

  test.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [1000, '1.0 s'],
    [59_960, '0 m 59 s'],
    [61_000, '1 m 1 s'],
    [3_600_000, '1 h 0 m'],
    [90_000_000, '1 d 1 h'],
  ])('%i ms are %s', (ms, text) => {
    expect(span(ms)).toBe(text)
  })

  test('payloads of any kind have a form', () => {
    const value = { big: 1n, map: new Map([[1, new Set([2])]]), bytes: new Uint8Array(3), none: undefined }
    expect(toJson(value)).toBe('{"big":"1n","map":[[1,[2]]],"bytes":"3 bytes"}')
    const masked = new Privacy({ showPayloads: false, fullIds: false })
    expect(masked.payload({ a: 1 })).toBe('‹7 B›')
    expect(masked.payloadValue({ a: 1 })).toEqual({ maskedBytes: 7 })
    expect(masked.payload(undefined)).toBe('')
  })

  test('a payload may hold itself, and one thing more than once', () => {
    const shared = { a: 1 }
    const parent: Record<string, unknown> = { name: 'p', twice: [shared, shared] }
    parent['children'] = [new Map<unknown, unknown>([['up', { parent }]])]
    const json = '{"name":"p","twice":[{"a":1},{"a":1}],"children":[[["up",{"parent":"[circular]"}]]]}'
    expect(toJson(parent)).toBe(json)
    const map = new Map<unknown, unknown>()
    map.set('self', map)
    expect(toJson([map, map])).toBe('[[["self","[circular]"]],[["self","[circular]"]]]')
    const masked = new Privacy({ showPayloads: false, fullIds: false })
    expect(masked.payloadValue(parent)).toEqual({ maskedBytes: json.length })
  })

  test('what would be endless, each thing being in many places, is cut off', () => {
    let doubled: unknown = 'x'
    for (let depth = 0; depth < 100; depth++) doubled = [doubled, doubled]
    expect(toJson(doubled).length).toBeLessThan(2 ** 26)
  })
})

describe('tables on a screen', () => {
  type Row = { name: string; text: string }
  const columns = [
    { title: 'NAME', text: ({ name }: Row) => name, expendable: 0 },
    { title: 'LESS', text: () => 'less', expendable: 2 },
    { title: 'TEXT', text: ({ text }: Row) => text, most: 6, grows: true, expendable: 0 },
  ]
  const rows = [{ name: 'one', text: 'a long text' }]

  test('fill the room, and let the least needed column go', () => {
    for (const room of [14, 20, 40]) {
      const fitted = fit(columns, rows, room)
      expect(fitted.map(({ column }) => column.title)).toEqual(
        room < 20 ? ['NAME', 'TEXT'] : ['NAME', 'LESS', 'TEXT'],
      )
      const row = rowLine(fitted, rows[0]!, { room, selected: false })
      expect(width(render(row, { color: false }))).toBe(room)
      expect(headLine(fitted, 'TEXT', true)).toContain('TEXT↑')
    }
  })

  test('share the lines of a screen', () => {
    expect(share(10, [2, 2, 2])).toEqual([2, 2, 2])
    expect(share(10, [0, 20, 3])).toEqual([1, 6, 3])
    expect(share(9, [20, 20, 20])).toEqual([3, 3, 3])
    expect(share(0, [1, 1, 1])).toEqual([0, 0, 0])
    expect(share(-3, [1, 1, 1])).toEqual([0, 0, 0])
  })
})

describe('what is heard', () => {
  test('rates of the last seconds, each record and each takeover once', () => {
    const activity = new Activity(0)
    activity.sawCall('old', 0, true)
    activity.heard('old', '5-7', 1000)
    activity.heard('a', '10-2', 1000)
    activity.heard('a', '10-2', 1100)
    activity.heard('a', '10-5', 2000)
    expect(activity.rates(10_000)).toMatchObject({ callsPerSecond: 0.1, takeovers: 0 })
    activity.heard('a', '20-1', 10_500)
    activity.tookOver('20-1', { at: 20, callId: 'a', title: 't', to: 'n', from: 'm' })
    activity.tookOver('20-1', { at: 20, callId: 'a', title: 't', to: 'n', from: 'm' })
    expect(activity.rates(11_500)).toMatchObject({ takeovers: 1, recordsPerSecond: (3 + 1) / 10 })
    expect(activity.takeovers).toHaveLength(1)
    expect(activity.rates(60_000)).toEqual({ callsPerSecond: 0, recordsPerSecond: 0, takeovers: 1 })
  })
})
