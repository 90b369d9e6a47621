// Writes docs/api: a page for each import of the published packages, from their types and docstrings. The site shows
// them; they are not kept in the repository.

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Application } from 'typedoc'

const root = fileURLToPath(new URL('..', import.meta.url))
const out = fileURLToPath(new URL('api', import.meta.url))

/** What can be imported, by the file that it is made from. */
const imports = new Map()
for (const folder of ['packages/core', 'packages/redis-store', 'packages/sqlite-store']) {
  const { name, exports } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'))
  for (const [path, { '@mcp-durable/source': source }] of Object.entries(exports)) {
    if (source !== undefined) imports.set(join(folder, source), name + path.slice(1))
  }
}

const app = await Application.bootstrapWithPlugins({
  plugin: ['typedoc-plugin-markdown'],
  entryPoints: [...imports.keys()].map((file) => join(root, file)),
  tsconfig: join(root, 'tsconfig.build.json'),
  basePath: root,
  out,
  readme: 'none',
  // The compiler of the project has checked the types.
  skipErrorChecking: true,
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  validation: { notExported: false, invalidLink: true },
  treatValidationWarningsAsErrors: true,
  logLevel: 'Warn',
  outputFileStrategy: 'modules',
  entryFileName: 'index',
  hideBreadcrumbs: true,
  hidePageHeader: true,
  useHTMLAnchors: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  typeAliasPropertiesFormat: 'table',
})

const project = await app.convert()
if (!project) process.exit(1)
const names = new Map([...imports].map(([file, name]) => [file.replace(/(\/index)?\.ts$/, ''), name]))
for (const module of project.children ?? []) module.name = names.get(module.name) ?? module.name
app.validate(project)
await rm(out, { recursive: true, force: true })
await app.generateOutputs(project)
if (app.logger.hasErrors()) process.exit(1)
