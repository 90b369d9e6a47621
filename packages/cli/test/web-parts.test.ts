import { setTimeout as sleep } from 'node:timers/promises'
import type { CallEvent } from '@mcp-durable/core/inspect'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../test-support/index.js'
import type { MonitorModel } from '../src/monitor/model.js'
import type { Snapshot } from '../src/monitor/snapshot.js'
import { Privacy } from '../src/show/privacy.js'
import { encode } from '../src/web/encode.js'
import { Feed } from '../src/web/feed.js'
import type { FeedServices } from '../src/web/feed.js'
import { Handles } from '../src/web/handles.js'
import { Lanes } from '../src/web/lanes.js'
import { Scale } from '../src/web/page/scale.js'
import { Watcher } from '../src/web/watcher.js'
import type { Lane } from '../src/web/wire.js'

const privacy = new Privacy({ showPayloads: false, fullIds: false })

test('of very many rows a browser gets the newest', async () => {
  const looks = [150_000, 3000]
  class Many extends Feed<{ now: number; problem: null }, number, { rows: number[]; left: number }> {
    protected async look() {
      const count = looks.shift() ?? 0
      this.tell(
        { now: 1, problem: null },
        Array.from({ length: count }, (_, index) => index),
      )
      return true
    }
    protected frame(_head: object, rows: number[], { left }: { left: number }) {
      return { rows, left }
    }
    async lookTwice() {
      await this.look()
      await this.look()
    }
  }
  const feed = new Many({ privacy } as FeedServices)
  const told: { rows: number[]; left: number }[] = []
  feed.listen((frame) => told.push(frame))
  await feed.lookTwice()
  expect(told.map(({ rows, left }) => [rows.length, rows.at(-1), left])).toEqual([
    [2000, 149_999, 148_000],
    [2000, 2999, 151_000],
  ])
})

describe('the bars of a call', () => {
  const step = { name: 'charge', key: undefined }
  const event = (at: number, rest: object) => ({ id: `${at}-1`, at, attempt: 1, ...rest }) as CallEvent
  const opened = event(0, { kind: 'opened', node: 'a', protocol: '', requests: [], of: undefined })
  const lanesOf = (...events: CallEvent[]) => {
    const lanes = new Lanes({ privacy, nodeName: (node) => node })
    for (const each of [opened, ...events]) lanes.add(each)
    return lanes.all([])
  }

  test('of very many the first and the newest are kept, and all are counted', () => {
    const sends = Array.from({ length: 20_000 }, (_, at) =>
      event(at + 1, { kind: 'notification', title: 'notifications/progress', progress: at }),
    )
    const parks = Array.from({ length: 1000 }, (_, n) => [
      event(200_000 + 2 * n, { kind: 'parked', node: 'a', answerBy: undefined, wakeAt: 1 }),
      event(200_001 + 2 * n, { kind: 'continued', node: 'b', passed: false }),
    ])
    const [runs, sent] = lanesOf(...sends, ...parks.flat())
    expect(sent!.marks.length + sent!.left).toBe(20_000)
    expect([sent!.marks[0]?.at, sent!.marks.at(-1)?.at]).toEqual([1, 20_000])
    expect([runs!.bars[0]?.from, runs!.bars.at(-1)]).toEqual([
      0,
      expect.objectContaining({ from: 201_999, to: null }),
    ])
    expect(JSON.stringify([runs, sent]).length).toBeLessThan(100_000)
  })

  test('a run ends with its last record, and the next one begins when it takes over', () => {
    const [runs] = lanesOf(
      event(10, { kind: 'step-started', step }),
      event(90, { kind: 'taken-over', node: 'b', from: 'a' }),
      event(95, { kind: 'response', outcome: 'result', ms: 95 }),
    )
    expect(runs?.bars.map(({ from, to, text }) => [from, to, text])).toEqual([
      [0, 10, 'a'],
      [10, 90, 'nothing recorded until it was taken over'],
      [90, 95, 'b'],
    ])
  })

  test('a step that had begun when its node died is over when another run ends it', () => {
    const [, charge] = lanesOf(
      event(10, { kind: 'step-started', step }),
      event(90, { kind: 'taken-over', node: 'b', from: 'a' }),
      event(92, { kind: 'step-failed', step, ms: undefined }),
    )
    expect(charge?.bars).toMatchObject([{ from: 10, to: 92, tone: 'bad' }])
  })

  test('a step of which only the end is recorded began so long before, and what is open stays so', () => {
    const [runs, charge] = lanesOf(event(50, { kind: 'step-done', step, ms: 30 }))
    expect(charge?.bars).toMatchObject([{ from: 20, to: 50, tone: 'good' }])
    expect(runs?.bars).toMatchObject([{ from: 0, to: null }])
  })

  test('nobody runs a call that is parked', () => {
    const [runs] = lanesOf(
      event(10, { kind: 'parked', node: 'a', answerBy: undefined, wakeAt: 5000 }),
      event(5000, { kind: 'continued', node: 'b', passed: false }),
    )
    expect(runs?.bars).toMatchObject([
      { to: 10 },
      { from: 10, to: 5000, tone: 'dim' },
      { from: 5000, to: null },
    ])
  })
})

