import { once } from 'node:events'
import { createServer, request as requestOf } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** What the bench asks one of its processes to do: JSON in, JSON out. */
export type Commands = { [name: string]: (input: never) => unknown }

/** Listens for commands on a port of its own, so that the server which is measured has none of it. Resolves to the URL. */
export async function serveCommands(commands: Commands): Promise<string> {
  const server = createServer((request, response) => {
    const run = async () => {
      const command = commands[(request.url ?? '').slice(1)] as ((input: unknown) => unknown) | undefined
      if (!command) throw new Error(`there is no command ${request.url}`)
      return command(JSON.parse(await text(request)))
    }
    run().then(
      (output) => response.end(JSON.stringify(output ?? null)),
      (error: unknown) => {
        response.statusCode = 500
        response.end(error instanceof Error ? (error.stack ?? error.message) : String(error))
      },
    )
  })
  // Some commands take minutes.
  server.requestTimeout = 0
  server.headersTimeout = 0
  server.keepAliveTimeout = 1000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Throws what the command has thrown. Not `fetch`, which gives up after five minutes. */
export async function sendCommand(url: string, input: unknown): Promise<unknown> {
  const request = requestOf(url, { method: 'POST' })
  request.end(JSON.stringify(input))
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const output = await text(response)
  if (response.statusCode !== 200) throw new Error(output)
  return JSON.parse(output)
}
