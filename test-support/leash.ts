import { spawn, type ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'

// Reads "+ pid" and "- pid"; its input ends when this process does, in whatever way, and then it kills what is left.
const SCRIPT = `
pids=' '
while read -r change pid; do
  if [ "$change" = + ]; then pids="$pids$pid "; else pids="\${pids% $pid *} \${pids#* $pid }"; fi
done
for pid in $pids; do kill -9 "$pid"; done`

let leash: Socket | undefined

/** Makes sure that the child does not outlive this process, even if this one is killed. */
export function leashed(child: ChildProcess): void {
  const input = (leash ??= startLeash())
  input.write(`+ ${child.pid}\n`)
  child.once('exit', () => input.write(`- ${child.pid}\n`))
}

function startLeash(): Socket {
  // Detached, so that a Ctrl-C at the terminal does not end it before its work.
  const shell = spawn('sh', ['-c', SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  const input = shell.stdin as Socket
  shell.unref()
  input.unref()
  return input
}
