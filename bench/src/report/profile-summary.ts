import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'

type Profile = {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  samples: number[]
  timeDeltas: number[]
}

const LAYERS = 14
const FUNCTIONS = 20
const IDLE = '(idle)'

/** Where the time of a CPU profile went: by layer, then by function, in percent of the time that was not idle. */
export async function summaryOf(file: string): Promise<string[]> {
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(file, 'utf8')) as Profile
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const layers = new Map<string, number>()
  const functions = new Map<string, number>()
  let busy = 0
  for (const [index, id] of samples.entries()) {
    const frame = frames.get(id)
    const time = timeDeltas[index] ?? 0
    if (!frame || frame.functionName === IDLE) continue
    const layer = layerOf(frame.url, frame.functionName)
    const name = `${frame.functionName || '(anonymous)'} ${layer} ${placeOf(frame)}`
    busy += time
    layers.set(layer, (layers.get(layer) ?? 0) + time)
    functions.set(name, (functions.get(name) ?? 0) + time)
  }
  const most = (times: Map<string, number>, count: number) =>
    [...times]
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, count)
      .map(([name, time]) => `  ${((time / busy) * 100).toFixed(1).padStart(5)} %  ${name}`)
  return [`${basename(file)}: self time`, ...most(layers, LAYERS), '  ·', ...most(functions, FUNCTIONS)]
}

/** A package, a folder of our own, or a part of Node.js. */
function layerOf(url: string, functionName: string): string {
  if (url === '') return functionName.startsWith('(') ? functionName : '(native)'
  if (url.startsWith('node:')) return url.split('/').slice(0, 2).join('/')
  const [, own] = /\/packages\/(core\/dist\/[^/]+|redis-store)(?:\/|$)/.exec(url) ?? []
  if (own !== undefined) return own.replace('/dist', '').replace(/\.js$/, '')
  const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? []
  return name ?? 'bench'
}

const placeOf = ({ url, lineNumber }: { url: string; lineNumber: number }) =>
  url === '' ? '' : `${basename(url)}:${lineNumber + 1}`
