import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

type Version = { dist: { tarball: string; integrity: string; shasum: string } }
type Document = {
  name: string
  'dist-tags': Record<string, string>
  versions: Record<string, Version>
  _attachments?: Record<string, { data: string }>
}

/**
 * A registry of npm on loopback, empty at first, for one scope: `npm publish` fills it, and every package manager installs from it.
 * Other packages come from the registry that the machine has.
 */
export class Registry implements AsyncDisposable {
  readonly #server: Server
  readonly #documents = new Map<string, Document>()
  readonly #files = new Map<string, Buffer>()

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  static async start(): Promise<Registry> {
    const registry = new Registry()
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve))
    return registry
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  /** What was published, `name@version`, in that order. */
  get published(): string[] {
    return [...this.#documents.values()].flatMap(({ name, versions }) =>
      Object.keys(versions).map((version) => `${name}@${version}`),
    )
  }

  async #serve(request: IncomingMessage, response: ServerResponse) {
    try {
      const { status = 200, body } = await this.#answer(request)
      const type = Buffer.isBuffer(body) ? 'application/octet-stream' : 'application/json'
      response.writeHead(status, { 'content-type': type })
      response.end(Buffer.isBuffer(body) ? body : JSON.stringify(body))
    } catch (error) {
      response.writeHead(500).end(JSON.stringify({ error: String(error) }))
    }
  }

  async #answer(request: IncomingMessage): Promise<{ status?: number; body: unknown }> {
    const path = decodeURIComponent(new URL(request.url ?? '/', this.url).pathname).slice(1)
    if (request.method === 'PUT') return this.#publish((await json(request)) as Document)
    const found = this.#files.get(path) ?? this.#documents.get(path)
    return found ? { body: found } : { status: 404, body: { error: `no ${path} here` } }
  }

  #publish({ _attachments: files = {}, ...document }: Document) {
    const known = this.#documents.get(document.name)
    for (const [version, manifest] of Object.entries(document.versions)) {
      if (known?.versions[version]) return { status: 403, body: { error: `${version} is there already` } }
      const [file] = Object.values(files)
      const content = Buffer.from(file?.data ?? '', 'base64')
      const path = `${document.name}/-/${version}.tgz`
      const digest = (algorithm: string, as: 'base64' | 'hex') =>
        createHash(algorithm).update(content).digest(as)
      this.#files.set(path, content)
      manifest.dist = {
        tarball: this.url + path,
        integrity: `sha512-${digest('sha512', 'base64')}`,
        shasum: digest('sha1', 'hex'),
      }
    }
    const versions = { ...known?.versions, ...document.versions }
    this.#documents.set(document.name, { ...document, versions })
    return { status: 201, body: { ok: true } }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
