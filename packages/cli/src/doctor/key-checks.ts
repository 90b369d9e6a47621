import type { KeyPlace, RedisInspection, SurveyedKey } from '@mcp-durable/redis-store/inspect'
import type { Privacy } from '../show/privacy.js'
import { quoted } from '../show/shell.js'
import { bytes, count } from '../show/text.js'
import { note, ok, risk } from './finding.js'
import type { Finding } from './finding.js'

/** A session that is larger holds up its slot when it is read or deleted. */
const LARGE = 16 * 1024 ** 2
const LISTED = 3
const PER_SCOPE = 'memory per session, or call without one'
/** Maps are for ever. */
const LASTING = new Set<KeyPlace['kind']>(['map', 'map-values'])

/** Goes through the keys, at most so many: who never expires, and how much memory sessions and calls take. */
export async function checkKeys(
  inspect: RedisInspection,
  { most, prefix, privacy }: { most: number; prefix: string; privacy: Privacy },
): Promise<Finding[]> {
  const survey = new KeySurvey()
  for await (const page of inspect.survey.keys()) {
    for (const key of page) survey.add(key)
    if (survey.keys >= most) break
  }
  const part = survey.keys >= most ? `, among the first ${survey.keys} keys` : ''
  return [
    checkLasting(survey.lasting, part),
    ...(survey.unknown.length > 0
      ? [
          note('keys of others', `${examples(survey.unknown)} begin with ${prefix}: too${part}`, {
            risk: 'another program, or another version, uses the same prefix',
          }),
        ]
      : []),
    ...(survey.names.size > 0
      ? [
          note(
            'names',
            `servers with a name, to be looked at with --name: ${examples([...survey.names])}${part}`,
          ),
        ]
      : []),
    ...survey.memory(privacy, part),
  ]
}

function checkLasting(keys: readonly string[], part: string): Finding {
  if (keys.length === 0) return ok('expiry', `every key that should expire does${part}`)
  return risk('expiry', `${count(keys.length, 'key')} without expiry${part}: ${examples(keys)}`, {
    risk: 'they stay for ever and fill the memory; something else than the library has written or changed them',
    fix: `redis-cli EXPIRE ${quoted(keys[0] ?? '')} 86400`,
  })
}

class KeySurvey {
  keys = 0
  readonly lasting: string[] = []
  readonly unknown: string[] = []
  readonly names = new Set<string>()
  readonly #sessions = new Map<string, number>()
  #maps = 0

  add({ key, place, ttlMs, bytes: size }: SurveyedKey) {
    this.keys++
    if (place.kind === 'unknown') return void this.unknown.push(key)
    if (place.kind === 'named') return void this.names.add(place.name)
    if (ttlMs === undefined && !LASTING.has(place.kind)) this.lasting.push(key)
    if ('scope' in place) this.#sessions.set(place.scope, (this.#sessions.get(place.scope) ?? 0) + size)
    if ('map' in place) this.#maps += size
  }

  memory(privacy: Privacy, part: string): Finding[] {
    const maps = this.#maps > 0 ? [note('memory of maps', `${bytes(this.#maps)}${part}`)] : []
    const sizes = [...this.#sessions].toSorted(([, a], [, b]) => b - a)
    const [largest] = sizes
    if (!largest) return maps
    const sum = sizes.reduce((total, [, size]) => total + size, 0)
    const [id, size] = largest
    const found = `${bytes(Math.round(sum / sizes.length))} on average, the largest ${privacy.id(id)} has ${bytes(size)}${part}`
    if (size < LARGE) return [ok(PER_SCOPE, found), ...maps]
    return [
      risk(PER_SCOPE, found, {
        risk: 'it is in one slot: reading or deleting it holds up everything else there',
        fix: `mcp-durable tail ${quoted(privacy.id(id))} shows what it holds`,
      }),
      ...maps,
    ]
  }
}

const examples = (keys: readonly string[]) =>
  keys.slice(0, LISTED).join(', ') + (keys.length > LISTED ? ', …' : '')
