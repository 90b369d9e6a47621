import { statSync } from 'node:fs'

// Before each file of tests. Up to Node.js 22, what is imported is not found by its links when the last stat of all was one of a socket,
// as an earlier file leaves it that has removed a folder. Now the last one is this:
statSync('.')
