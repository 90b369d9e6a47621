export default {
  serverExternalPackages: ['@mcp-durable/core', '@mcp-durable/redis-store', 'ioredis'],
}
