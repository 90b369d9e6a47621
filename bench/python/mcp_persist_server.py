"""A server of the comparison: the SDK for Python with mcp-persist on Redis, and its durable sessions.

python3 mcp_persist_server.py PORT REDIS_URL LEDGER
"""

import asyncio
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_persist import with_persistence
from serving import charge as effect
from serving import tell_when_it_listens

PORT, REDIS_URL, LEDGER = sys.argv[1:]

mcp = MCPServer(name="comparison")


@mcp.tool()
def add(a: int, b: int) -> str:
    return str(a + b)


@mcp.tool()
async def progress(count: int, everyMs: int, ctx: Context) -> str:
    for report in range(1, count + 1):
        await ctx.report_progress(report, count)
        await asyncio.sleep(everyMs / 1000)
    return str(count)


@mcp.tool()
async def charge(steps: int, delayMs: int, ctx: Context) -> str:
    for step in range(1, steps + 1):
        await effect(LEDGER, step, delayMs)
        await ctx.report_progress(step, steps)
    return str(steps)


app = with_persistence(mcp, backend="redis", url=f"{REDIS_URL}/0", ttl=3600, durable_sessions=True)
tell_when_it_listens(int(PORT))
uvicorn.run(app, host="127.0.0.1", port=int(PORT), log_level="warning")
