import { decodeAbout, isAlive } from '@mcp-durable/core/inspect'
import type { InspectedNode } from '@mcp-durable/core/inspect'
import { placeOf } from '../look/node-names.js'
import type { Privacy } from '../show/privacy.js'
import { count, span } from '../show/text.js'
import { note, ok, risk } from './finding.js'
import type { Finding } from './finding.js'

/** Times across nodes (sleeps, deadlines of questions) are off by as much. */
export const MOST_SKEW_MS = 1000

export type LookedAt = { nodes: readonly InspectedNode[]; leaseMs: number; privacy: Privacy }

export function checkNodes({ nodes, leaseMs, privacy }: LookedAt): Finding[] {
  const alive = nodes.filter((node) => isAlive(node, leaseMs))
  const late = nodes.filter((node) => !node.left && !isAlive(node, leaseMs))
  const name = (node: InspectedNode) => `${placeOf(node.about) ?? 'node'} ${privacy.id(node.node)}`
  const findings = [
    alive.length > 0
      ? ok('nodes', `${count(alive.length, 'node')} with a heartbeat`)
      : note('nodes', 'no node has a heartbeat', {
          risk: 'nobody serves, and nobody takes over what was left',
        }),
  ]
  const servers = new Set(alive.flatMap(({ about }) => decodeAbout(about ?? '')?.server ?? []))
  if (servers.size > 1) {
    findings.push(
      risk('servers', [...servers].join(', '), {
        risk: 'different servers under one name are kept apart only by what they call themselves',
        fix: "give each its own name: durable({ name: 'orders', … })",
      }),
    )
  }
  if (late.length > 0) {
    const names = late.map((node) => `${name(node)}, silent for ${span(node.lateMs)}`)
    findings.push(
      risk('nodes without heartbeat', names.join('; '), {
        risk: 'its calls wait until another node takes them over',
        fix:
          alive.length > 0
            ? 'look at that process; the other nodes take its calls over after their lease'
            : 'start a node: it takes the calls over within seconds',
      }),
    )
  }
  return findings
}

/** How far the nodes' clocks are from the one that heartbeats and journals are measured by. */
export function checkClocks({ nodes, leaseMs, privacy }: LookedAt, clockOf: string): Finding[] {
  const skews = nodes
    .filter((node) => isAlive(node, leaseMs))
    .flatMap((node) => {
      const clock = node.about === undefined ? undefined : decodeAbout(node.about)?.clock
      return clock === undefined ? [] : [{ node, ms: clock - node.beatAt }]
    })
  const off = skews.filter(({ ms }) => Math.abs(ms) > MOST_SKEW_MS)
  const worst = Math.max(0, ...skews.map(({ ms }) => Math.abs(ms)))
  return [
    ...off.map(({ node, ms }) =>
      risk(
        'clock of a node',
        `${placeOf(node.about)} ${privacy.id(node.node)} is ${span(Math.abs(ms))} ${ms > 0 ? 'ahead of' : 'behind'} ${clockOf}`,
        {
          risk: 'sleeps and deadlines that another node takes over end early or late by as much',
          fix: 'timedatectl set-ntp true, on that machine',
        },
      ),
    ),
    ...(off.length === 0 && skews.length > 0
      ? [ok('clocks', `nodes within ${span(worst)} of ${clockOf}`)]
      : []),
  ]
}
