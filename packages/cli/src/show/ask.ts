import { createInterface } from 'node:readline/promises'
import { CliError } from '../errors.js'
import { render } from './line.js'

/** Asks a person; anything but yes means no. */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new CliError(`${question} Nobody is here to ask.`, ['--yes answers for you.'])
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await asking.question(render([`${question} [y/N] `], { color: false }))
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    asking.close()
  }
}
