import { defineConfig } from 'vitepress'

/** Where the files beside the docs can be read; without it, links to them are plain text on the site. */
const source = process.env['DOCS_SOURCE_URL']

const pages = (items: Record<string, string>) =>
  Object.entries(items).map(([text, name]) => ({ text, link: `/${name}` }))

/** A link may leave the pages, as it does on GitHub: to another folder, or to a file that is no page. */
function fileOf(href: string): string | undefined {
  if (href.startsWith('../')) return href.slice('../'.length)
  return href.startsWith('deploying/') ? `docs/${href}` : undefined
}

/** Anchors as GitHub makes them, so that a link is the same in both places. */
const slugify = (heading: string) =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-')

export default defineConfig({
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
          Migrating: 'migrating',
          'Durable tools': 'durable-context',
          Frameworks: 'frameworks',
          Clients: 'clients',
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
        }),
      },
    ],
  },
  markdown: {
    anchor: { slugify },
    languageAlias: { caddyfile: 'nginx' },
    config(md) {
      const render = md.renderer.rules.link_open
      md.renderer.rules.link_open = (tokens, index, options, env, self) => {
        const token = tokens[index]
        const file = fileOf(token?.attrGet('href') ?? '')
        if (!token || file === undefined) {
          return render?.(tokens, index, options, env, self) ?? self.renderToken(tokens, index, options)
        }
        token.attrs = source === undefined ? [] : [['href', new URL(file, source).href]]
        return self.renderToken(tokens, index, options)
      }
    },
  },
})
