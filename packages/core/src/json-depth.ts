/** JSON of this depth can still be written, validated and copied by recursive code. */
export const MAX_DEPTH = 500

/** Whether JSON text nests deeper than that many levels, without making anything of it. */
export function nestsDeeper(limit: number, json: string): boolean {
  if (json.length <= 2 * limit || opens(json, limit) <= limit) return false
  let depth = 0
  for (let at = 0; at < json.length; at++) {
    const char = json[at]
    if (char === '"') at = endOfString(json, at)
    else if (char === '}' || char === ']') depth--
    else if ((char === '{' || char === '[') && ++depth > limit) return true
  }
  return false
}

/** Where the string ends that begins there; a quote behind an odd number of backslashes is part of it. */
function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let backslashes = 0
    while (json[end - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return end
  }
  return json.length
}

/** How many objects and arrays begin in it, strings included; no further than is asked for. Searching is much faster than looking at each character. */
function opens(json: string, most: number): number {
  let count = 0
  for (const open of ['{', '['])
    for (let at = json.indexOf(open); at >= 0 && count <= most; at = json.indexOf(open, at + 1)) count++
  return count
}
