/**
 * What a node does. `serve`: it answers requests, and leaves to the nodes that work what may be a task, whose node is gone, or whose time
 * has come. `work`: only that. `all`: both.
 */
export type Role = 'all' | 'serve' | 'work'
