import { decodeAbout, isAlive, sealOf } from '@mcp-durable/core/inspect'
import type { Inspection } from '@mcp-durable/core/inspect'
import { placeOf } from '../look/node-names.js'
import { count } from '../show/text.js'
import { note, ok, risk } from './finding.js'
import type { Finding } from './finding.js'
import type { LookedAt } from './node-checks.js'

/** Of sessions, calls, states, and maps, so many are looked at: the newest, or any. */
const SAMPLED = 50
const PER_MAP = 5

/** Whether what is in the store is sealed, where nodes seal, and with keys that somebody has. Looks at a few records of everything. */
export async function checkSealing(
  inspect: Inspection,
  { nodes, leaseMs, privacy, keyIds }: LookedAt & { keyIds: readonly string[] | undefined },
): Promise<Finding[]> {
  const alive = nodes.filter((node) => isAlive(node, leaseMs))
  const sealing = alive.map((node) => ({ node, keys: decodeAbout(node.about ?? '')?.sealKeys ?? [] }))
  const known = new Set([...(keyIds ?? []), ...sealing.flatMap(({ keys }) => keys)])
  const ids = await sampled(inspect)
  const plain = ids.filter((id) => id === undefined).length
  const unknown = ids.filter((id) => id !== undefined && !known.has(id))
  if (known.size === 0 && unknown.length === 0) return []
  const looked = `of ${count(ids.length, 'record')} that were looked at`
  const findings: Finding[] = []
  const open = sealing.filter(({ keys }) => keys.length === 0)
  if (open.length > 0 && open.length < sealing.length) {
    const names = open.map(({ node }) => `${placeOf(node.about) ?? 'node'} ${privacy.id(node.node)}`)
    findings.push(
      risk('nodes that do not seal', names.join('; '), {
        risk: 'what they write can be read by whoever reads the store, and they can not read what the others write',
        fix: 'give every node the same keys: durable({ seal: { keys: [current, …older] } })',
      }),
    )
  }
  if (known.size > 0 && plain > 0) {
    findings.push(
      note('records that are not sealed', `${plain} ${looked}`, {
        risk: 'they are from before sealing, or of somebody without a key: whoever reads the store, or a backup, reads them',
        fix: 'mcp-durable reseal --key-file FILE seals states and maps; the rest goes with its sessions and calls',
      }),
    )
  }
  if (unknown.length > 0) {
    const names = [...new Set(unknown)].map((id) => (id === '' ? 'unreadable' : `key ${id}`)).join(', ')
    const found = `${unknown.length} ${looked}: ${names}`
    const whose = alive.length > 0 || keyIds !== undefined
    const fix =
      alive.length > 0
        ? 'put that key behind the current one on every node: seal: { keys: [current, …older] }'
        : 'mcp-durable doctor --key-file FILE, with the keys of the nodes'
    findings.push(
      whose
        ? risk('sealed with another key', found, {
            risk: 'nobody who was asked has that key: sessions get 503, and calls wait for a node that has it',
            fix,
          })
        : note('sealed', found, { fix }),
    )
  }
  return findings.length > 0 || ids.length === 0
    ? findings
    : [ok('sealing', `${count(ids.length, 'record')} looked at, all sealed with keys that are there`)]
}

/** The ids of the keys that a few records are sealed with; `undefined` for one that is not sealed. */
async function sampled({ sessions, calls, logs, maps }: Inspection): Promise<(string | undefined)[]> {
  const texts: string[] = []
  const add = (records: readonly { data: string }[]) => texts.push(...records.map(({ data }) => data))
  for (const id of await sessions.newest(SAMPLED)) {
    add(await sessions.state(id))
    add(await logs.newest(id, 'out', 1))
  }
  for (const { scope, callId } of await first(calls.all())) {
    add(await logs.read(scope, `call:${callId}`, undefined, 1))
    add(await logs.newest(scope, `call:${callId}`, 1))
  }
  for (const scope of await first(sessions.stateful())) add(await sessions.values(scope))
  for (const name of (await maps.names()).slice(0, SAMPLED)) {
    const entries = await maps.read(name, { limit: PER_MAP })
    texts.push(...entries.map(([, value]) => value))
  }
  return texts.map((text) => sealOf(text))
}

async function first<T>(pages: AsyncIterable<T[]>): Promise<T[]> {
  const found: T[] = []
  for await (const page of pages) {
    found.push(...page)
    if (found.length >= SAMPLED) break
  }
  return found.slice(0, SAMPLED)
}
