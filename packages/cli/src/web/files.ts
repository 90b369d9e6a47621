import { readdirSync, readFileSync } from 'node:fs'

const PAGE = new URL('../../src/web/page/', import.meta.url)
const COMPILED = new URL('../../dist/', import.meta.url)

export type StaticFile = { type: string; body: Buffer }

/** All that a browser loads, by its path. It is read once: nothing that a browser sends names a file. */
export function readFiles(): ReadonlyMap<string, StaticFile> {
  const scripts = readdirSync(new URL('web/page/', COMPILED)).filter((name) => name.endsWith('.js'))
  const script = (path: string) =>
    [`/${path}`, { type: 'text/javascript', body: readFileSync(new URL(path, COMPILED)) }] as const
  const page = (path: string, name: string, type: string) =>
    [path, { type, body: readFileSync(new URL(name, PAGE)) }] as const
  return new Map([
    page('/', 'index.html', 'text/html; charset=utf-8'),
    page('/login', 'login.html', 'text/html; charset=utf-8'),
    page('/style.css', 'style.css', 'text/css; charset=utf-8'),
    page('/icon.svg', 'icon.svg', 'image/svg+xml'),
    script('show/span.js'),
    ...scripts.map((name) => script(`web/page/${name}`)),
  ])
}
