import { existsSync, readdirSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'
import type { MarkdownRenderer } from 'vitepress'

/** Where the files beside the docs can be read; without it, links to them are text on the site. */
const source = process.env['DOCS_SOURCE_URL']
/** Files among the docs that are no pages, and go to the site as they are. */
const FILES = 'deploying'
const DOCS = fileURLToPath(new URL('..', import.meta.url))

const pages = (items: Record<string, string>) =>
  Object.entries(items).map(([text, name]) => ({ text, link: `/${name}` }))

/** Pages that api-pages.mjs has written, by what is imported. */
function apiPages(): Record<string, string> {
  const folder = join(DOCS, 'api')
  if (!existsSync(folder)) return {}
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.startsWith('@'),
  )
  const names = files.filter((name) => name.endsWith('.md')).map((name) => name.slice(0, -'.md'.length))
  return Object.fromEntries(names.toSorted().map((name) => [name.replace(/-\d$/, ''), `api/${name}`]))
}

/** A link may leave the pages, as it does on GitHub: to another folder of the repository. */
const fileOf = (href: string) => (href.startsWith('../') ? href.slice('../'.length) : undefined)

/** Anchors as GitHub makes them, so that a link is the same in both places. */
const slugify = (heading: string) =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-')

/** Its text stays. */
function withoutLink(tokens: MarkdownTokens, index: number) {
  const end = tokens.slice(index).find(({ type }) => type === 'link_close')
  for (const token of [tokens[index], end]) if (token) Object.assign(token, { tag: 'span', attrs: [] })
}
type MarkdownTokens = Parameters<MarkdownRenderer['renderer']['render']>[0]

export default defineConfig({
  buildEnd: ({ outDir }) => cp(join(DOCS, FILES), join(outDir, FILES), { recursive: true }),
  title: 'mcp-durable',
  description: 'Durable Model Context Protocol servers on Node.js',
  cleanUrls: true,
  themeConfig: {
    outline: [2, 3],
    search: { provider: 'local' },
    sidebar: [
      {
        text: 'Use it',
        items: pages({
          Start: '',
          'Quick start': 'quick-start',
          Migrating: 'migrating',
          'Servers that speak stdio': 'stdio',
          'Durable tools': 'durable-context',
          'Testing durable tools': 'testing',
          'Long jobs': 'tasks',
          Frameworks: 'frameworks',
          Clients: 'clients',
          'Protocol 2026-07-28': 'protocol-2026',
          Settings: 'settings',
        }),
      },
      {
        text: 'Run it',
        items: pages({
          Deploying: 'deploying',
          Operating: 'operating',
          Security: 'security',
          Troubleshooting: 'troubleshooting',
          Errors: 'errors',
        }),
      },
      {
        text: 'Know it',
        items: pages({
          Guarantees: 'guarantees',
          'How it works': 'architecture',
          Performance: 'performance',
          Comparison: 'comparison',
        }),
      },
      { text: 'API', collapsed: true, items: pages(apiPages()) },
    ],
  },
  markdown: {
    anchor: { slugify },
    languageAlias: { caddyfile: 'nginx' },
    config(md) {
      const render = md.renderer.rules.link_open
      md.renderer.rules.link_open = (tokens, index, options, env, self) => {
        const token = tokens[index]
        const href = token?.attrGet('href') ?? ''
        const file = fileOf(href)
        if (!token || (file === undefined && !href.startsWith(`${FILES}/`))) {
          return render?.(tokens, index, options, env, self) ?? self.renderToken(tokens, index, options)
        }
        if (file === undefined)
          token.attrs = [
            ['href', `/${href}`],
            ['target', '_self'],
          ]
        else if (source !== undefined) token.attrs = [['href', new URL(file, source).href]]
        else withoutLink(tokens, index)
        return self.renderToken(tokens, index, options)
      }
    },
  },
})
