import { expect, test } from 'vitest'
import { parseUrl } from '../src/parse-url.js'

test('a URL with other letters is one, however often it is asked for', () => {
  const others = Array.from({ length: 100_000 }, () => parseUrl('https://bücher.example/ä')?.href)
  expect(new Set(others)).toEqual(new Set(['https://xn--bcher-kva.example/%C3%A4']))
  expect(parseUrl('/b', new URL('https://example.com/a'))?.href).toBe('https://example.com/b')
  expect(parseUrl('no URL')).toBeUndefined()
})
