/** What a node listens on while it lives. */
export const channelOf = (node: string) => `node:${node}`

/** Where nodes say what all others should know: the topics `left` and `returned`. */
export const ALL_NODES = 'nodes'
