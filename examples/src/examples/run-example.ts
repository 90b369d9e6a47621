import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Place } from '../place.js'
import { own } from '../processes.js'
import type { Example } from './catalog.js'
import { startSystem } from './system.js'

/** Starts the server, runs the client, and cleans up. True if the client says that all held. */
export async function runExample(
  { name, title }: Example,
  where: { place: Place; port: number },
): Promise<boolean> {
  console.log(`\n${name}: ${title}`)
  await using system = await startSystem(name, where)
  console.log(`two nodes behind ${system.url}, the outside service at ${system.service}\n`)
  const held = await runClient(name, ['--url', system.url, '--service', system.service])
  // Where `durable()` finds that a handler does not repeat itself, an example is no example.
  const unrepeatable = system.complaints().includes('not repeatable')
  if (!held || unrepeatable) console.error(`\nthe nodes said:\n${system.complaints()}`)
  return held && !unrepeatable
}

async function runClient(name: string, flags: readonly string[]): Promise<boolean> {
  const file = fileURLToPath(new URL(`../../dist/${name}/client.js`, import.meta.url))
  const client = own(spawn(process.execPath, [file, ...flags], { stdio: ['ignore', 'inherit', 'inherit'] }))
  const [code] = (await once(client, 'exit')) as [number | null]
  return code === 0
}
