import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'

type Frame = { functionName: string; url: string; lineNumber: number }
type Profile = { nodes: { id: number; callFrame: Frame }[]; samples: number[]; timeDeltas: number[] }

/** Where the time of a CPU profile went, by layer and by function, each as a share of the time that was not idle. */
export type SelfTimes = { layers: Map<string, number>; functions: Map<string, number> }

/** Not the work of the process: waiting, and the profiler itself, which is started through the inspector. */
const NO_WORK = new Set(['(idle)', 'dispatch'])
const LAYERS_SHOWN = 14
const FUNCTIONS_SHOWN = 20

export async function selfTimes(file: string): Promise<SelfTimes> {
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(file, 'utf8')) as Profile
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const layers = new Map<string, number>()
  const functions = new Map<string, number>()
  let busy = 0
  for (const [index, id] of samples.entries()) {
    const frame = frames.get(id)
    const time = timeDeltas[index] ?? 0
    if (!frame || (frame.url === '' && NO_WORK.has(frame.functionName))) continue
    busy += time
    add(layers, layerOf(frame), time)
    add(functions, nameOf(frame), time)
  }
  return { layers: shares(layers, busy), functions: shares(functions, busy) }
}

export async function describeProfile(file: string): Promise<string[]> {
  const { layers, functions } = await selfTimes(file)
  const most = (times: Map<string, number>, count: number) =>
    [...times].slice(0, count).map(([name, share]) => `${(share * 100).toFixed(1).padStart(6)} %  ${name}`)
  return [
    `${basename(file)}: self time`,
    ...most(layers, LAYERS_SHOWN),
    '     ·',
    ...most(functions, FUNCTIONS_SHOWN),
  ]
}

/** A package, a folder of our own, or a part of Node.js. */
function layerOf({ url, functionName }: Frame): string {
  if (url === '') return functionName === '(garbage collector)' ? 'garbage collector' : 'Node.js: native'
  if (url.startsWith('node:')) return `Node.js: ${partOf(url)}`
  const [, own] = /\/packages\/(core\/dist\/\w+|redis-store)/.exec(url) ?? []
  if (own !== undefined) return own.replace('/dist', '')
  const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? []
  return name ?? 'bench'
}

const PARTS = [
  ['web streams', /webstreams/],
  ['Request, Response, Headers', /deps\/undici|abort_controller|worker\/js_transferable/],
  ['HTTP', /_http/],
  ['async context', /async_hooks/],
  ['sockets and streams', /stream|net$|timers|events/],
] as const

function partOf(url: string): string {
  const [name] = PARTS.find(([, pattern]) => pattern.test(url)) ?? ['the rest']
  return name
}

function nameOf(frame: Frame): string {
  const place = frame.url === '' ? '' : ` ${basename(frame.url)}:${frame.lineNumber + 1}`
  return `${frame.functionName || '(anonymous)'} ${layerOf(frame)}${place}`
}

function add(times: Map<string, number>, name: string, time: number) {
  times.set(name, (times.get(name) ?? 0) + time)
}

const shares = (times: Map<string, number>, all: number) =>
  new Map([...times].toSorted((a, b) => b[1] - a[1]).map(([name, time]) => [name, time / all]))
