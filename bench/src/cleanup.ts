/** What is to be ended, the newest first; `AsyncDisposableStack` for Node.js 20. */
export class Cleanup implements AsyncDisposable {
  readonly #used: AsyncDisposable[] = []

  use<T extends AsyncDisposable>(disposable: T): T {
    this.#used.unshift(disposable)
    return disposable
  }

  async [Symbol.asyncDispose]() {
    for (const disposable of this.#used) await disposable[Symbol.asyncDispose]()
  }
}
