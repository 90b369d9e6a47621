import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { findBrowser, Page } from '../../../tests/support/browser.js'
import { PoisonedRedis } from '../../../tests/support/poisoned-redis.js'
import { freePort, waitFor } from '../../../test-support/index.js'
import type { Child } from '../../../test-support/index.js'
import { startCli } from './support/cli.js'
import { Demo } from './support/demo.js'
import { Shop } from '../../../tests/support/shop.js'

// What a browser shows of `mcp-durable monitor --web`, and what somebody with a keyboard does there.

const NOWHERE = 'redis://127.0.0.1:1'
const WIDE = { width: 1280, height: 800 }
const NARROW = { width: 390, height: 844 }
/** With a space, so that no id holds it by chance. */
const NAME = 'Ada Lovelace'

const browser = await findBrowser()
let page: Page
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-page-'))
  if (browser !== undefined) page = await Page.open(browser)
})
beforeEach(async () => {
  await page?.load('about:blank')
  page?.errors.splice(0)
})
afterAll(async () => {
  await page?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** Where pictures of the page go: `SCREENS=docs/screens`. Without it none are kept. */
async function keepPicture(name: string, { width, height }: typeof WIDE, scheme: 'light' | 'dark' = 'light') {
  const screens = process.env['SCREENS']
  if (!screens) return
  await mkdir(screens, { recursive: true })
  await page.resize(width, height)
  await page.prefers(scheme, 'reduce')
  await page.picture(join(screens, `${name}.png`))
  await page.resize(WIDE.width, WIDE.height)
}

async function startPage(redis: string, ...args: string[]): Promise<{ web: Child; url: string }> {
  const port = await freePort()
  return { web: await startAt(port, redis, ...args), url: `http://127.0.0.1:${port}` }
}

async function startAt(port: number, redis: string, ...args: string[]): Promise<Child> {
  const web = await startCli(redis, 'monitor', '--web', '--port', String(port), '--interval', '200', ...args)
  await web.waitForLine(/listening on/)
  return web
}

const evaluate = <T>(expression: string) => page.evaluate<T>(expression)
const focused = () => evaluate<string>(`document.activeElement.textContent`)

/** Goes on by keys until what has the focus is called so. */
async function tabTo(name: RegExp) {
  for (let i = 0; i < 60; i++) {
    if (name.test(await focused()) && (await evaluate(`document.activeElement.tabIndex >= 0`))) return
    await page.press('Tab')
  }
  throw new Error(`no key leads to ${name}`)
}

/** Names of what is too wide, cut off, or has too little contrast (WCAG 2.2 AA) to what is behind it. */
const FAULTS = `(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0)
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = numbers(getComputedStyle(each).backgroundColor)
      if (color[3] !== 0) return color
    }
    return [255, 255, 255]
  }
  const faults = []
  const root = document.documentElement
  if (root.scrollWidth > root.clientWidth) faults.push('the page is wider than the screen')
  for (const element of document.body.querySelectorAll('*')) {
    const box = element.getBoundingClientRect()
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent).join('').trim()
    const isSeen = element.checkVisibility({ visibilityProperty: true }) && box.width > 1
    if (!isSeen) continue
    const name = element.localName + '.' + element.className + ': ' + text.slice(0, 40)
    if (text !== '') {
      const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))]
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
      if (contrast < 4.5) faults.push(name + ' has a contrast of ' + contrast.toFixed(2))
    }
    if (element.localName === 'section' && box.right > root.clientWidth) faults.push(name + ' is cut')
  }
  return faults
})()`

/** As if a minute had gone by in which another page was in front. */
const HIDE = `(() => {
  const { setTimeout } = window
  window.setTimeout = (act) => setTimeout.call(window, act, 0)
  Object.defineProperty(document, 'hidden', { value: true, configurable: true })
  document.dispatchEvent(new Event('visibilitychange'))
  window.setTimeout = setTimeout
})()`

/** What somebody who can't see it would not know how to call. */
async function unnamed(): Promise<string[]> {
  type Value = { value?: unknown }
  type Node = { role?: Value; name?: Value; ignored: boolean }
  const { nodes } = (await page.send('Accessibility.getFullAXTree')) as unknown as { nodes: Node[] }
  const needsName =
    /^(button|link|textbox|searchbox|checkbox|combobox|table|region|navigation|dialog|columnheader|rowheader)$/
  return nodes
    .filter(({ ignored, role, name }) => !ignored && needsName.test(String(role?.value)) && !name?.value)
    .map(({ role }) => String(role?.value))
}

async function expectNoFaults(where: string) {
  for (const size of [WIDE, NARROW]) {
    await page.resize(size.width, size.height)
    for (const scheme of ['light', 'dark'] as const) {
      await page.prefers(scheme, 'reduce')
      expect(await evaluate(`document.getAnimations().length`)).toBe(0)
      expect(await evaluate<string[]>(FAULTS), `${where}, ${size.width} px, ${scheme}`).toEqual([])
    }
  }
  expect(await unnamed(), where).toEqual([])
  await page.resize(WIDE.width, WIDE.height)
  await page.prefers('light', 'reduce')
}

describe.skipIf(browser === undefined)('the page', () => {
  test('shows a takeover as it happens, and the call to its end', async () => {
    await using demo = await Demo.start()
    const [a, b] = demo.nodes
    const booking = await demo.book(a!)
    await demo.book(b!)
    const { web, url } = await startPage(demo.url)
    await using _ = web
    await page.prefers('light', 'reduce')
    await page.resize(WIDE.width, WIDE.height)
    await page.load(url)
    await page.shows(/nodes\s+2\s+open calls\s+2\s[^]*tools\/call book_table[^]*waiting[^]*raw 1/)
    await a!.kill('SIGKILL')
    await page.shows(/takeovers\s+1\s/)
    await page.shows(/gone/)
    await expectNoFaults('overview')
    await keepPicture('page', { width: 1280, height: 600 })

    await evaluate(
      `[...document.querySelectorAll('section')].find((each) => /^Takeovers/.test(each.textContent)).querySelector('a').click()`,
    )
    const open = await page.shows(/tools\/call book_table\s+waiting[^]*taken over by [^]*run 2/)
    expect(open).not.toContain('Cancel')
    expect(await evaluate(`document.activeElement.localName`)).toBe('h1')
    await booking.answer(b!, NAME)
    const ended = await page.shows(/completed[^]*step ask for the name done[^]*ends with a result/)
    expect(ended).not.toContain(NAME)
    await expectNoFaults('a call')
    await keepPicture('page-call', { width: 1280, height: 780 }, 'dark')
    const bars = await evaluate<string[]>(
      `[...document.querySelectorAll('.timeline tbody tr')].map((row) => row.textContent)`,
    )
    expect(bars).toHaveLength(5)
    expect(bars[0]).toMatch(/taken over by /)
    expect(bars[3]).toMatch(/ask for the name.*asks elicitation\/create: \+/)

    await tabTo(/^Overview$/)
    await page.press('Enter')
    await page.shows(/Sessions[^]*raw 1/)
    await evaluate(
      `[...document.querySelectorAll('section')].find((each) => /^Sessions/.test(each.textContent)).querySelector('a').click()`,
    )
    const session = await page.shows(
      /Session [\w-]{6}…\s+(idle|running)[^]*principal\s+none[^]*nodes\s+\S+:\d+[^]*Calls[^]*book_table[^]*opened on /,
    )
    expect(session).not.toContain(NAME)
    await expectNoFaults('a session')
    await keepPicture('page-session', { width: 1280, height: 780 })

    await demo.redis.kill()
    await page.shows(/The store is away: /)
    expect(page.errors).toEqual([])
    expect(page.requests.filter((request) => !request.startsWith(`${url}/`))).toEqual([])
  })

  test('is used with the keyboard alone: a call is woken, forked, and another one done again', async () => {
    const path = join(folder, 'shop.db')
    await using shop = await Shop.open(path)
    const shipped = shop.call('ship_order', { order: 7 })
    await shop.call('take_payment')
    const { web, url } = await startPage(NOWHERE, '--sqlite', path, '--allow-actions', '--by', 'ann')
    await using _ = web
    await page.load(url)
    await page.shows(/ship_order\s+sleeping/)
    await page.press('Tab')
    expect(await focused()).toBe('Skip to what is shown')
    await tabTo(/^[\w-]{6}…$/)
    await page.press('Enter')
    await page.shows(/sleeping, wakes in 59 m/)
    expect(await focused()).toBe('tools/call ship_order')

    await tabTo(/^Wake now$/)
    await page.press('Enter')
    await page.shows(/Wake this call now\?/)
    expect(await unnamed()).toEqual([])
    await page.press('Escape')
    expect(await focused()).toBe('Wake now')
    await page.press('Enter')
    await tabTo(/^Wake it$/)
    await page.press('Enter')
    await page.shows(/It goes on\.[^]*ann wakes until the truck is there[^]*ends with a result/)
    expect(await shipped).toContain('shipped')
    await expectNoFaults('a call that slept')
    await keepPicture('page-call-small', NARROW)

    // The second step that may be forked from.
    await tabTo(/^Fork$/)
    await page.press('Tab', 'Enter')
    await page.shows(/Go on from reserve stock\?/)
    await tabTo(/^Fork$/)
    await page.press('Enter')
    await page.shows(/would have their effect again: load the truck/)
    expect(await focused()).toBe('Leave it')
    await page.press('Escape')
    await page.shows(/Nothing was begun\./)

    await tabTo(/^Calls$/)
    await page.press('Enter')
    await page.shows(/0 of 2 journals/)
    await tabTo(/^$/)
    await page.type('take_payment')
    await evaluate(`document.querySelector('[name=ended]').click()`)
    await page.press('Enter')
    await page.shows(/1 of 2 journals[^]*take_payment\s+failed/)
    await expectNoFaults('calls')
    await tabTo(/^[\w-]{6}…$/)
    await page.press('Enter')
    await tabTo(/^Retry$/)
    await page.press('Enter')
    await tabTo(/^Retry$/)
    await page.press('Enter')
    await page.shows(/would have their effect again: charge the card/)
    await tabTo(/^Do it again$/)
    await page.press('Enter')
    await page.shows(/Another call is for the nodes to run\. Open it/)
    await page.press('Enter')
    await page.shows(/failed[^]*ann made it, a retry[^]*ends with a tool error/)
    expect(page.errors).toEqual([])

    // Nobody looks, for as long as it takes.
    await page.shows(/\blive\b/)
    await evaluate(HIDE)
    await page.shows(/resting/)
    await evaluate(`delete document.hidden, document.dispatchEvent(new Event('visibilitychange'))`)
    await page.shows(/\blive\b/)

    await web.kill('SIGKILL')
    await page.shows(/no connection/)
    await using again = await startAt(Number(new URL(url).port), NOWHERE, '--sqlite', path)
    // It was not told of a call that has ended.
    await page.shows(/\blive\b[^]*No such call is known here: find it again/)
    expect(again.output).toContain('to look at what is kept')
  })

  test('shows what is poisoned, and nothing of it acts', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    await using redis = await PoisonedRedis.start()
    const { web, url } = await startPage(redis.url, '--show-payloads', '--full-ids')
    await using _ = web
    await page.load(url)
    const seen = [await page.shows(/INJECTED[^]*Sessions[^]*INJECTED/)]
    const links = await evaluate<string[]>(`[...document.querySelectorAll('td a')].map((link) => link.hash)`)
    expect(links.length).toBeGreaterThan(2)
    for (const link of links) {
      await evaluate(`location.hash = ${JSON.stringify(link)}`)
      seen.push(await page.shows(/Events\s/))
    }
    await evaluate(`location.hash = '#/calls'`)
    await page.shows(/journals/)
    await evaluate(
      `document.querySelector('[name=ended]').click(), document.querySelector('form button').click()`,
    )
    await waitFor(() => evaluate(`document.querySelector('td .tone-good') !== null`), {
      what: 'the one that has ended',
    })
    seen.push(await page.shows(/INJECTED/))
    for (const text of seen) {
      expect(text).toContain('<img src=x onerror=')
      expect(text.replaceAll('\n', '').replaceAll('\t', '')).not.toMatch(
        /[^\P{C}\p{Co}]|\p{Default_Ignorable_Code_Point}/u,
      )
    }
    expect(await evaluate(`document.title`)).toMatch(/ · mcp-durable$/)
    expect(await evaluate(`document.querySelectorAll('img').length + document.scripts.length`)).toBe(2)
    expect(page.errors).toEqual([])
    expect(page.requests.filter((request) => request.endsWith('/x'))).toEqual([])
  })
})
