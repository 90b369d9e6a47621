// What is wrong with a package as it would be published. Looks at the files of its tarball, unpacked, and at nothing else.

import { existsSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join, normalize, sep } from 'node:path'

const BESIDE_CODE = ['package.json', 'README.md', 'LICENSE']
const FOLDERS = ['dist', 'src']
const OF_TESTS = /(^|\/)(tests?|__tests__)\/|\.test\.[cm]?[jt]s|\.tsbuildinfo$|(^|\/)vitest\./

/**
 * @param {string} folder where the tarball is unpacked
 * @returns {Promise<string[]>} each a sentence; none if it may be published
 */
export async function problemsOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath ?? entry.path, entry.name)
        .slice(folder.length + 1)
        .split(sep)
        .join('/'),
    )
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return [
    ...BESIDE_CODE.filter((file) => !files.includes(file)).map((file) => `${file} is missing`),
    ...files.filter((file) => !isExpected(file)).map((file) => `${file} does not belong into it`),
    ...unresolved(manifest, files),
    ...unpublishable(manifest),
    ...files.filter((file) => file.endsWith('.map')).flatMap((file) => lostSources(folder, file)),
  ]
}

function isExpected(file) {
  if (OF_TESTS.test(file)) return false
  return BESIDE_CODE.includes(file) || FOLDERS.some((folder) => file.startsWith(`${folder}/`))
}

/** What `exports` and `bin` name, under every condition. */
function unresolved({ exports = {}, bin = {} }, files) {
  const targets = [...leaves(exports), ...leaves(bin)]
  const missing = targets.filter((target) => !files.includes(target.replace('./', '')))
  return missing.map((target) => `package.json names ${target}, which is missing`)
}

function leaves(value) {
  return typeof value === 'string' ? [value] : Object.values(value).flatMap(leaves)
}

function unpublishable(manifest) {
  const { name, version, license, dependencies = {}, peerDependencies = {} } = manifest
  const ranges = Object.entries({ ...dependencies, ...peerDependencies })
  const ours = ranges.filter(([other]) => other.startsWith('@mcp-durable/'))
  return [
    ...(license === 'Apache-2.0' ? [] : ['package.json names no license']),
    ...ranges
      .filter(([, range]) => /^(workspace|catalog|file|link):/.test(range))
      .map(([other, range]) => `package.json asks for ${other} ${range}`),
    ...ours
      .filter(([, range]) => range !== `^${version}`)
      .map(
        ([other, range]) => `${name} ${version} asks for ${other} ${range}: packages are released together`,
      ),
  ]
}

/** Debuggers show the sources that a source map names. */
function lostSources(folder, file) {
  const { sources } = JSON.parse(readFileSync(join(folder, file), 'utf8'))
  const lost = sources.filter((source) => !existsSync(join(folder, normalize(join(dirname(file), source)))))
  return lost.map(
    (source) =>
      `${file} names ${source}, which is missing: compile anew, without the dist folder that is there`,
  )
}
