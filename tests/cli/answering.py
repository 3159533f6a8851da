"""Servers in trouble, and servers that mean ill, in the place of a token service."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

__all__ = ["JSON", "METADATA", "answering", "granted", "metadata"]

METADATA: Final = "/.well-known/oauth-authorization-server"
JSON: Final = {"content-type": "application/json"}


@contextmanager
def answering(pages: dict[str, tuple[int, dict[str, str], bytes]]) -> Iterator[tuple[str, list[str]]]:
    """A server with these pages (status, headers, body), `{base}` in them being its address; and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, body = pages.get(self.path, (404, JSON, b"{}"))
            body = body.replace(b"{base}", base.encode())
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value.replace("{base}", base))
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name is that of http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield base, asked
        finally:
            server.shutdown()
            thread.join()


def metadata(**members: object) -> tuple[int, dict[str, str], bytes]:
    document = {"issuer": "{base}", "token_endpoint": "{base}/token", "jwks_uri": "{base}/jwks", **members}
    return 200, JSON, json.dumps(document).encode()


def granted(**members: object) -> tuple[int, dict[str, str], bytes]:
    return 200, JSON, json.dumps({"access_token": "opaque", "token_type": "Bearer", **members}).encode()
