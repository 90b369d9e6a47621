/**
 * Whatever acts on a terminal, or hides in one: controls (ESC, BEL, CR, line feeds, the C1 set), what turns the direction
 * of writing, what has no width, and halves of surrogate pairs.
 */
const ACTING = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu
const SHORT: Record<string, string> = { '\n': String.raw`\n`, '\r': String.raw`\r`, '\t': String.raw`\t` }

/**
 * Text from elsewhere as a terminal may get it: on one line, each acting character as JSON would escape it (`\u001b`).
 * JSON that went through here is the same JSON. Text that went through twice is as after once.
 */
export const escapeControls = (text: string) =>
  text.replace(ACTING, (character) => SHORT[character] ?? codeUnits(character))

const codeUnits = (character: string) =>
  Array.from({ length: character.length }, (_, i) => {
    return `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  }).join('')
