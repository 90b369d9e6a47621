import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The path of a program in Python. */
export const script = (name: string) => fileURLToPath(new URL(`../../python/${name}`, import.meta.url))

/** Throws a text that says how to get it. */
export async function requireFastmcp(python: string): Promise<void> {
  try {
    await promisify(execFile)(python, ['-c', 'import fastmcp, fastmcp_tasks'])
  } catch (error) {
    throw new Error(
      `${python} has no FastMCP with tasks. Install it so that it has (pip install fastmcp==4.1.4 fastmcp-tasks==4.1.4), and name ` +
        'that Python with --python.',
      { cause: error },
    )
  }
}
