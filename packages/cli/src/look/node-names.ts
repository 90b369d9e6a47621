import { decodeAbout } from '@mcp-durable/core/inspect'
import type { Inspection } from '@mcp-durable/core/inspect'
import type { Privacy } from '../show/privacy.js'

/** What to call a node: where it runs, if it still says so, and its id. */
export type NodeNames = (node: string) => string

export async function readNodeNames(inspect: Inspection, privacy: Privacy): Promise<NodeNames> {
  const nodes = await inspect.nodes.list()
  const places = new Map(nodes.map(({ node, about }) => [node, placeOf(about)]))
  return (node) => {
    const place = places.get(node)
    return place === undefined ? privacy.id(node) : `${place} ${privacy.id(node)}`
  }
}

/** `host:pid` */
export function placeOf(about: string | undefined): string | undefined {
  const known = about === undefined ? undefined : decodeAbout(about)
  return known && `${known.host}:${known.pid}`
}
