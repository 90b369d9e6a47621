/** What may be seen of a message that can't be read, because it is no JSON or because only its ends are there. */

const ID = String.raw`"id"\s*:\s*(\d+)`
const VERSION = String.raw`"jsonrpc"\s*:\s*"2\.0"`
const FIRST = new RegExp(String.raw`^\s*\{\s*(?:${VERSION}\s*,\s*)?${ID}`)
const LAST = new RegExp(String.raw`${ID}\s*(?:,\s*${VERSION}\s*)?\}\s*$`)
const METHOD = new RegExp(String.raw`^\s*\{\s*(?:${VERSION}\s*,\s*)?(?:"id"\s*:[^,]*,\s*)?"method"\s*:`)

/** Numbers that stand where the id of a message does. */
export const idsIn = (text: string): number[] =>
  METHOD.test(text) ? [] : [FIRST, LAST].flatMap((id) => Number(id.exec(text)?.[1] ?? Number.NaN))

/** Whether it answers nothing: it is a notification or a question. */
export const isNoAnswer = (text: string) => METHOD.test(text)

/** Whether it was to be a message, whose content is nobody else's. */
export const isMeantAsMessage = (text: string) => /^\s*[{[]/.test(text)
