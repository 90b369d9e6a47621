import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { constants, setPriority, tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findBrowser, Page } from './support/browser.js'

// The site as it is built from docs/; the build itself fails on a dead link.

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
}

type Manifest = { name: string; exports: Record<string, unknown> }

const browser = await findBrowser()
let dir: string
let url: string
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost')
  const path = join(dir, fileAt(pathname))
  readFile(path).then(
    (content) =>
      response
        .writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' })
        .end(content),
    () => response.writeHead(404).end(),
  )
})

async function run(file: string, ...args: string[]) {
  const running = promisify(execFile)(process.execPath, [join(ROOT, file), ...args], { cwd: ROOT })
  // Other tests run beside it, and some of them mind the time.
  setPriority(running.child.pid!, constants.priority.PRIORITY_LOW)
  await running
}

/** Addresses have no `.html`. */
function fileAt(pathname: string) {
  const path = pathname.slice(1)
  if (extname(path) !== '' || path === 'deploying/Caddyfile') return path
  return path === '' || path.endsWith('/') ? `${path}index.html` : `${path}.html`
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mcp-durable-site-'))
  await run('docs/api-pages.mjs')
  await run('node_modules/vitepress/bin/vitepress.js', 'build', 'docs', '--outDir', dir)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}, 900_000)
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await rm(dir, { recursive: true, force: true })
})

test('every page of docs/ is in the navigation', async () => {
  const index = await readFile(join(dir, 'index.html'), 'utf8')
  const files = (await readdir(join(ROOT, 'docs'))).filter(
    (name) => name.endsWith('.md') && name !== 'index.md',
  )
  expect(files.length).toBeGreaterThan(8)
  expect(files.filter((name) => !index.includes(`href="/${name.replace('.md', '')}"`))).toEqual([])
})

test('every import of the packages has a page of its API, with what it exports', async () => {
  const index = await readFile(join(dir, 'api/index.html'), 'utf8')
  for (const folder of ['packages/core', 'packages/redis-store', 'packages/sqlite-store']) {
    const manifest = JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest
    for (const path of Object.keys(manifest.exports).filter((name) => !name.endsWith('.json'))) {
      const name = manifest.name + path.slice(1)
      expect(index, name).toContain(`>${name}</a>`)
    }
  }
  const exported = {
    core: ['durable', 'durableTool', 'DurableOptions'],
    'core/errors': ['StepTimeoutError', 'JournalLostError'],
    'core/store': ['Store', 'MembershipStore'],
    'redis-store': ['redisStore'],
    'sqlite-store': ['file', 'sqliteStore'],
  }
  for (const [path, names] of Object.entries(exported)) {
    const [, page = ''] =
      new RegExp(`href="(?:/api|\\.)/([^"#]+)">@mcp-durable/${path}</a>`).exec(index) ?? []
    const html = await readFile(join(dir, fileAt(`/api/${page}`)), 'utf8')
    for (const name of names) expect(html, path).toContain(`id="${name.toLowerCase()}"`)
  }
})

test('every link leads to a page, a file or a heading that is there', async () => {
  const files = new Set(await readdir(dir, { recursive: true }))
  const names = [...files].filter((name) => name.endsWith('.html'))
  const pages = new Map<string, string>()
  for (const name of names) pages.set(name, await readFile(join(dir, name), 'utf8'))
  const links = [...pages].flatMap(([name, html]) =>
    [...html.matchAll(/<a\b([^>]*)>/g)].flatMap(([tag, attributes = '']) => {
      const href = /\shref="([^"]*)"/.exec(attributes)?.[1]
      if (href === undefined)
        return / (?:id|name)="/.test(attributes) ? [] : [{ name, tag, file: '', id: '' }]
      if (/^(https?|mailto):/.test(href)) return []
      const { pathname, hash } = new URL(href, `http://site/${name}`)
      return [{ name, tag, file: fileAt(pathname), id: decodeURIComponent(hash.slice(1)) }]
    }),
  )
  expect(links.filter(({ id }) => id !== '').length).toBeGreaterThan(50)
  const leads = ({ file, id }: { file: string; id: string }) =>
    files.has(file) && (id === '' || pages.get(file)?.includes(` id="${id}"`) === true)
  expect(links.filter((link) => !leads(link)).map(({ name, tag }) => `${name}: ${tag}`)).toEqual([])
})

test('every column of a table has a head', async () => {
  for (const name of (await readdir(dir, { recursive: true })).filter((file) => file.endsWith('.html'))) {
    const html = await readFile(join(dir, name), 'utf8')
    const heads = [...html.matchAll(/<th\b[^>]*>(.*?)<\/th>/gs)].map(([, text = '']) => text.trim())
    expect(heads.filter((text) => text === '').length, name).toBe(0)
  }
})

test.skipIf(browser === undefined)(
  'in a browser every page is reached by its link, and shows without an error',
  async () => {
    await using page = await Page.open(browser!)
    await page.load(url)
    const links = await page.evaluate<string[]>(
      `[...document.querySelectorAll('.VPSidebar a')].map((link) => link.getAttribute('href'))`,
    )
    expect(links.length).toBeGreaterThan(8)
    for (const link of links) {
      const shown = await page.evaluate<{ title: string; broken: string[]; text: number }>(visit(link))
      expect(shown.title, link).not.toMatch(/^$|404/)
      expect(shown.broken, link).toEqual([])
      expect(shown.text, link).toBeGreaterThan(link.startsWith('/api/') ? 100 : 500)
    }
    expect(page.errors).toEqual([])
    expect(
      page.requests.filter((request) => !request.startsWith(url) && !request.startsWith('data:')),
    ).toEqual([])
  },
)

test.skipIf(browser === undefined).each([
  ['a screen', 1400],
  ['a phone', 390],
])('on %s no line of code is cut, and no page is wider than it', async (_what, width) => {
  await using page = await Page.open(browser!)
  await page.resize(width, 900)
  for (const name of (await readdir(dir, { recursive: true })).filter((file) => file.endsWith('.html'))) {
    await page.load(`${url}/${name.replace(/(index)?\.html$/, '')}`)
    expect(await page.evaluate<string[]>(CUT), name).toEqual([])
  }
})

/** What is wider than its place: code, and the page itself. Tables may be scrolled. */
const CUT = `[document.documentElement, ...document.querySelectorAll('.vp-doc pre')]
  .filter((element) => element.scrollWidth > element.clientWidth)
  .map((element) => element.localName + ': ' + element.textContent.slice(0, 200))`

/** Clicks a link of the navigation, waits until its page stands there with all images, and says what it shows. */
const visit = (link: string) => `(async () => {
  const at = (path) => location.pathname === path && document.querySelector('.vp-doc h1')
  const seen = document.querySelector('.vp-doc > div')
  document.querySelector('.VPSidebar a[href="${link}"]').click()
  await new Promise((resolve) => {
    const look = () => at('${link}') && (seen !== document.querySelector('.vp-doc > div') || '${link}' === '/') && resolve()
    new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true })
    look()
  })
  const images = [...document.querySelectorAll('.vp-doc img')]
  await Promise.all(images.map((image) => image.decode().catch(() => undefined)))
  return {
    title: document.querySelector('.vp-doc h1').textContent,
    broken: images.filter((image) => image.naturalWidth === 0).map((image) => image.src),
    text: document.querySelector('.vp-doc').textContent.length,
  }
})()`
