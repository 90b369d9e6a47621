import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { spawnNode } from '../../../test-support/index.js'
import type { NodeProcess } from '../../../test-support/index.js'
import { PROGRAMS } from '../processes.js'
import { ROOT } from '../report/document.js'
import type { Way } from './caller.js'
import { startPython, venv, versionsOf } from './python.js'

/** A server that takes part, in the best way that its own documentation shows. */
export type Contender = {
  name: string
  /** What is pinned of it. */
  versions: string
  way: Way
  /** Path of its endpoint. */
  path: string
  keepsIn: 'redis' | 'file' | 'memory'
  /** Reports its progress on a stream that can be resumed, or else has nothing of the kind to offer. */
  streams: boolean
  start: (port: number, place: string, ledger: string) => Promise<NodeProcess>
}
export type Entry = { name: string; enter: () => Promise<Contender> }
export type Given = { python: string; mcpDb: string | undefined }

const FASTMCP = ['fastmcp==4.1.4', 'fastmcp-tasks==4.1.4', 'pydocket==0.27.0', 'mcp==2.3.0']
const PERSIST = ['mcp-persist[redis]==2.2.0', 'mcp==2.3.0', 'uvicorn==0.35.0']
/** mcp-db is on no registry; these are what its lock file has. */
const OF_MCP_DB = [
  'mcp==1.12.4',
  'anyio==4.10.0',
  'pydantic==2.11.7',
  'redis==6.4.0',
  'starlette==0.47.2',
  'uvicorn==0.35.0',
]

/** All that may take part, in the order of the table. To enter fails with the reason why one can't. */
export const entries = ({ python, mcpDb }: Given): Entry[] => [
  ours('mcp-durable, Redis', { kind: 'durable-redis', keepsIn: 'redis', way: 'session' }),
  ours('mcp-durable, a file', { kind: 'durable-file', keepsIn: 'file', way: 'session' }),
  ours('mcp-durable, Redis, as a task', { kind: 'durable-redis', keepsIn: 'redis', way: 'task' }),
  inNode('SDK 1.x, sessions', {
    kind: 'sdk-1',
    versions: npm('@modelcontextprotocol/sdk'),
    keepsIn: 'memory',
    way: 'session',
    streams: true,
  }),
  inNode('SDK 2.x, no sessions', {
    kind: 'sdk-2',
    versions: npm('@modelcontextprotocol/server'),
    keepsIn: 'memory',
    way: 'sessionless',
    streams: false,
  }),
  {
    name: 'mcp-persist, Redis',
    enter: async () => {
      const own = await venv(python, 'mcp-persist', PERSIST)
      const versions = await versionsOf(own, ['mcp-persist', 'mcp'])
      return inSessions('mcp-persist, Redis', versions, own, 'mcp_persist_server.py')
    },
  },
  {
    name: 'mcp-db, Redis',
    enter: async () => {
      if (mcpDb === undefined)
        throw new Error('it is on no registry; --mcp-db FOLDER names a clone of github.com/bh-rat/mcp-db')
      const own = await venv(python, 'mcp-db', [...OF_MCP_DB, mcpDb])
      const versions = await versionsOf(own, ['mcp-db', 'mcp'])
      return inSessions('mcp-db, Redis', versions, own, 'mcp_db_server.py')
    },
  },
  docket('FastMCP + Docket, redelivery in 10 s', python, ['10']),
  docket('FastMCP + Docket, as it comes', python, []),
]

type InNode = Pick<Contender, 'versions' | 'keepsIn' | 'way' | 'streams'> & { kind: string }

function inNode(name: string, { kind, ...about }: InNode): Entry {
  const start: Contender['start'] = (port, place, ledger) =>
    spawnNode(join(PROGRAMS, 'comparison/server.js'), [kind, String(port), place, ledger], {
      env: { NODE_ENV: 'production' },
    })
  return { name, enter: () => Promise.resolve({ name, path: '/mcp', ...about, start }) }
}

const ours = (name: string, about: Omit<InNode, 'versions' | 'streams'>) =>
  inNode(name, { ...about, versions: npm('@mcp-durable/core'), streams: about.way === 'session' })

const inSessions = (name: string, versions: string, python: string, script: string): Contender => ({
  name,
  versions,
  way: 'session',
  path: '/mcp/',
  keepsIn: 'redis',
  streams: true,
  start: (port, place, ledger) => startPython(python, script, [String(port), place, ledger]),
})

const docket = (name: string, python: string, settings: readonly string[]): Entry => ({
  name,
  enter: async () => {
    const own = await venv(python, 'fastmcp', FASTMCP)
    return {
      name,
      versions: await versionsOf(own, ['fastmcp', 'fastmcp-tasks', 'pydocket', 'mcp']),
      way: 'task',
      path: '/mcp',
      keepsIn: 'redis',
      streams: false,
      start: (port, place, ledger) =>
        startPython(own, 'fastmcp_docket.py', [String(port), place, ledger, ...settings]),
    }
  },
})

/** Name and version of an installed package. */
function npm(name: string): string {
  const require = createRequire(join(ROOT, 'bench/package.json'))
  const [folder] = require.resolve.paths(name) ?? []
  const { version } = JSON.parse(readFileSync(join(folder!, name, 'package.json'), 'utf8')) as {
    version: string
  }
  return `${name} ${version}`
}
