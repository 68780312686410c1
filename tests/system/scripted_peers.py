"""A broker, a sink and a web that do what a test says, and an rtm-miner between them.

    with World() as world:
        world.start()
        source = world.add(template(world), "/list")
        world.web.pages["/list"] = page(...)
        world.due(source)
        world.pump(lambda: world.outcome(source, "stored"))

All sockets are the test's: nothing is answered outside pump, which lets the world turn until its condition holds.
"""
import collections
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import msgpack
import zmq

from simsite import build_dir

KNOWN, NEW, CHANGED, LACKS_DETAIL, REJECTED, OLDER = range(6)
LIST, DETAIL, PROBE, WHOLE = range(4)
POLLED, STORED, BOTH = 1, 2, 3
RESULTS = ["changed", "unchanged", "not_modified", "failed", "skipped"]
ERRORS = """none dns connect tls timeout reset truncated too_big redirects bad_url refused_address http_4xx not_found
gone rate_limited http_5xx challenge empty_body not_this_kind parse too_complex rotted robots rejected internal
quarantined blocked dependency overloaded host_backoff sink_backpressure still_running missed_while_down no_miner
removed limited poison no_secret""".split()
OUTCOME = """seq kind source due result error status items fresh bytes started took_ms cpu_us retry_after_s has_state
etag last_modified body_hash fetch_url last_ok generation cause attempt detail memory continuity gap_since gap_reason
gap_found""".split()
HOLDING = "source done held running version".split()
ITEM = "poll part key content_hash url title author summary content image published fields url_norm".split()
POLL = "source due started fetched absent backfill cause continuity gap_since gap_reason gap_found again".split()
CONTINUITY = ["unknown", "continuous", "gap", "unprovable"]
GAP_REASONS = ["none", "paged_back", "no_next_page", "page_limit", "list_ended", "not_resumed", "page_failed"]
SOURCE = "id template_id url fetch_url etag last_modified body_hash last_ok generation memory".split()
TEXTS = {"etag", "last_modified", "fetch_url", "memory", "detail", "key", "url", "title", "author", "summary", "content",
         "image", "fields", "url_norm"}
WAIT_SECONDS = 20
BAD_LOG = re.compile(r"check failed|Sanitizer|runtime error:")


def row(names, cells):
    """A row as a dict; missing cells are zero or empty."""
    cells = list(cells) + [None] * (len(names) - len(cells))
    return {n: ("" if n in TEXTS else 0) if c is None else c for n, c in zip(names, cells)}


def result(outcome):
    return RESULTS[outcome["result"]]


def error(outcome):
    return ERRORS[outcome["error"]]


def polls(world):
    """What the miner's batches say of their polls, in order."""
    return [row(POLL, p) for b in world.batches for p in b["polls"]]


class Web:
    """An HTTP server whose pages are functions or (status, headers, body). Requests are noted."""

    def __init__(self, address="127.0.0.1", tls=None, port=0):
        self.pages = {}
        self.requests = []
        self.running = collections.Counter()
        self.most = 0
        self.robots = []  # requests for /robots.txt, which are not among the others
        self.lock = threading.Lock()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path == "/robots.txt":
                    return self.give_robots()
                with web.lock:
                    web.requests.append((time.monotonic(), self.path, dict(self.headers)))
                    web.running["all"] += 1
                    web.most = max(web.most, web.running["all"])
                page = web.pages.get(self.path, (404, {}, b"no such page"))
                try:
                    if callable(page):
                        page = page(self)
                    if page is not None:
                        self.answer(*page)
                except OSError:
                    pass
                finally:
                    with web.lock:
                        web.running["all"] -= 1

            do_POST = do_PUT = do_GET

            def give_robots(self):
                with web.lock:
                    web.robots.append((time.monotonic(), self.path, dict(self.headers)))
                page = web.pages.get(self.path, (404, {}, b"no rules"))
                try:
                    page = page(self) if callable(page) else page
                    if page is not None:
                        self.answer(*page)
                except OSError:
                    pass

            def answer(self, status, headers, body):
                body = body.encode() if isinstance(body, str) else body
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers and status != 304:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        Server.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.server = Server((address, port), Handler)
        self.scheme = "https" if tls else "http"
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def url(self, path, host="127.0.0.1"):
        return f"{self.scheme}://{host}:{self.port}{path}"

    def asked(self, path):
        with self.lock:
            return [r for r in self.requests if r[1] == path]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Peer:
    """A ROUTER with one client at a time: the one heard last."""

    def __init__(self, context):
        self.context = context
        self.socket = None
        self.port = None
        self.client = None
        self.open()

    def open(self):
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        deadline = time.monotonic() + 10
        while True:
            try:
                if self.port is None:
                    self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
                else:
                    self.socket.bind(f"tcp://127.0.0.1:{self.port}")
                return
            except zmq.ZMQError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def close(self):
        self.socket.close(0)

    def send(self, kind, **members):
        self.socket.send_multipart([self.client, msgpack.packb([kind, members])])


