import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { listCalls } from '@mcp-durable/core/inspect'
import { parseRecordedCall } from '@mcp-durable/core/testing'
import type { RecordedCall } from '@mcp-durable/core/testing'
import type { Command } from '../command.js'
import { timeOption } from '../command-line.js'
import type { Context } from '../context.js'
import { asCliError, CliError, messageOf, usageError } from '../errors.js'
import { readRecordedCall } from '../look/recorded-call.js'
import { resolveCall } from '../look/resolve.js'
import { Code } from '../replay/code.js'
import { triedJson, triedLines } from '../replay/show.js'
import type { Tried } from '../replay/show.js'
import { count } from '../show/text.js'

const WITHIN_MS = 10_000

type Wanted = { call: RecordedCall; from: string | undefined }

export const replay: Command = {
  name: 'replay',
  args: 'CALL… --code FILE',
  arity: [0, Number.MAX_SAFE_INTEGER],
  summary:
    'try code against the journals of calls of durable tools, and tell whether it could go on with them',
  details:
    'FILE exports the function that durable({ server }) takes, as `server` or as its default. CALL is one of the store, or a file that\n' +
    'mcp-durable export CALL --show-payloads --full-ids has written. Steps give what is recorded, no body of a step runs, and nothing\n' +
    'is written. What the module and the handler do outside of steps does happen: give no module that listens. What the code\n' +
    'writes goes to standard error. It ends with 0 if all fit, 1 if one does not, and else 2 if one could not be tried.',
  options: {
    code: { type: 'string', value: 'FILE', help: 'the module, which Node.js can import' },
    all: { type: 'boolean', help: 'all open calls of durable tools' },
    within: {
      type: 'string',
      value: 'TIME',
      help: 'how long the code may wait for what is no step (default: 10s)',
    },
  },
  async run(context) {
    try {
      return await tryCalls(context)
    } catch (error) {
      // 1 says of a call that it does not fit.
      const { message, next } = asCliError(error)
      throw new CliError(message, next, { exitCode: 2, cause: error })
    }
  },
}

async function tryCalls(context: Context): Promise<number> {
  const { output, privacy, values } = context
  const { code: file, all } = values
  if (typeof file !== 'string') throw usageError('replay needs --code FILE.', 'replay')
  if ((all === true) === context.args.length > 0)
    throw usageError('replay needs one of: CALLs, --all.', 'replay')
  const withinMs = timeOption(values, 'within') ?? WITHIN_MS
  const wanted = all === true ? await openCalls(context) : await givenCalls(context)
  await using code = new Code(resolve(file), (line) => output.note(`code: ${line}`))
  await code.load()
  const tried: Tried[] = []
  for (const { call, from } of wanted) {
    const one = { callId: call.callId, from, report: reportOf(await code.replay(call, withinMs)) }
    // Of all calls, those that have no steps are nobody's concern.
    if (all === true && one.report.problem?.kind === 'no-steps') continue
    tried.push(one)
    if (!output.json) for (const line of triedLines(one, privacy)) output.line(...line)
  }
  const counts = { fits: 0, differs: 0, untried: 0 }
  for (const { report } of tried) counts[report.verdict]++
  if (output.json) output.document({ ...counts, calls: tried.map((each) => triedJson(each, privacy)) })
  else if (all === true || tried.length > 1) output.line(summary(counts, tried.length))
  return counts.differs > 0 ? 1 : counts.untried > 0 ? 2 : 0
}

async function openCalls(context: Context): Promise<Wanted[]> {
  const { inspect } = await context.connect()
  const { calls } = await listCalls(inspect)
  const read = async (place: (typeof calls)[number]) => ({
    call: await readRecordedCall(inspect, place),
    from: undefined,
  })
  return Promise.all(calls.map(read))
}

async function givenCalls(context: Context): Promise<Wanted[]> {
  const { args, privacy } = context
  const isFile = (arg: string) => /\.jsonl?$|[/\\]/.test(arg)
  const store = args.every(isFile) ? undefined : await context.connect()
  return Promise.all(
    args.map(async (arg) => {
      if (!store || isFile(arg)) return { call: readFile(arg), from: arg }
      const place = await resolveCall(store.inspect, arg, privacy)
      return { call: await readRecordedCall(store.inspect, place), from: undefined }
    }),
  )
}

function readFile(path: string): RecordedCall {
  try {
    return parseRecordedCall(readFileSync(path, 'utf8'))
  } catch (error) {
    const next = ['mcp-durable export CALL --show-payloads --full-ids > FILE writes one.']
    throw new CliError(`${path} can't be tried: ${messageOf(error)}`, next, { exitCode: 2, cause: error })
  }
}

function reportOf(found: Awaited<ReturnType<Code['replay']>>): Tried['report'] {
  if (!('stopped' in found)) return found
  return {
    verdict: 'untried',
    tool: '',
    version: undefined,
    reached: [],
    missing: [],
    next: [],
    end: undefined,
    recordedEnd: undefined,
    sameResult: undefined,
    problem: { kind: 'untried', message: found.stopped },
  }
}

function summary({ fits, differs, untried }: Record<Tried['report']['verdict'], number>, all: number) {
  return `${count(all, 'call')}: ${fits} fit, ${differs} do not, ${untried} could not be tried`
}
