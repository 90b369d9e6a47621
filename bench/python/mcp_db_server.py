"""A server of the comparison: the SDK for Python with mcp-db on Redis, wired as its example `streamable_http_server.py` is.

python3 mcp_db_server.py PORT REDIS_URL LEDGER
"""

import asyncio
import contextlib
import sys

import mcp.types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_db.core.admission import StreamableHTTPAdmissionController
from mcp_db.core.asgi_wrapper import ASGITransportWrapper
from mcp_db.core.interceptor import ProtocolInterceptor
from mcp_db.core.session_manager import SessionManager
from mcp_db.event.inmemory import InMemoryEventStore
from mcp_db.session.redis_adapter import RedisStorage
from serving import charge as effect
from serving import tell_when_it_listens
from starlette.applications import Starlette
from starlette.routing import Mount

PORT, REDIS_URL, LEDGER = sys.argv[1:]

app = Server("comparison")


async def report(done: int, total: int) -> None:
    context = app.request_context
    if context.meta is None or context.meta.progressToken is None:
        return
    await context.session.send_progress_notification(
        context.meta.progressToken, done, total, related_request_id=str(context.request_id)
    )


@app.call_tool()
async def call_tool(name: str, arguments: dict) -> list[types.ContentBlock]:
    if name == "add":
        value = arguments["a"] + arguments["b"]
    elif name == "progress":
        value = arguments["count"]
        for done in range(1, value + 1):
            await report(done, value)
            await asyncio.sleep(arguments["everyMs"] / 1000)
    else:
        value = arguments["steps"]
        for step in range(1, value + 1):
            await effect(LEDGER, step, arguments["delayMs"])
            await report(step, value)
    return [types.TextContent(type="text", text=str(value))]


@app.list_tools()
async def list_tools() -> list[types.Tool]:
    names = ["add", "progress", "charge"]
    return [types.Tool(name=name, description=name, inputSchema={"type": "object"}) for name in names]


events = InMemoryEventStore()
manager = StreamableHTTPSessionManager(app=app, event_store=events)
sessions = SessionManager(storage=RedisStorage(url=f"{REDIS_URL}/0", prefix="mcp"), event_store=None)


async def look_up(session_id: str):
    session = await sessions.get(session_id)
    if session is None:
        return None
    return {
        "id": session.id,
        "status": getattr(session.status, "value", str(session.status)),
        "client_id": session.client_id,
        "server_id": session.server_id,
        "capabilities": session.capabilities,
        "metadata": session.metadata,
    }


@contextlib.asynccontextmanager
async def lifespan(_app):
    async with manager.run():
        yield


async def handle(scope, receive, send):
    await manager.handle_request(scope, receive, send)


wrapped = ASGITransportWrapper(
    ProtocolInterceptor(sessions),
    admission_controller=StreamableHTTPAdmissionController(manager=manager, app=app),
    session_lookup=look_up,
).wrap(handle)

tell_when_it_listens(int(PORT))
server = Starlette(routes=[Mount("/mcp", app=wrapped)], lifespan=lifespan)
uvicorn.run(server, host="127.0.0.1", port=int(PORT), log_level="warning")
