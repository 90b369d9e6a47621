import { spawn } from 'node:child_process'
import type { Writable } from 'node:stream'

/**
 * Reads `+ pid` and `- pid`. Its input ends when this process does, in whatever way; then it ends the groups that are left, which need
 * not care that their own input has ended.
 */
const SCRIPT = `
pids=' '
while read -r change pid; do
  case $change in
    +) pids="$pids$pid " ;;
    *) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for signal in TERM KILL; do
  case $pids in *[0-9]*) sleep 2 ;; esac
  for pid in $pids; do kill -s $signal -- "-$pid"; done
done`

let input: Writable | undefined

/** Sees to it that a group of processes does not outlive this one, where there is a shell. Returns how to let it off. */
export function leash(pid: number): () => void {
  const to = (input ??= start())
  to.write(`+ ${pid}\n`)
  return () => to.write(`- ${pid}\n`)
}

function start(): Writable {
  // A group of its own, so that a Ctrl-C at the terminal does not end it before its work.
  const shell = spawn('sh', ['-c', SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  const end = () => {
    if (input === shell.stdin) input = undefined
  }
  shell.on('error', end).on('exit', end)
  shell.stdin.on('error', end)
  shell.unref()
  // Bun's has none, and ends without.
  ;(shell.stdin as Writable & { unref?(): void }).unref?.()
  return shell.stdin
}