class World:
    def __init__(self, **options):
        self.options = {"workers": 2, "allow_private": True, "log_level": "debug", **options}
        self.zmq = zmq.Context()
        self.broker = Peer(self.zmq)
        self.sink = Peer(self.zmq)
        self.web = Web()
        self.process = None
        self.log = []
        self.messages = []  # (peer, type, members) in order of arrival
        self.outcomes = []  # rows
        self.batches = []  # members
        self.stored = {}  # (source, key) -> set of parts that the sink has
        self.epoch = 2
        self.heartbeat_ms, self.liveness_ms = 200, 5000  # a test that does not come to turn for so long is taken for dead
        self.credit = 1 << 20
        self.answer_broker = self.answer_sink = self.ack_outcomes = self.ack_batches = True
        self.next_id = 1
        self.template_id = {}
        self.outcomes_acked = 0
        self.last_start = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if self.process and self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
            if self.process:
                self.reader.join(5)
            bad = [line for line in self.log if BAD_LOG.search(line)]
            if kind or bad:
                print("".join(self.log[-80:]))
            assert not bad, bad[0]
        finally:
            self.broker.close()
            self.sink.close()
            self.zmq.term()
            self.web.close()

    # -- the miner --

    def start(self, *args, join=True, env=None):
        command = [os.path.join(build_dir(), "rtm-miner"), "--broker", f"tcp://127.0.0.1:{self.broker.port}",
                   "--sink", f"tcp://127.0.0.1:{self.sink.port}", *args]
        for name, value in self.options.items():
            command.append("--" + name.replace("_", "-"))
            if value is not True:
                command.append(str(value))
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()
        if join:
            self.pump(lambda: self.of("INVENTORY") and self.of("HELLO"), what="the miner joins")
        return self

    def wait_exit(self, seconds=WAIT_SECONDS):
        self.pump(lambda: self.process.poll() is not None, seconds, "the miner's end")
        self.reader.join(5)
        return self.process.returncode

    # -- turning --

    def pump(self, condition, seconds=WAIT_SECONDS, what="the condition"):
        """Answers messages until condition holds."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline, f"{what} did not come true in {seconds} s\n{''.join(self.log[-30:])}"
            poller = zmq.Poller()
            poller.register(self.broker.socket, zmq.POLLIN)
            poller.register(self.sink.socket, zmq.POLLIN)
            for socket_, _ in poller.poll(20):
                peer = self.broker if socket_ is self.broker.socket else self.sink
                client, frame = socket_.recv_multipart()
                peer.client = client
                kind, members = msgpack.unpackb(frame, strict_map_key=False)
                self.messages.append((peer, kind, members))
                (self.on_broker if peer is self.broker else self.on_sink)(kind, members)

    def settle(self, seconds=0.3):
        """Turns for a while in which something must not happen."""
        end = time.monotonic() + seconds
        self.pump(lambda: time.monotonic() >= end)

    def of(self, kind):
        return [m for _, k, m in self.messages if k == kind]

    def now(self):
        return int(time.time() * 1000)

    def on_broker(self, kind, m):
        if kind == "OUTCOMES":
            known = {o["seq"] for o in self.outcomes}
            for cells in m["outcomes"]:
                o = row(OUTCOME, cells)
                if o["seq"] not in known:
                    self.outcomes.append(o)
        if not self.answer_broker:
            return
        if kind == "READY":
            self.broker.send("WELCOME", epoch=self.epoch, now=self.now(), slot_ms=2000, heartbeat_ms=self.heartbeat_ms,
                             liveness_ms=self.liveness_ms, outcomes_acked=self.outcomes_acked)
        elif kind == "HEARTBEAT":
            self.broker.send("HEARTBEAT", epoch=self.epoch, now=self.now(), slot=1)
        elif kind == "OUTCOMES" and self.ack_outcomes:
            self.broker.send("OUTCOMES_ACK", seq=max(o["seq"] for o in self.outcomes))

    def on_sink(self, kind, m):
        if kind == "BATCH":
            self.batches.append(m)
        if not self.answer_sink:
            return
        if kind == "HELLO":
            self.sink.send("GRANT", credit=self.credit, heartbeat_ms=self.heartbeat_ms, liveness_ms=self.liveness_ms)
        elif kind == "HEARTBEAT":
            self.sink.send("HEARTBEAT")
        elif kind == "BATCH" and self.ack_batches:
            self.ack(m)

    def ack(self, batch):
        """Stores a batch as the sink would."""
        details = {t[0]: len(t) > 2 and t[2] for t in batch["templates"]}
        of_source = {s[0]: s[1] for s in batch["sources"]}
        verdicts = []
        for cells in batch.get("items", []):
            i = row(ITEM, cells)
            source = batch["polls"][i["poll"]][0]
            parts = self.stored.get((source, i["key"]))
            complete = parts is not None and (not details[of_source[source]] or parts & {DETAIL, WHOLE})
            if i["part"] == PROBE:
                verdicts.append(KNOWN if complete else LACKS_DETAIL)
                continue
            verdicts.append(NEW if parts is None else KNOWN if complete or i["part"] == DETAIL else LACKS_DETAIL)
            self.stored.setdefault((source, i["key"]), set()).add(i["part"])
        self.sink.send("ACK", seq=batch["seq"], credit=self.credit, verdicts=[[batch["seq"], bytes(verdicts)]])

    # -- work --

    def template(self, name="t", **members):
        document = {"name": name, "kind": "html", "urls": ["http://x.example/"], "items": "li", "key": "::attr(id)",
                    "fields": {"title": "a::text", "url": "a::attr(href)"},
                    "politeness": {"gap": "0ms", "concurrency": 8}, **members}
        self.next_id += 1
        return [self.next_id, 1, name, json.dumps({k: v for k, v in document.items() if v is not None})]

    def add(self, template, *paths, url=None, **state):
        """Defines sources; their ids (one id for one path)."""
        rows, ids = [], []
        for path in paths or [None]:
            self.next_id += 1
            ids.append(self.next_id)
            cells = {"id": self.next_id, "template_id": template[0], "url": url or self.web.url(path), **state}
            rows.append([cells.get(n, "" if n in TEXTS else 0) for n in SOURCE])
        self.broker.send("ASSIGN", epoch=self.epoch, slot=1, slot_start=self.now(), templates=[template], sources=rows)
        return ids if len(ids) > 1 else ids[0]

    def due(self, source, offset=0, step=0, count=1, cause=0, at=None, priority=1, until=0):
        """Gives out dues; the broker time of the first."""
        start = at or max(self.now(), self.last_start + 1)  # a due's name is its time
        self.last_start = start
        self.broker.send("ASSIGN", epoch=self.epoch, slot=1, slot_start=start, starts_in=0,
                         dues=[[source, offset, step, count, cause, priority, until]])
        return start + offset

    def of_source(self, source, due=None):
        return [o for o in self.outcomes if o["source"] == source and due in (None, o["due"])]

    def poll(self, source, **kwargs):
        """Polls source now; its outcomes, once the last one has come."""
        due = self.due(source, **kwargs)
        self.pump(lambda: any(o["kind"] & STORED for o in self.of_source(source, due)), what="the poll's last outcome")
        return self.of_source(source, due)

    def items(self):
        return [row(ITEM, i) for b in self.batches for i in b.get("items", [])]


def listing(*items):
    """A page that lists (id, href, title)."""
    rows = "".join(f'<li id="{i}"><a href="{href}">{title}</a></li>' for i, href, title in items)
    return f"<!doctype html><html><head><title>list</title></head><body><ul>{rows}</ul></body></html>"


def closed_port():
    """A port on which nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
