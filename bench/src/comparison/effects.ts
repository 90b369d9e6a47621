import { appendFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** An effect in the world: one line in the ledger, with half of its time before it and half behind. */
export async function charge(ledger: string, step: number, ms: number): Promise<number> {
  await sleep(ms / 2)
  // One write in append mode: lines of several processes do not mix.
  appendFileSync(ledger, `charge-${step}\n`)
  await sleep(ms / 2)
  return step
}

/** Each time that an effect has happened, the oldest first. */
export async function effectsIn(ledger: string): Promise<string[]> {
  const text = await readFile(ledger, 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}
