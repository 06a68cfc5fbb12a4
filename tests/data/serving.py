"""A file server on the loopback address that can break off, refuse and change its mind."""

import contextlib
import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What is served, how, and what was asked for."""

    files: dict[str, bytes]
    break_after: list[int] = field(default_factory=list)  # bytes of the next replies
    status: list[int] = field(default_factory=list)  # instead of the next replies
    ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""
    length: str | None = None  # what the server says instead of the length


@contextlib.contextmanager
def serve(site: Site):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self):
            name, wanted = self.path.lstrip("/"), self.headers.get("Range")
            site.requests.append((name, wanted))
            if site.status:
                self.send_error(site.status.pop(0))
                return
            if name not in site.files:
                self.send_error(404)
                return
            self._send(site.files[name], wanted)

        def _send(self, content, wanted):
            tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
            start = 0
            if wanted and site.ranges and self.headers.get("If-Range", tag) == tag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start and start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", site.length or str(len(content) - start))
            self.end_headers()
            stop = start + site.break_after.pop(0) if site.break_after else None
            self.wfile.write(content[start:stop])

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
