"""A server of the comparison: FastMCP and its tasks on Docket.

python3 fastmcp_docket.py PORT REDIS_URL LEDGER [REDELIVERY_S]
"""

import sys
from datetime import timedelta

from fastmcp import Context, FastMCP
from fastmcp_tasks import TasksExtension
from serving import charge as effect
from serving import tell_when_it_listens

PORT, REDIS_URL, LEDGER, *REDELIVERY_S = sys.argv[1:]

settings = {"redelivery_timeout": timedelta(seconds=float(s)) for s in REDELIVERY_S}
mcp = FastMCP("comparison")
mcp.add_extension(TasksExtension(url=f"{REDIS_URL}/0", **settings))


@mcp.tool
def add(a: int, b: int) -> str:
    return str(a + b)


@mcp.tool(task=True)
async def charge(steps: int, delayMs: int, ctx: Context) -> str:
    for step in range(1, steps + 1):
        await effect(LEDGER, step, delayMs)
        await ctx.report_progress(step, steps)
    return str(steps)


tell_when_it_listens(int(PORT))
mcp.run(transport="http", host="127.0.0.1", port=int(PORT), path="/mcp", show_banner=False, log_level="warning")
