import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHAR, MARGIN, toSvg } from '../packages/cli/test/support/svg.js'
import { findBrowser, Page } from './support/browser.js'

// The pictures of README and docs as a browser draws them.

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const ESC = '\u001B'

type Glyph = { text: string; x: number; y: number }
type Box = { text: string; left: number; right: number; top: number; bottom: number }

const browser = await findBrowser()
let page: Page
beforeAll(async () => {
  if (browser !== undefined) page = await Page.open(browser)
})
afterAll(() => page?.[Symbol.asyncDispose]())

/** Every character that is drawn, where it is drawn. */
const GLYPHS = `[...document.querySelectorAll('text')].flatMap((text) =>
  [...new Intl.Segmenter().segment(text.textContent)].flatMap(({ segment, index }) => {
    if (index >= text.getNumberOfChars()) return []
    const { x, y } = text.getStartPositionOfChar(index)
    return [{ text: segment, x, y }]
  }))`

/** Where each text stands, in the coordinates of the picture; and the picture itself, without a text. */
const BOXES = `[document.documentElement, ...document.querySelectorAll('text')].map((element) => {
  const { left, right, top, bottom } = element.getBoundingClientRect()
  return { text: element.localName === 'text' ? element.textContent : '', left, right, top, bottom }
})`

/** The screen that a picture shows, read off the places of its characters. None is a quarter of a column off. */
function screenOf(glyphs: readonly Glyph[]): string {
  const rows: string[][] = []
  for (const { text, x, y } of glyphs) {
    const column = (x - MARGIN) / CHAR.width
    expect(Math.abs(column - Math.round(column)), `${text} at ${x}`).toBeLessThan(0.25)
    const row = (rows[Math.floor((y - MARGIN) / CHAR.height)] ??= [])
    expect(row[Math.round(column)], `what ${text} covers`).toBeUndefined()
    row[Math.round(column)] = text
  }
  const line = (row: string[] | undefined) => Array.from(row ?? [], (text) => text ?? ' ').join('')
  return Array.from(rows, (row) => line(row).trimEnd()).join('\n')
}

const withoutSpaces = (glyphs: readonly Glyph[]) => glyphs.filter(({ text }) => text.trim() !== '')

describe.skipIf(browser === undefined)('the picture of a screen', () => {
  test('has each character in its column, whatever stands before it', async () => {
    const screen = [
      `${ESC}[7m title  with   gaps      right ${ESC}[0m`,
      `${ESC}[2mNODE      STATE   HEARTBEAT${ESC}[0m`,
      `${ESC}[36mlAoCJh…${ESC}[39m   ${ESC}[32malive${ESC}[39m  ${ESC}[1m   25 ms ago${ESC}[0m`,
      '',
      `      → <redis-cli> & "more"   ${ESC}[33m‹36 B›${ESC}[39m`,
    ]
    await page.load(
      `data:image/svg+xml;base64,${Buffer.from(toSvg(screen.join('\n'), 40)).toString('base64')}`,
    )
    const plain = screen.map((line) => line.replaceAll(new RegExp(`${ESC}\\[\\d*m`, 'g'), '').trimEnd())
    expect(screenOf(withoutSpaces(await page.evaluate(GLYPHS)))).toBe(plain.join('\n'))
  })
})

describe.skipIf(browser === undefined)('the pictures of README and docs', async () => {
  const pictures = await linkedPictures()

  test('are all of those in docs/', async () => {
    const kept = (await readdir(join(ROOT, 'docs'), { recursive: true })).filter(
      (name) => name.endsWith('.svg') && !name.startsWith('.'),
    )
    expect(pictures.toSorted()).toEqual(kept.map((name) => `docs/${name}`).toSorted())
  })

  test.each(pictures)('%s: every text is inside, and covers no other', async (path) => {
    await page.load(pathToFileURL(join(ROOT, path)).href)
    const [picture, ...texts] = await page.evaluate<[Box, ...Box[]]>(BOXES)
    expect(texts.length).toBeGreaterThan(5)
    for (const [index, text] of texts.entries()) {
      expect(isInside(text, picture), `${text.text} is inside`).toBe(true)
      const covered = texts.slice(index + 1).filter((other) => overlap(text, other))
      expect(
        covered.map((other) => other.text),
        `what ${text.text} covers`,
      ).toEqual([])
    }
  })

  test.each(pictures.filter((path) => path.includes('/screens/')))(
    '%s: every character is in its column',
    async (path) => {
      await page.load(pathToFileURL(join(ROOT, path)).href)
      const screen = await page.evaluate<string>(`document.querySelector('desc').textContent`)
      expect(screenOf(withoutSpaces(await page.evaluate(GLYPHS)))).toBe(screen)
    },
  )
})

const isInside = (a: Box, b: Box) =>
  a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom
/** A pixel may be shared: boxes are as high as the tallest letter of the font. */
const overlap = (a: Box, b: Box) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1

async function linkedPictures(): Promise<string[]> {
  const pages = (await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md'))
  const found = await Promise.all(
    ['README.md', ...pages.map((name) => `docs/${name}`)].map(async (name) => {
      const text = await readFile(join(ROOT, name), 'utf8')
      const links = [...text.matchAll(/!\[[^\]]*\]\(([^)]+\.svg)\)/g)]
      return links.map(([, path = '']) => join(dirname(name), path))
    }),
  )
  return [...new Set(found.flat())]
}
