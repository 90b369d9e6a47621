"""The tool `ledger_steps` of the everything server, by FastMCP and its tasks on Docket: one node of several on one Redis.

python3 docket_server.py REDIS_URL LEDGER    It takes a free port, and says which when it listens.
"""

import asyncio
import hashlib
import os
import socket
import sys
import threading
import time
import uuid

from fastmcp import FastMCP
from fastmcp_tasks import TasksExtension

REDIS_URL, LEDGER = sys.argv[1:3]

mcp = FastMCP("comparison")
mcp.add_extension(TasksExtension(url=REDIS_URL))


def note(line: str) -> None:
    with open(LEDGER, "a") as ledger:
        ledger.write(f"{line} {os.getpid()}\n")


@mcp.tool(task=True)
async def ledger_steps(id: str, steps: int, delayMs: int) -> str:
    values = []
    for step in range(1, steps + 1):
        await asyncio.sleep(delayMs / 2000)
        note(f"ledger_steps {id} step-{step}")
        values.append(str(uuid.uuid4()))
        await asyncio.sleep(delayMs / 2000)
    return hashlib.sha256("\n".join(values).encode()).hexdigest()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tell_when_it_listens(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    print(f"listening on http://127.0.0.1:{port}", flush=True)


port = free_port()
threading.Thread(target=tell_when_it_listens, args=[port], daemon=True).start()
mcp.run(transport="http", host="127.0.0.1", port=port, path="/mcp", show_banner=False)
