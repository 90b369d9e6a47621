import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT } from '../report/document.js'

const BEGIN = '<!-- comparison: written by npm run compare -->'
const END = '<!-- end of comparison -->'
/** Each holds the same table; the first also what it was measured with. */
export const DOCUMENTS = ['docs/comparison.md', 'README.md'].map((file) => join(ROOT, file))

/** The text between the marks of a document, without the lines around it. */
export async function writtenIn(path: string): Promise<string> {
  const { within } = await parts(path)
  return within.trim()
}

export async function writeInto(path: string, text: string): Promise<void> {
  const { before, after } = await parts(path)
  await writeFile(path, `${before}${BEGIN}\n\n${text}\n\n${END}${after}`)
}

async function parts(path: string) {
  const text = await readFile(path, 'utf8')
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${path} has no place for the comparison`)
  return {
    before: text.slice(0, begin),
    within: text.slice(begin + BEGIN.length, end),
    after: text.slice(end + END.length),
  }
}
