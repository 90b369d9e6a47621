import { checkNames, isList, shown } from './known-options.js'
import { consoleLogger, unfailing } from './logger.js'
import type { Logger } from './logger.js'
import type { CommonOptions, DurableOptions, Served } from './options.js'
import { ERAS } from './protocol.js'
import type { StdioServer } from './proxy/stdio/stdio-process.js'
import { checkQuotas } from './quota-options.js'
import { renamed } from './renamed-options.js'
import { SETTINGS } from './settings.js'
import type { Settings } from './settings.js'
import { parseUrl } from './parse-url.js'

type Other = Exclude<keyof Served | keyof CommonOptions, keyof Settings>
const MIN_KEY_BYTES = 32

type Check = [isRight: (value: unknown) => boolean, right: string]

const isFunction = (value: unknown) => typeof value === 'function'
const isBoolean = (value: unknown) => typeof value === 'boolean'
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
const isHttpUrl = (value: unknown) => {
  const text = typeof value === 'string' || value instanceof URL ? String(value) : ''
  return /^https?:/.test(parseUrl(text)?.protocol ?? '')
}
const isText = (value: unknown) => typeof value === 'string' && value !== '' && !value.includes('\0')
const isCommand = (value: unknown) => {
  const {
    command,
    args = [],
    env = {},
    cwd = '.',
    ...others
  } = (isObject(value) ? value : {}) as Partial<StdioServer>
  return isText(command) && isList(args) && isObject(env) && isText(cwd) && Object.keys(others).length === 0
}
const has = (value: unknown, ...methods: string[]) =>
  isObject(value) && methods.every((name) => isFunction((value as Record<string, unknown>)[name]))

const isGrace = (value: unknown) => {
  const { cancelAfterMs, ...others } = (isObject(value) ? value : {}) as { cancelAfterMs?: unknown }
  return Number.isFinite(cancelAfterMs) && Number(cancelAfterMs) >= 0 && Object.keys(others).length === 0
}

const isVersionPolicy = (value: unknown) => {
  if (value === 'compatible' || value === 'refuse') return true
  const { pinForMs, ...others } = (isObject(value) ? value : {}) as { pinForMs?: unknown }
  return Number.isFinite(pinForMs) && Number(pinForMs) >= 0 && Object.keys(others).length === 0
}

const isMode = (value: unknown) => ['auto', 'always', 'never'].includes(value as string)

const isKey = (value: unknown) =>
  (typeof value === 'string' || value instanceof Uint8Array) && Buffer.byteLength(value) >= MIN_KEY_BYTES

const isLogger = (value: unknown): value is Logger => has(value, 'error', 'warn', 'info', 'debug')

/** What settings don't check: types, and mistakes that would show only later. */
const CHECKS: { [Name in Other]: Check } = {
  server: [isFunction, 'a function that makes a new MCP server object: server: () => createMyServer()'],
  handler: [isFunction, 'a function from a Request to a Response, such as the `fetch` of an application'],
  upstream: [isHttpUrl, 'an http: or https: URL'],
  stdio: [
    isCommand,
    "how its process is started: { command: 'npx', args: ['-y', 'a-server'] }, and `env` and `cwd` if need be",
  ],
  store: [
    (store) => has(store, 'admit', 'openCall', 'appendCall', 'watch'),
    "a store: redisStore(new Redis('redis://HOST:PORT')), with redisStore of @mcp-durable/redis-store and Redis of ioredis",
  ],
  name: [
    (name) => typeof name === 'string' && /^[\w.-]{1,64}$/.test(name),
    "1 to 64 letters, digits, '_', '-' or '.'",
  ],
  eras: [
    (eras) => isList(eras) && eras.length > 0 && eras.every((era) => ERAS.some((one) => one === era)),
    `a list of what is served: ['2025-11-25', '2026-07-28'], or one of them`,
  ],
  onDisconnect: [
    (given) => given === 'cancel' || given === 'finish' || isGrace(given),
    "'cancel', 'finish' or { cancelAfterMs: 5000 }",
  ],
  role: [(role) => ['all', 'serve', 'work'].includes(role as string), "'all', 'serve' or 'work'"],
  version: [
    (version) => typeof version === 'string' && /^[\w.+-]{1,64}$/.test(version),
    "1 to 64 letters, digits, '_', '-', '+' or '.'",
  ],
  whenVersionsDiffer: [isVersionPolicy, "'compatible', 'refuse' or { pinForMs: 600_000 }"],
  tasks: [
    (tasks) => isMode(tasks) || (isObject(tasks) && Object.values(tasks).every(isMode)),
    "'auto', 'always' or 'never', or an object of them by the names of tools",
  ],
  requestStateKeys: [
    (keys) => Array.isArray(keys) && keys.length > 0 && keys.every(isKey),
    'a list of secrets of 32 bytes or more, the newest first',
  ],
  principal: [isFunction, 'a function that returns whose a request is'],
  keepToken: [isBoolean, 'true or false'],
  recover: [isFunction, 'a function that returns whether a call is run again'],
  quotas: [Array.isArray, "a list: [{ tool: 'render', runsAtOnce: 3 }]"],
  passHeaders: [isList, "a list of names of headers: ['authorization']"],
  history: [isObject, "an object: { keep: '30d' }"],
  seal: [isObject, 'an object: { keys: [current, …older] }'],
  logger: [isLogger, 'an object with the methods error, warn, info and debug, as those of pino'],
  on: [isObject, 'an object of functions, by the names of events: { call: (event) => … }'],
  telemetry: [
    (given) => has(given, 'observe'),
    'what telemetry() of @mcp-durable/core/telemetry returns: telemetry: telemetry()',
  ],
}

const NAMES = [...Object.keys(CHECKS), ...SETTINGS]
const EXAMPLE = 'durable() takes options: durable({ server: () => createMyServer(), store })'

/** Returns the options, by their names of today. Throws a `TypeError` that names what is wrong. No value is repeated: an address may hold a password. */
export function checkOptions(given: DurableOptions): DurableOptions {
  if (!isObject(given) || has(given, 'connect'))
    throw new TypeError(
      `${EXAMPLE}; it was given ${has(given, 'connect') ? 'a server object' : shown(given)}.`,
    )
  const logger = unfailing(isLogger(given.logger) ? given.logger : consoleLogger)
  const options = renamed(given, logger)
  checkNames('durable()', options, NAMES)
  for (const [name, [isRight, right]] of Object.entries(CHECKS)) {
    const value: unknown = options[name as Other]
    if (value !== undefined && !isRight(value))
      throw new TypeError(`durable(): \`${name}\` must be ${right}. It is ${shown(value)}.`)
  }
  const { server, handler, upstream, stdio } = options
  const served = [server, handler, upstream, stdio].filter((one) => one !== undefined)
  if (served.length !== 1)
    throw new TypeError('durable(): give exactly one of `server`, `handler`, `upstream` and `stdio`.')
  if ((options.role ?? 'all') !== 'all' && !options.store)
    throw new TypeError('durable(): nodes with a `role` need a `store` that they share.')
  if ((options.whenVersionsDiffer ?? 'compatible') !== 'compatible' && options.version === undefined)
    throw new TypeError('durable(): `whenVersionsDiffer` needs the `version` of your code.')
  checkQuotas(options.quotas)
  return options
}
