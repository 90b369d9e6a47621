"""A client of FastMCP that takes tasks: calls one tool, and prints what it is asked and what comes of it.

python3 fastmcp_client.py URL TOOL ARGUMENTS GATE    ARGUMENTS in JSON. It answers when the file GATE is there.
"""

import asyncio
import json
import os
import sys
import time

import fastmcp_tasks  # noqa: F401  (its import is what makes the client take tasks)
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult

URL, TOOL, ARGUMENTS, GATE = sys.argv[1:5]


def tell(**what):
    print(json.dumps(what), flush=True)


async def answer(message, response_type, params, context):
    tell(asked=message)
    while not os.path.exists(GATE):
        await asyncio.sleep(0.01)
    return ElicitResult(action="accept", content={"confirm": True})


async def main():
    async with Client(URL, elicitation_handler=answer) as client:
        began = time.monotonic()
        result = await client.call_tool(TOOL, json.loads(ARGUMENTS), raise_on_error=False)
        seconds = time.monotonic() - began
        tell(text=result.content[0].text, isError=result.is_error, seconds=seconds)


asyncio.run(main())
