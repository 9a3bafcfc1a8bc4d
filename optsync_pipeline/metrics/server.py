"""/metrics and /health over HTTP, on loopback unless told otherwise. Reads only; nothing can be changed through it."""

import json
import logging
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from optsync_pipeline.metrics.collector import OptsyncCollector
from optsync_pipeline.metrics.health import read_health
from optsync_pipeline.metrics.reading import Readings
from optsync_pipeline.settings import Settings

log = logging.getLogger(__name__)

IDLE_SECONDS = 30.0
"""A client that sends nothing for so long is let go."""


class MetricsServer(ThreadingHTTPServer):
    """The server, listening once it is made. Raises OSError where the port cannot be had."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, readings: Readings, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.readings = readings
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(OptsyncCollector(readings))
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def serve_metrics(settings: Settings, host: str, port: int, *, told: Callable[[str], None] = lambda url: None) -> None:
    """Serve until KeyboardInterrupt, which is not raised further. told: called with the URL once it listens.

    Raises OSError where the port cannot be had.
    """
    readings = Readings(settings)
    try:
        with MetricsServer(readings, host, port) as server:
            told(server.url)
            try:
                server.serve_forever(poll_interval=0.2)
            except KeyboardInterrupt:
                log.info("metrics server ends")
    finally:
        readings.close()


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = IDLE_SECONDS
    server_version = "optsync"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a path."""
        answers = {"/metrics": self._metrics, "/health": self._health}
        answer = answers.get(urlsplit(self.path).path, self._unknown)
        try:
            status, kind, body = answer()
        except Exception:
            # The outermost place of this request: a fault of ours is logged, and told to the scraper as what it is.
            log.exception("answering %s failed in our own code", urlsplit(self.path).path)
            status, kind, body = 500, "text/plain; charset=utf-8", b"a fault of optsync: its log says which\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # http.server's name

    def _metrics(self) -> tuple[int, str, bytes]:
        encode, kind = choose_encoder(self.headers.get("Accept", ""))
        return 200, kind, encode(self.server.registry)

    def _health(self) -> tuple[int, str, bytes]:
        well, told = read_health(self.server.readings)
        return 200 if well else 503, "application/json", json.dumps(told, indent=1).encode() + b"\n"

    def _unknown(self) -> tuple[int, str, bytes]:
        return 404, "text/plain; charset=utf-8", b"there are /metrics and /health\n"

    def log_message(self, format: str, *args: object) -> None:
        """Keep requests out of the log: there is one every few seconds."""