describe('the axis', () => {
  const lane = (...bars: Array<[from: number, to: number, tone: 'name' | 'dim']>): Lane => ({
    kind: 'step',
    name: '',
    step: null,
    bars: bars.map(([from, to, tone]) => ({ from, to, tone, text: '' })),
    marks: [],
    left: 0,
  })

  test('is even where the waits are short', () => {
    const scale = new Scale([lane([0, 60, 'name'], [60, 100, 'dim'])], { from: 0, to: 100, near: 10 })
    expect([0, 25, 50, 100].map((ms) => Math.round(scale.at(ms)))).toEqual([0, 25, 50, 100])
    expect(scale.breaks).toEqual([])
  })

  test('shows work before and after three days of waiting', () => {
    const days = 3 * 86_400_000
    const lanes = [lane([0, 100, 'name'], [100, days, 'dim'], [days, days + 100, 'name'])]
    const scale = new Scale(lanes, { from: 0, to: days + 100, near: 10 })
    expect(scale.breaks).toMatchObject([{ text: '2 d 23 h' }])
    expect(scale.at(100)).toBeGreaterThan(15)
    expect(scale.at(days)).toBeLessThan(85)
    const places = [0, 50, 100, 1000, days, days + 50, days + 100].map((ms) => scale.at(ms))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
    expect(places.at(-1)).toBeCloseTo(100)
    const ticks = scale.ticks.map(({ at }) => at)
    for (const [index, at] of ticks.slice(1).entries()) expect(at - ticks[index]!).toBeGreaterThanOrEqual(10)
  })

  test('has a place for everything in a call without a length', () => {
    const scale = new Scale([lane()], { from: 7, to: 7, near: 10 })
    expect(scale.at(7)).toBe(0)
    expect(scale.at(9)).toBeLessThanOrEqual(100)
  })
})

describe('the watcher', () => {
  test('looks once for all who listen, tells each part when it has changed, and stops with the last of them', async () => {
    let looks = 0
    const refresh = () => {
      looks++
      const snapshot: Partial<Snapshot> = { at: looks, nodes: [], calls: [], sessions: [], takeovers: [] }
      return Promise.resolve(snapshot as Snapshot)
    }
    const shown = { privacy, handles: new Handles(privacy), acts: false, placeOf: () => undefined }
    const watcher = new Watcher({ refresh } as unknown as MonitorModel, shown, { everyMs: 1, encode })
    const told: string[][] = [[], []]
    const first = watcher.listen((name) => void told[0]!.push(name))
    await waitFor(() => looks > 3)
    const second = watcher.listen((name) => void told[1]!.push(name))
    expect(told[1]).toEqual(['head', 'nodes', 'calls', 'sessions', 'takeovers'])
    await waitFor(() => looks > 10)
    const heads = told[0]!.filter((name) => name === 'head').length
    expect(Math.abs(looks - heads)).toBeLessThanOrEqual(1)
    expect(told[0]!.filter((name) => name === 'nodes')).toHaveLength(1)
    first()
    second()
    const after = looks
    await sleep(30)
    expect(looks - after).toBeLessThanOrEqual(1)
    const third = watcher.listen(() => undefined)
    await waitFor(() => looks > after + 2)
    third()
  })
})

test('what a browser gets has no character that acts, and is the same text', () => {
  const json = encode({ name: 'a\u001B[5m\u202E\u0000\uD800<b>', list: ['\n'] })
  expect(json).not.toMatch(/[^\P{C}\p{Co}]/u)
  expect(JSON.parse(json)).toEqual({
    name: String.raw`a\u001b[5m\u202e\u0000\ud800<b>`,
    list: [String.raw`\n`],
  })
})

test('a browser may ask for the calls it was told of, and gets no id of them', () => {
  const handles = new Handles(privacy)
  const place = { scope: 'a-session-of-somebody', callId: 'a-call-of-somebody' }
  const { call, id } = handles.name(place)
  expect(id).toBe('a-call…')
  expect(call).not.toContain('call')
  expect(handles.place(call)).toEqual(place)
  expect(handles.name(place).call).toBe(call)
  expect(handles.place(place.callId)).toBeUndefined()
})
