"""A proxy on loopback in front of an object store, which fails the requests that a test chooses."""

import http.client
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

CODES = {403: "AccessDenied", 404: "NoSuchUpload", 500: "InternalError"}
BODY = "<Error><Code>{code}</Code><Message>{code}</Message><RequestId>1</RequestId></Error>"
HOP = {"transfer-encoding", "content-length", "expect", "connection"}  # of one connection each


class Handler(BaseHTTPRequestHandler):
    """Passes requests on; those that ``server.chosen`` says have ``server.fault`` instead."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def handle_any(self):
        if not self.server.chosen(self.command, self.path):
            self.pass_on()
            return
        self.server.failed.append((self.command, self.path))
        if self.server.fault == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.body()
        content = BODY.format(code=CODES[self.server.fault]).encode()
        self.answer(self.server.fault, {"Content-Type": "application/xml"}, content)

    def pass_on(self):
        client = http.client.HTTPConnection(*self.server.target, timeout=60)
        sent = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        client.request(self.command, self.path, self.body(), sent)
        reply = client.getresponse()
        headers = {name: value for name, value in reply.getheaders() if name.lower() not in HOP}
        length = reply.getheader("Content-Length") if self.command == "HEAD" else None
        self.answer(reply.status, headers, reply.read(), length)
        client.close()

    def body(self):
        """Return the body of the request, of known length or in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            size = int(self.headers.get("Content-Length") or 0)
            return self.rfile.read(size) if size else None
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(parts)

    def answer(self, status, headers, content, length=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 - http.server's


@contextmanager
def failing(upstream, chosen, fault):
    """Yield the proxy's address and the requests that it has failed.

    ``chosen(method, path)`` says which are failed: with a status, or with "drop" by closing the
    connection.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    target = urlsplit(upstream)
    server.target, server.chosen, server.fault = (target.hostname, target.port), chosen, fault
    server.failed, server.daemon_threads = [], True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.failed
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
