import { createDecipheriv, hash, hkdfSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { LeastUsed } from '../../src/seal/least-used.js'
import { entryPlace, logPlace, mapPlace, valuePlace } from '../../src/seal/places.js'
import { Seals } from '../../src/seal/seals.js'
import { memoryStore } from '../../src/index.js'

const seals = new Seals({ keys: [Buffer.alloc(32, 7)], secrets: memoryStore() })
const secret = { name: 'abcdefghijklmnop123456', bytes: Buffer.alloc(32, 9) }
const place = entryPlace('a scope', 'call:c', '5-2')
const log = logPlace('a scope', 'call:c')

test('what the first version has sealed is opened, and a claim is sealed to the same bytes', () => {
  seals.held.set(secret.name, secret)
  const claim = 'sealed:1:b3414440:l:nFF0IBHWt+rsT3SJ7zW4xvsOyfgJ5zP0Mn8zUqChTI8ljTw='
  const claimOfSomebody =
    'sealed:1:b3414440:l:abcdefghijklmnop123456:OsF6D4i2t5U69XfTMQ/Kn9TgVSv7Flq3i6fefh2b59GVaaw='
  expect(seals.seal(log, 'a claim', { again: true })).toBe(claim)
  expect(seals.seal(log, 'a claim', { again: true, secret })).toBe(claimOfSomebody)
  const kept = [
    ['an entry', 'e:Efy/itBxaHh86LLWTlFjJSvBkAYu0/pNJbmaR2dsLaHUM+wG', place],
    ['a value', 'm:rQ9JDMir7LRSOsNoY8XuO2ebym6Dg/ET4Qh49rmPRnkjcL0=', mapPlace('a map', 'é')],
    [
      'a value',
      'v:abcdefghijklmnop123456:hBzNIwduuKvwR6Ggr6xjJxPEta6yq5OqmRb758hY6gRAbrc=',
      valuePlace('a scope', 'key'),
    ],
  ] as const
  for (const [text, sealed, where] of kept)
    expect(seals.open(`sealed:1:b3414440:${sealed}`, where)).toBe(text)
})

test('any program can open a record with HKDF and AES-256-GCM', () => {
  const info = Buffer.from(hash('sha256', 'mcp-durable seal 1\0scope a scope', 'hex'), 'hex')
  const key = Buffer.from(hkdfSync('sha256', Buffer.alloc(32, 7), '', info, 32))
  const nonces = new Set<string>()
  for (const text of ['', 'x', 'déjà vu 🦓', 'long '.repeat(20_000), ...Array<string>(600).fill('often')]) {
    const sealed = seals.seal(place, text)
    expect(seals.open(sealed, place)).toBe(text)
    const bytes = Buffer.from(sealed.slice('sealed:1:b3414440:e:'.length), 'base64')
    nonces.add(bytes.toString('hex', 0, 12))
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
    decipher.setAAD(Buffer.from('["e","call:c","5-2"]')).setAuthTag(bytes.subarray(-16))
    const opened = [decipher.update(bytes.subarray(12, -16)), decipher.final()]
    expect(Buffer.concat(opened).toString()).toBe(text)
  }
  expect(nonces.size).toBe(604)
})

test('what is used stays, and there is never more than was allowed', () => {
  const kept = new LeastUsed<number>(10)
  kept.set('used', 0)
  for (let n = 1; n < 1000; n++) {
    kept.set(`other ${n}`, n)
    expect(kept.get('used')).toBe(0)
  }
  const others = Array.from({ length: 999 }, (_, n) => `other ${n + 1}`)
  const left = others.filter((name) => kept.get(name) !== undefined)
  expect(left.length).toBeLessThan(10)
  expect(left).toContain('other 999')
  kept.delete('used', 1)
  expect(kept.get('used')).toBe(0)
  kept.delete('used')
  expect(kept.get('used')).toBeUndefined()
})
