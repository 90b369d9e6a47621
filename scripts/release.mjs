// Packs the packages, looks at what is in the tarballs, and publishes these very files. Without an argument it publishes nothing.
// A release that was interrupted is begun again: what the registry has in this version is left alone.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { problemsOf } from './release/tarball.mjs'
import { fail, root, run } from './run.mjs'

const USAGE = `usage: npm run release [-- --publish | --rehearse URL | --skip-check]

  (nothing)       checks, packs and verifies, and lets npm say what it would publish
  --publish       publishes with provenance: in CI, from a clean tree, with no changeset waiting
  --rehearse URL  publishes what is here to another registry, such as one on this machine; verifies the tarballs only
  --skip-check    nothing is published, and npm run check is left out`

/** Each after what it depends on. */
const PACKAGES = ['core', 'redis-store', 'sqlite-store', 'cli']
const NOTHING_DONE = 'Nothing was published.'
const PUBLIC = 'registry.npmjs.org'

const { publish, rehearse, 'skip-check': skipCheck } = readArguments()
const registry = rehearse ? [`--@mcp-durable:registry=${rehearse}`] : []
const folder = mkdtempSync(join(tmpdir(), 'mcp-durable-release-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const obstacles = rehearse ? [] : obstaclesToPublishing()
if (publish && obstacles.length > 0) fail(obstacles.join('\n'), NOTHING_DONE)
if (!rehearse && !skipCheck) await must('npm', ['run', 'check'], NOTHING_DONE)

const packed = await pack()
const isThere = await Promise.all(packed.map(({ id }) => isPublished(id)))
if (isThere.every(Boolean))
  fail('Each of them is published in this version.', 'Raise it: npx changeset version')
for (const [index, one] of packed.entries())
  if (isThere[index]) console.log(`left alone, since it is published: ${one.id}`)
  else await release(one)

for (const obstacle of obstacles) console.log(`before --publish: ${obstacle}`)
console.log(publish || rehearse ? 'released' : 'this was a dry run: nothing was published')

/** With pnpm, since npm does not replace `workspace:` in a manifest. */
async function pack() {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const pnpm = ['--yes', packageManager, '--recursive', '--filter', './packages/*']
  await must('npx', [...pnpm, 'pack', '--pack-destination', folder], NOTHING_DONE)
  return Promise.all(PACKAGES.map(verified))
}

async function verified(name) {
  const { version } = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
  const tarball = join(folder, `mcp-durable-${name}-${version}.tgz`)
  const unpacked = join(folder, name)
  mkdirSync(unpacked)
  await must('tar', ['-xzf', tarball, '-C', unpacked, '--strip-components=1'], NOTHING_DONE)
  const problems = await problemsOf(unpacked)
  if (problems.length > 0) fail(`packages/${name}:\n${problems.join('\n')}`, NOTHING_DONE)
  console.log(`packed @mcp-durable/${name}@${version}, ${Math.round(statSync(tarball).size / 1024)} KiB`)
  return { id: `@mcp-durable/${name}@${version}`, tarball }
}

async function isPublished(id) {
  const { code, output } = await run('npm', ['view', id, 'version', ...registry], quietly(`asking for ${id}`))
  return code === 0 && output.trim() !== ''
}

async function release({ id, tarball }) {
  const how = publish ? ['--provenance'] : rehearse ? [] : ['--dry-run']
  // The tarball is published as it was looked at: no script may change it.
  await must(
    'npm',
    ['publish', tarball, '--access', 'public', '--ignore-scripts', ...how, ...registry],
    'Mend it and run the same again: what is published already is left alone.',
  )
  console.log(`${publish || rehearse ? 'published' : 'would publish'} ${id}`)
}

/** What stands in the way of a release, each with what to do. */
function obstaclesToPublishing() {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  const waiting = readdirSync(join(root, '.changeset')).filter((file) => /^(?!README).*\.md$/.test(file))
  const homeless = PACKAGES.filter((name) => {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
    return manifest.repository === undefined
  })
  const { ACTIONS_ID_TOKEN_REQUEST_URL, SIGSTORE_ID_TOKEN } = process.env
  return [
    git('status', '--porcelain') && 'the tree is not clean. Commit what is to be released.',
    waiting.length > 0 &&
      `${waiting.length} changesets wait. Run npx changeset version, and commit what it writes.`,
    homeless.length > 0 &&
      `packages/${homeless.join(', packages/')}: package.json has no "repository", which npm compares with the one that the provenance names.`,
    !(ACTIONS_ID_TOKEN_REQUEST_URL || SIGSTORE_ID_TOKEN) &&
      'provenance needs a token of the CI: a job of GitHub Actions with `id-token: write`, or of GitLab with SIGSTORE_ID_TOKEN.',
  ].filter(Boolean)
}

async function must(command, args, nextStep, options = {}) {
  const { code, output } = await run(command, args, { ...quietly(`${command} ${args[0]}`), ...options })
  if (code !== 0) fail(output, nextStep)
}

function quietly(title) {
  return { title, announceAfterMs: 20_000 }
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        publish: { type: 'boolean' },
        rehearse: { type: 'string' },
        'skip-check': { type: 'boolean' },
        help: { type: 'boolean' },
      },
    })
    if (values.help) {
      console.log(USAGE)
      process.exit(0)
    }
    if (values.publish && (values.rehearse || values['skip-check']))
      throw new Error('--publish goes with nothing else')
    if (values.rehearse && new URL(values.rehearse).host === PUBLIC)
      throw new Error('a rehearsal is for another registry than that of npm')
    return values
  } catch (error) {
    console.error(`error: ${error.message}\n\n${USAGE}`)
    process.exit(2)
  }
}
