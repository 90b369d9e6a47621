export const runtime = 'nodejs'
export const dynamic = 'force-dynamic'

async function serveMcp(request: Request) {
  const { mcp } = await import('../../../mcp.ts') // when the first request comes: `next build` needs no Redis
  return mcp.fetch(request)
}
export { serveMcp as DELETE, serveMcp as GET, serveMcp as POST }
