"""An MCP server of Python's standard library alone, which knows nothing of what stands before it.

Streamable HTTP of 2025-11-25: sessions in memory, a stream for each call, and event ids by which a stream is resumed. It has
no standalone stream. Prints `listening on URL`; MCP is at /mcp.
"""

import itertools
import json
import os
import sys
import threading
import uuid
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SESSIONS = {}
STREAMS = {}
RUNS = Counter()
GATES = defaultdict(threading.Event)


class Session:
    def __init__(self):
        self.id = uuid.uuid4().hex
        self.questions = {}


class Stream:
    """What one call says, in order. Whoever reads it may leave and come back; the call goes on."""

    def __init__(self):
        self.id = uuid.uuid4().hex
        self.events = [""]
        self.ended = False
        self.changed = threading.Condition()
        STREAMS[self.id] = self

    def say(self, message, last=False):
        with self.changed:
            self.events.append(json.dumps({"jsonrpc": "2.0", **message}))
            self.ended = last
            self.changed.notify_all()

    def after(self, place):
        """The events behind a place, each with its own, until the last one."""
        for n in itertools.count(place + 1):
            with self.changed:
                self.changed.wait_for(lambda: n < len(self.events) or self.ended)
            if n == len(self.events):
                return
            yield f"{self.id}:{n}", self.events[n]


class Call:
    def __init__(self, session, stream, params):
        self.session = session
        self.stream = stream
        self.token = params.get("_meta", {}).get("progressToken")

    def progress(self, progress, total):
        params = {"progressToken": self.token, "progress": progress, "total": total}
        self.stream.say({"method": "notifications/progress", "params": params})

    def ask(self, method, params):
        question = uuid.uuid4().hex
        answered = threading.Event()
        self.session.questions[question] = [answered, None]
        self.stream.say({"id": question, "method": method, "params": params})
        answered.wait()
        return self.session.questions.pop(question)[1]


def count(call, to, gate=None):
    for n in range(1, to + 1):
        call.progress(n, to)
    if gate:
        GATES[gate].wait()
    return f"counted to {to}"


def book(call, gate=None):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    answer = call.ask("elicitation/create", {"message": "Book it?", "requestedSchema": schema})
    if gate:
        GATES[gate].wait()
    return f"booked: {answer['action']}"


def open_gate(call, gate):
    GATES[gate].set()
    return gate


def runs(call, name):
    return str(RUNS[name])


TOOLS = {
    "count": (count, {"readOnlyHint": True}, {"to": "integer", "gate": "string"}),
    "book": (book, {}, {"gate": "string"}),
    "open": (open_gate, {}, {"gate": "string"}),
    "runs": (runs, {}, {"name": "string"}),
}


def listed(name):
    _, annotations, arguments = TOOLS[name]
    properties = {argument: {"type": type} for argument, type in arguments.items()}
    schema = {"type": "object", "properties": properties}
    return {"name": name, "annotations": annotations, "inputSchema": schema}


def initialized(params):
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "python", "version": "1"},
    }


def run(call, request):
    params = request["params"]
    name = params["name"]
    RUNS[name] += 1
    text = TOOLS[name][0](call, **params.get("arguments", {}))
    content = [{"type": "text", "text": each} for each in (text, str(os.getpid()))]
    call.stream.say({"id": request["id"], "result": {"content": content}}, last=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method, id, params = message.get("method"), message.get("id"), message.get("params", {})
        if method == "initialize":
            session = Session()
            SESSIONS[session.id] = session
            return self.reply(200, {"id": id, "result": initialized(params)}, {"Mcp-Session-Id": session.id})
        session = self.session()
        if session is None:
            return
        if method is None:
            self.answered(session, message)
        if method is None or id is None:
            return self.reply(202)
        if method == "tools/list":
            return self.reply(200, {"id": id, "result": {"tools": [listed(name) for name in TOOLS]}})
        if method == "ping":
            return self.reply(200, {"id": id, "result": {}})
        if method != "tools/call" or params.get("name") not in TOOLS:
            return self.reply(200, {"id": id, "error": {"code": -32601, "message": "Method not found"}})
        stream = Stream()
        call = Call(session, stream, params)
        threading.Thread(target=run, args=(call, message), daemon=True).start()
        self.follow(stream, -1)

    def do_GET(self):
        if self.session() is None:
            return
        id, _, place = self.headers.get("last-event-id", "").partition(":")
        if id not in STREAMS:
            return self.reply(405)
        self.follow(STREAMS[id], int(place))

    def do_DELETE(self):
        session = self.session()
        if session is not None:
            del SESSIONS[session.id]
            self.reply(200)

    def session(self):
        session = SESSIONS.get(self.headers.get("mcp-session-id"))
        if session is None:
            self.reply(404)
        return session

    def answered(self, session, message):
        question = session.questions.get(message["id"])
        if question:
            question[1] = message.get("result")
            question[0].set()

    def reply(self, status, message=None, headers={}):
        body = b"" if message is None else json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def follow(self, stream, place):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for id, data in stream.after(place):
                self.chunk(f"id: {id}\r\nretry: 50\r\ndata: {data}\r\n\r\n".encode())
            self.chunk(b"")
        except ConnectionError:
            self.close_connection = True

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
