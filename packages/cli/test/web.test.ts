import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { file } from '@mcp-durable/sqlite-store'
import type { Child } from '../../../test-support/index.js'
import { fill } from '../../redis-store/test/filled-store.js'
import { cli, startCli } from './support/cli.js'

// Who may look, and who may act. What the page shows is in tests/web-page.test.ts.

const NOWHERE = 'redis://127.0.0.1:1'
const TOKEN = 'a-token-that-nobody-guesses'
let folder: string
let db: string
let token: string
let open: Child
let closed: Child
const urls = { open: '', closed: '' }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-web-'))
  db = join(folder, 'mcp.db')
  token = join(folder, 'token')
  await writeFile(token, `${TOKEN}\n`)
  const store = file(db)
  await fill(store)
  await store.close()
  const web = ['monitor', '--web', '--port', '0', '--sqlite', db]
  open = await startCli(NOWHERE, ...web)
  urls.open = await urlOf(open)
  closed = await startCli(NOWHERE, ...web, '--token', token, '--allow-actions')
  urls.closed = await urlOf(closed)
})
afterAll(async () => {
  await Promise.all([open?.kill('SIGKILL'), closed?.kill('SIGKILL')])
  await rm(folder, { recursive: true, force: true })
})

async function urlOf(child: Child): Promise<string> {
  const { input } = await child.waitForLine(/listening on (http:[^\s,]+)/)
  return /http:[^\s,]+/.exec(input!)![0]
}

type Answer = { status: number | undefined; headers: IncomingMessage['headers']; body: string }

/** With headers that `fetch` does not let anybody set. */
function ask(url: string, { method = 'GET', headers = {}, body }: Asked = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { method, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: text }),
      )
    })
    asking.on('error', reject).end(body)
  })
}
type Asked = { method?: string; headers?: OutgoingHttpHeaders; body?: string }

const port = (url: string) => new URL(url).port
const act = { action: 'cancel', call: 'x' }
const posting = (url: string, headers: OutgoingHttpHeaders = {}, body: unknown = act): Asked => ({
  method: 'POST',
  headers: { origin: url, 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

describe('without a token', () => {
  test('only this machine is served, by its own names', async () => {
    for (const host of ['127.0.0.1', 'localhost', '[::1]'])
      expect(await ask(urls.open, { headers: { host: `${host}:1` } }), host).toMatchObject({ status: 200 })
    for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.', '0.0.0.0'])
      for (const path of ['/', '/calls', '/events', '/web/page/main.js'])
        expect(await ask(urls.open + path, { headers: { host } }), host).toMatchObject({ status: 403 })
  })

  test('no other site has the store looked through', async () => {
    for (const site of ['cross-site', 'same-site']) {
      const headers = { 'sec-fetch-site': site }
      for (const path of ['/calls?ended=on', '/events', '/web/page/main.js'])
        expect(await ask(urls.open + path, { headers }), path).toMatchObject({ status: 403 })
      for (const path of ['/', '/?token=x'])
        expect((await ask(urls.open + path, { headers })).status, path).toBeLessThan(400)
    }
  })

  test('no other address is bound', async () => {
    const { code, stderr } = await cli(NOWHERE, 'monitor', '--web', '--host', '0.0.0.0', '--sqlite', db)
    expect(code).toBe(1)
    expect(stderr).toMatch(/needs a token\.\n {2}Make one: .*--token/)
  })

  test('nothing may be framed, kept, run from elsewhere or written into the page', async () => {
    for (const path of ['/', '/style.css', '/calls', '/nothing']) {
      const { headers } = await ask(urls.open + path)
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'; require-trusted-types-for 'script'/,
      )
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
      })
      expect(headers['access-control-allow-origin']).toBeUndefined()
    }
    const { body } = await ask(urls.open)
    expect(body).not.toMatch(/<script>|<style|\son\w+=|style=|https?:/)
  })

  test('no path leads to a file that is not of the page', async () => {
    for (const path of ['/../package.json', '/web/page/..%2f..%2fmain.js', '/main.js', '/web/serve.js'])
      expect(await ask(urls.open + path), path).toMatchObject({ status: 404 })
  })

  test('nothing is acted on, unless it was started with --allow-actions', async () => {
    expect(await ask(`${urls.open}/act`, posting(urls.open))).toMatchObject({ status: 403 })
  })
})

