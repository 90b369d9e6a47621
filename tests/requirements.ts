/**
 * What issue 2 promises, as data. A test cites the ids it holds in its title, such as `[S-3]`; a requirement that no
 * test cites fails `requirements.test.ts`. `source` is a part of the issue, or a section of the specification 2025-11-25.
 */
export interface Requirement {
  text: string
  source: string
}

const user = 'issue 2, What a user gets'
const store = 'issue 2, part 2'
const sessions = 'issue 2, part 3'
const calls = 'issue 2, part 4'
const across = 'issue 2, part 5'
const guard = 'issue 2, part 6'
const musts = 'issue 2, Tests that must exist'
const bad = 'issue 2, Bad input'
const transports = 'specification 2025-11-25, Transports: Streamable HTTP'

const requirement = (text: string, ...source: string[]): Requirement => ({ text, source: source.join('; ') })

export const requirements: Record<string, Requirement> = {
  'U-1': requirement('mounts in Hono', user),
  'U-2': requirement('mounts in Express 5', user),
  'U-3': requirement('mounts in Express 4', user),
  'U-4': requirement('mounts in plain Node', user),
  'U-5': requirement('serves anything that speaks Request and Response', user),
  'U-6': requirement(
    'close({ graceMs }) lets running calls end, refuses new requests, ends streams gracefully',
    user,
  ),
  'U-7': requirement(
    'the factory is called once per session and node, with session id, client info and principal',
    user,
  ),
  'U-8': requirement('server objects of both majors of the SDK connect the same way', user),
  'U-9': requirement(
    'tools, prompts, resources, completions, logging, questions, progress, cancellation unchanged',
    user,
  ),
  'U-10': requirement('auth info of a middleware reaches handlers as extra.authInfo, in every adapter', user),
  'U-11': requirement('the access token is not stored unless keepToken says so', user),
  'U-12': requirement(
    'without a store an in-memory one serves, and one line on the log says what it does not survive',
    user,
  ),

  'D-1': requirement('the store contract holds for the in-memory store', store),
  'D-2': requirement('the store contract holds for a real Redis', store),
  'D-3': requirement('the store contract holds for a real 3-master Redis Cluster', store),
  'D-4': requirement('every operation ends within its deadline, with a typed error', store),

  'S-1': requirement('a session begins with initialize and is named by Mcp-Session-Id', sessions, transports),
  'S-2': requirement('a session ends after sessionTtlMs without use', sessions, musts),
  'S-3': requirement('use, and an open stream or call, slides the expiry', sessions),
  'S-4': requirement('a session is rebuilt on any node', sessions),
  'S-5': requirement('the log level holds on every node', sessions),
  'S-6': requirement('subscriptions hold on every node', sessions),
  'S-7': requirement('idle server objects leave memory while streams stay open', sessions),
  'S-8': requirement('the number of server objects in memory has a cap', sessions),
  'S-9': requirement('DELETE ends a session on every node', sessions, transports),
  'S-10': requirement('a node notices state changed on another before it serves the next request', sessions),
  'S-11': requirement('an unknown or deleted session is answered with 404', sessions, transports),
  'S-12': requirement('a missing session id is answered with 400', sessions, transports),
  'S-13': requirement('sessions survive the restart of all nodes', sessions, across),
  'S-14': requirement('a rolling restart goes unnoticed by a client that keeps calling', user, sessions),

  'C-1': requirement(
    'tools/call is journaled before it runs; its stream begins with a priming event and retry',
    calls,
  ),
  'C-2': requirement(
    'other requests are answered with JSON and become streams when they send first or take long',
    calls,
  ),
  'C-3': requirement('a POST that repeats a call still running attaches to it', calls),
  'C-4': requirement('any stream of a call resumes on any node, from each of its events', calls, musts),
  'C-5': requirement('the standalone stream resumes on any node', calls),
  'C-6': requirement('a resumed stream goes on live after the replay', calls),
  'C-7': requirement('a resumed stream shows the events of that stream only', calls, transports),
  'C-8': requirement('204 past the end of a stream', calls, musts),
  'C-9': requirement('a clear error, never a silent gap, when events were trimmed or have expired', calls),
  'C-10': requirement(
    'events stay readable for resumeWindowMs; the standalone stream keeps maxStandaloneEvents',
    calls,
  ),
  'C-11': requirement('batches of protocol 2025-03-26', calls),
  'C-12': requirement('every protocol version the SDK negotiates; priming from 2025-11-25 on only', calls),
  'C-13': requirement('a resumed GET begins with an event that echoes the cursor', musts, 'facts.md'),
  'C-14': requirement(
    'a question is asked once although the client reconnects while it is pending',
    musts,
    'facts.md',
  ),
  'C-15': requirement(
    'a result is delivered once although the node was killed between its append and its write',
    musts,
  ),
  'C-16': requirement(
    'a node killed after a message was appended and before it was written loses no message',
    calls,
  ),
  'C-17': requirement('a node killed before the first event has run nothing', calls),
  'C-18': requirement('200 calls at once in one session over two nodes', musts),
  'C-19': requirement('results of 2 MiB', musts),
  'C-20': requirement('ids 0, empty, strings and numbers alike', musts),
  'C-21': requirement('a client stops reconnecting after an error response', calls, 'facts.md'),

  'X-1': requirement('notification to the standalone stream on another node', across),
  'X-2': requirement('notification within a call whose client resumed on another node', across),
  'X-3': requirement('elicitation: question and answer on different nodes', across),
  'X-4': requirement('sampling: question and answer on different nodes', across),
  'X-5': requirement('roots: question and answer on different nodes', across),
  'X-6': requirement('notifications/cancelled arriving on another node aborts the handler', across),
  'X-7': requirement('client progress on a question, arriving on another node', across),
  'X-8': requirement('tools/list_changed to a stream on another node', across),
  'X-9': requirement('roots/list_changed reaches the server object on another node', across),
  'X-10': requirement('resource updated after subscribing elsewhere', across),
  'X-11': requirement('mcp.notify on a node that has neither the session nor its stream', across),
  'X-12': requirement('mcp.broadcast reaches every session on every node', across),
  'X-13': requirement('a standalone message without an open GET waits for the next one', across),
  'X-14': requirement('a newer GET replaces an older one on another node', across),
  'X-15': requirement('a question that belongs to no call: asked and answered on different nodes', across),

  'G-1': requirement('a foreign Origin is answered with 403', guard, `${transports}, Security Warning`),
  'G-2': requirement('a foreign Host is answered with 403', guard),
  'G-3': requirement(
    'Accept must name both types for POST, text/event-stream for GET (406)',
    guard,
    transports,
  ),
  'G-4': requirement('Content-Type must be application/json (415)', guard),
  'G-5': requirement('a body above the limit is answered with 413', guard),
  'G-6': requirement(
    'an unsupported MCP-Protocol-Version is answered with 400',
    guard,
    `${transports}, Protocol Version Header`,
  ),
  'G-7': requirement('what is no JSON-RPC message is answered with its error', guard),
  'G-8': requirement('session ids have 128 random bits', guard),
  'G-9': requirement(
    'a foreign principal gets 404 on POST, GET and DELETE, and nothing is read or enqueued',
    guard,
    musts,
  ),
  'G-10': requirement('the binding to a principal survives a token refresh', guard),
  'G-11': requirement('caps on open calls, open streams and sessions of a principal (429)', guard),
  'G-12': requirement('a slow reader is bounded, ended gracefully, and resumes without loss', guard, musts),
  'G-13': requirement('keep-alive comments on idle streams', guard),
  'G-14': requirement('the log never shows session ids, tokens or payloads in full', guard),
  'G-15': requirement(
    'with the store down: 503, Retry-After and a JSON-RPC error at once, nothing half-done',
    guard,
  ),
  'G-16': requirement('service resumes by itself when the store is back', guard, musts),

  'R-1': requirement(
    'Redis killed and restarted (AOF always) under load: nothing acknowledged is lost',
    musts,
  ),
  'R-2': requirement(
    'calls that run while Redis is away go on, and deliver their results',
    guard,
    'design.md',
  ),
  'R-3': requirement('sessions over all masters of a Redis Cluster work end to end', store, musts),
  'R-4': requirement(
    'a master of the Cluster fails over: its sessions resume, the others never notice',
    musts,
  ),

  'B-1': requirement(
    'every wrong thing gets the status and JSON-RPC error of the specification, and nothing is stored',
    bad,
  ),
  'B-2': requirement('no input yields a 500, a crash, a hang or another session’s event (fuzz)', bad),

  'E-1': requirement('single-node asserts and exits non-zero on failure', 'issue 2, part 7'),
  'E-2': requirement(
    'round-robin-lb streams SSE and tries the next backend when one refuses',
    'issue 2, part 7',
  ),
  'E-3': requirement('continue-session goes on with an existing session against any node', 'issue 2, part 7'),
  'E-4': requirement('resumability walks through a resumption', 'issue 2, part 7'),
  'E-5': requirement('everything serves through each of the three adapters', 'issue 2, part 7'),
  'I-1': requirement('a handler of this process is served unchanged, on any node', 'issue 5'),
  'I-2': requirement('a server behind a URL is served unchanged, with one session for all nodes', 'issue 5'),
  'I-3': requirement('a node dies in a call of an upstream: the upstream ends it, once', 'issue 5'),
  'I-4': requirement('an upstream that dies: its session comes back, its calls end by the policy', 'issue 5'),
  'I-5': requirement(
    'an upstream that can’t be reached: 502 for new requests, a grace for running ones',
    'issue 5',
  ),
  'I-6': requirement('servers not written here work unchanged', 'issue 5'),
  'I-7': requirement('the EventStore of the SDK: exact, ordered, isolated by session', 'issue 5'),
  'I-8': requirement(
    'an upstream’s refusals, redirects and certificates: the client is told, and nothing leaks',
    'issue 5',
  ),
  'I-9': requirement('a server that is not JavaScript works behind the proxy', 'issue 5'),
  'I-10': requirement(
    'whatever a server behind the nodes answers is an error to one request: no process ends, no call hangs',
    'issue 15',
  ),
  'I-11': requirement(
    'a session is given out only to a caller whom the server behind the nodes has let in',
    'issue 15',
  ),

  'N-1': requirement('every key that a script touches is given to it', 'issue 19, part 4'),
  'N-3': requirement(
    'what is acknowledged as on the disk, or with replicas, is there; where it can not be, that is said and nothing is run',
    'issue 19, part 4',
  ),
  'N-4': requirement('the store contract holds on each engine that is here', 'issue 19, part 4'),
  'N-2': requirement(
    'where sharded pub/sub is missing, nodes wake each other in another way',
    'issue 19, part 4',
  ),

  'E-6': requirement('npm run demo exits 0 only if all held, with and without Redis', 'issue 2, part 8'),
}
