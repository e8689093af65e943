"""HTTP of a loopback Hub: bodies with a length or in chunks, recording, faults, answers."""

import json
import socket
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from loopback_storage import HubError


@dataclass
class Request:
    """A request as it came: `path` is raw, with its query; `status` is `None` if the connection was dropped."""

    method: str
    path: str
    headers: dict  # names in lower case
    body: bytes = b""
    status: int | None = None
    token: object = None

    @property
    def query(self):
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def queries(self, name):
        """Values of a parameter that may be repeated."""
        return parse_qs(urlsplit(self.path).query).get(name, [])

    def json(self):
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, f"Malformed JSON: {error}") from error


@dataclass
class Response:
    """What to answer: `content` is bytes or something for JSON."""

    content: object = b""
    status: int = 200
    headers: dict = field(default_factory=dict)


class Server:
    """One port, its thread, and the routes it serves."""

    def __init__(self, hub, routes):
        handler = type("BoundHandler", (Handler,), {"hub": hub, "routes": routes})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self):
        self._thread.start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that was killed is no error of ours; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    hub = routes = None

    def log_message(self, *_):
        """Nothing: `hub.requests` tells what came."""

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self):
        """Read, record, go wrong if asked to, answer."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers)
        complete = self._read(request)
        self.hub.requests.append(request)
        fault = self.hub.fault_of(request)
        if fault and fault.delay:
            self.hub.stopping.wait(fault.delay)
        if not complete or self.hub.stopping.is_set() or (fault and fault.drop is True):
            return self._drop()
        if fault and fault.status:
            after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            response = Response({"error": f"Fault {fault.status}"}, fault.status, after)
        else:
            response = self.hub.handle(request, self.routes)
        if fault and fault.drop:
            return self._drop()
        request.status = response.status
        return self._send(response, truncate=bool(fault and fault.truncate))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  (http.server's names)

    def _read(self, request):
        """Read the body; whether all of it came."""
        if "chunked" in request.headers.get("transfer-encoding", ""):
            pieces = []
            while True:
                line = self.rfile.readline().strip()
                size = int(line, 16) if line else -1
                if size < 0:
                    break
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
                if size == 0 or len(pieces[-1]) < size:
                    break
            request.body = b"".join(pieces)
            return size == 0
        size = int(request.headers.get("content-length", 0))
        request.body = self.rfile.read(size) if size else b""
        return len(request.body) == size

    def _drop(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, response, truncate):
        body, kind = response.content, "application/octet-stream"
        if not isinstance(body, bytes):
            body, kind = json.dumps(body).encode(), "application/json; charset=utf-8"
        self.send_response(response.status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(body))} | response.headers).items():
            self.send_header(name, str(value).encode("utf-8", "replace").decode("latin-1").replace("\n", " "))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if truncate else body)
        if truncate:
            self.wfile.flush()
            self._drop()
