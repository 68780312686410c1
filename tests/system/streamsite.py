"""A web server with one stream of events at /stream, as server-sent events or JSON lines.

    with StreamSite() as site:
        site.post({"id": 1})           # to all that listen; resumable: kept for whoever comes back
        site.drop()                    # ends all connections
        site.requests                  # one dict a request: path, headers (lower case names)
"""
import http.server
import json
import threading
import time
from urllib.parse import parse_qs, urlparse


class StreamSite:
    def __init__(self, kind="sse", ids=True, retry=None, keepalive=1.0):
        self.kind, self.ids, self.retry, self.keepalive = kind, ids, retry, keepalive
        self.status = 200
        self.content_type = "text/event-stream" if kind == "sse" else "application/x-ndjson"
        self.lock = threading.Condition()
        self.events = []  # (number, bytes)
        self.generation = 0  # of connections: a drop ends all of the one before
        self.requests, self.listening, self.written = [], 0, 0
        self.hold_back = False  # accept, and say nothing at all
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                site.answer(self)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/stream"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.drop()
        self.server.shutdown()
        self.server.server_close()

    def post(self, value, type=None, raw=None):
        """Returns its number, from 1."""
        with self.lock:
            n = len(self.events) + 1
            text = raw if raw is not None else json.dumps(value)
            if self.kind == "sse":
                text = (f"event: {type}\n" if type else "") + (f"id: {n}\n" if self.ids else "") + f"data: {text}\n\n"
            else:
                text += "\n"
            self.events.append((n, text.encode()))
            self.lock.notify_all()
            return n

    def drop(self):
        with self.lock:
            self.generation += 1
            self.lock.notify_all()

    def last_ids(self):
        return [r["headers"].get("last-event-id") for r in self.requests]

    def answer(self, handler):
        url = urlparse(handler.path)
        if url.path == "/robots.txt":
            handler.send_response(404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        with self.lock:
            self.requests.append({"path": handler.path, "headers": {k.lower(): v for k, v in handler.headers.items()},
                                  "at": time.monotonic()})
            generation, status, at = self.generation, self.status, len(self.events)
        since = handler.headers.get("Last-Event-ID") or (parse_qs(url.query).get("since") or [None])[0]
        if since and self.ids:
            at = int(since)
        handler.close_connection = True
        handler.send_response(status)
        if status != 200:
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_header("Content-Type", self.content_type)
        handler.send_header("Connection", "close")
        handler.end_headers()
        if self.retry is not None:
            handler.wfile.write(f"retry: {self.retry}\n\n".encode())
        self.pump(handler, generation, at)

    def pump(self, handler, generation, at):
        with self.lock:
            self.listening += 1
        try:
            while True:
                with self.lock:
                    self.lock.wait_for(lambda: self.generation != generation or len(self.events) > at, self.keepalive)
                    if self.generation != generation:
                        return
                    pieces = [text for _, text in self.events[at:]]
                    at += len(pieces)
                if not pieces and not self.hold_back:
                    pieces = [b":\n\n" if self.kind == "sse" else b"\n"]
                for piece in pieces:
                    handler.wfile.write(piece)
                    self.written += len(piece)
                handler.wfile.flush()
        except OSError:
            pass
        finally:
            with self.lock:
                self.listening -= 1
