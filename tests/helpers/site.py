"""A web server with the faults of real downloads."""

from __future__ import annotations

import http.server
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Site:
    """A server on 127.0.0.1, and how it treats the next requests."""

    content: bytes = b""
    ranges: bool = True  # answers Range with 206
    break_after: list[int] = field(default_factory=list)  # bytes after which the n-th answer breaks off
    status: int = 200
    content_type: str = "application/gzip"
    wrong_range: bool = False  # states a range from byte 0, and sends the one that was requested
    whole_range: bool = False  # states a range from byte 0, and sends that
    reason: str | None = None  # the text beside the status
    silent: float = 0.0  # seconds before the headers
    drip: float = 0.0  # seconds between two bytes
    stall_after: int | None = None  # bytes, after which nothing more comes
    endless: bool = False  # the content again and again
    with_length: bool = True
    length: str | None = None  # another Content-Length than the content's
    location: str | None = None  # redirects to there; "" is to itself
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)  # the Range of each request
    url: str = ""


def start(site: Site) -> http.server.ThreadingHTTPServer:
    """The server, running; `site.url` is where its file is."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append(wanted)
            time.sleep(site.silent)
            if site.location is not None:
                self.send_response(302)
                self.send_header("Location", site.location or site.url)
                self.end_headers()
                return
            if site.status != 200:
                self.send_error(site.status, site.reason)
                return
            first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and site.ranges else 0
            if first >= len(site.content) and first:
                self.send_error(416)
                return
            body = site.content[0 if site.whole_range else first :]
            self.send_response(206 if wanted and site.ranges else 200)
            if wanted and site.ranges:
                start = 0 if site.wrong_range or site.whole_range else first
                self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
            self.send_header("Content-Type", site.content_type)
            if site.with_length:
                self.send_header("Content-Length", site.length or str(len(body)))
            for name, value in site.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self._send(body)
            self.close_connection = True

        def _send(self, body: bytes) -> None:
            for i in range(len(body) if site.drip else 0):
                self.wfile.write(body[i : i + 1])
                time.sleep(site.drip)
            if site.stall_after is not None:
                self.wfile.write(body[: site.stall_after])
                time.sleep(3600)
            while site.endless:
                self.wfile.write(site.content)
            self.wfile.write(body[: site.break_after.pop(0)] if site.break_after else body)

        def handle(self) -> None:
            with suppress(OSError):  # the reader has gone
                super().handle()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}/file.tar.gz"
    return server
