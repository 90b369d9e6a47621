/**
 * `undefined`: it is no URL. Not `URL.canParse()`: in Node.js 20 and 22 that refuses what has letters such as `ü`, once it has been called
 * so often that V8 optimizes the call.
 */
export function parseUrl(text: string, base?: URL): URL | undefined {
  try {
    return new URL(text, base)
  } catch {
    return undefined
  }
}