describe('with a token', () => {
  const cookieOf = ({ headers }: Answer) => headers['set-cookie']?.[0] ?? ''
  const login = () => ask(`${urls.closed}/?token=${TOKEN}`)

  test('whoever does not have it sees a form, and nothing else', async () => {
    const page = await ask(urls.closed)
    expect(page).toMatchObject({ status: 401 })
    expect(page.body).toContain('type="password"')
    for (const path of ['/calls', '/events', '/web/page/main.js', '/nothing'])
      expect(await ask(urls.closed + path), path).toMatchObject({ status: 401 })
    expect(await ask(`${urls.closed}/act`, posting(urls.closed))).toMatchObject({ status: 401 })
    for (const wrong of ['', 'x', `${TOKEN}x`, TOKEN.slice(1)]) {
      const answer = await ask(`${urls.closed}/?token=${wrong}`)
      expect(answer, wrong).toMatchObject({ status: 401 })
      expect(cookieOf(answer)).toBe('')
    }
  })

  test('it is given once, by the address or the form, and goes from the address', async () => {
    const answer = await login()
    expect(answer).toMatchObject({ status: 303, headers: { location: '/' } })
    const cookie = cookieOf(answer)
    expect(cookie).toMatch(/; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/)
    expect(cookie).not.toContain(TOKEN)
    const headers = { cookie: cookie.split(';')[0] }
    expect(await ask(`${urls.closed}/calls`, { headers })).toMatchObject({ status: 200 })
    const other = { cookie: headers.cookie!.slice(0, -2) }
    expect(await ask(`${urls.closed}/calls`, { headers: other })).toMatchObject({ status: 401 })

    const type = { 'content-type': 'application/x-www-form-urlencoded' }
    const form = posting(urls.closed, type, `token=${TOKEN}`)
    expect(cookieOf(await ask(`${urls.closed}/login`, form))).toBe(cookie)
    const wrong = await ask(`${urls.closed}/login`, posting(urls.closed, type, 'token=no'))
    expect(wrong).toMatchObject({ status: 401 })
    expect(wrong.body).toMatch(/role="alert">That is not the token/)
  })

  test('acts come from the page itself', async () => {
    const cookie = cookieOf(await login()).split(';')[0]
    const from = (origin: string | undefined) =>
      ask(`${urls.closed}/act`, posting(urls.closed, { cookie, ...(origin ? { origin } : {}) }))
    expect(await from(undefined)).toMatchObject({ status: 200, body: expect.stringContaining('too old') })
    for (const origin of ['null', 'http://evil.example', `http://127.0.0.1:${port(urls.open)}`])
      expect(await from(origin), origin).toMatchObject({ status: 403 })
    const plain = posting(urls.closed, { cookie, 'content-type': 'text/plain' })
    expect(await ask(`${urls.closed}/act`, plain)).toMatchObject({ status: 415 })
    for (const body of ['', 'null', '{"action":"clear","call":"x"}', '{"action":"cancel"}'])
      expect(await ask(`${urls.closed}/act`, posting(urls.closed, { cookie }, body))).toMatchObject({
        status: 400,
      })
    const large = posting(urls.closed, { cookie }, 'x'.repeat(20_000))
    expect(await ask(`${urls.closed}/act`, large)).toMatchObject({ status: 413 })
  })

  test('it is nowhere in what is written', async () => {
    await login()
    expect(closed.output).toContain('for whoever has the token')
    expect(closed.output).not.toContain(TOKEN)
  })

  test.each([
    ['is too short', 'short'],
    ['has a space', 'a token with some spaces'],
  ])('one that %s is refused', async (_what, text) => {
    const path = join(folder, 'bad')
    await writeFile(path, text)
    const { code, stderr } = await cli(NOWHERE, 'monitor', '--web', '--token', path, '--sqlite', db)
    expect(code).toBe(1)
    expect(stderr).toContain('at least 16 characters')
    expect(stderr).not.toContain(text)
  })
})

test('calls are found as mcp-durable calls finds them', async () => {
  type Found = { looked: number; calls: { title: string; status: string }[] }
  const find = async (query: string) => JSON.parse((await ask(`${urls.open}/calls?${query}`)).body) as Found
  expect((await find('ended=on')).looked).toBeGreaterThan(0)
  expect((await find('tool=none')).calls).toEqual([])
  expect(await ask(`${urls.open}/calls?status=odd`)).toMatchObject({
    status: 400,
    body: expect.stringContaining('status is one of'),
  })
  expect(await ask(`${urls.open}/calls?newer-than=soon`)).toMatchObject({ status: 400 })
})

test('options of the page are for the page', async () => {
  for (const option of ['--port=1', '--token=x', '--allow-actions'])
    expect(await cli(NOWHERE, 'monitor', option), option).toMatchObject({ code: 2 })
})

test('it ends when it is told to, whoever looks', async () => {
  const looking = new Promise<IncomingMessage>((resolve, reject) =>
    request(`${urls.open}/events`, resolve).on('error', reject).end(),
  )
  const stream = await looking
  const ended = once(stream.resume(), 'close')
  expect((await open.kill('SIGTERM')).code).toBe(0)
  await ended
})
