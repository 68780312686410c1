"""A sink as a process, and a miner in Python that speaks the sink's part of the protocol (PROTOCOL.md, section 3)."""
import os
import random
import re
import signal
import subprocess
import tempfile
import threading
import time

import msgpack
import zmq

from simsite import build_dir

KNOWN, NEW, CHANGED, LACKS_DETAIL, REJECTED, OLDER = range(6)
LIST, DETAIL, PROBE, WHOLE = range(4)
TIME_NONE = -2**63
WAIT_SECONDS = 30


def wait_until(condition, seconds=WAIT_SECONDS, what="the condition"):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.01)


class Sink:
    """An rtm-sink on a free port. Its log is kept as a list of lines."""

    def __init__(self, postgres, *args, listen="tcp://127.0.0.1:0", **env):
        self.command = [os.path.join(build_dir(), "rtm-sink"), "--listen", listen, "--postgres", postgres, *args]
        self.env = {**os.environ, **env}
        self.lines = []

    def __enter__(self):
        self.process = subprocess.Popen(self.command, env=self.env, stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        line = self.wait_log(r"listening endpoint=(\S+)")
        self.endpoint = line.group(1)
        return self

    def __exit__(self, kind, *_):
        status = self.stop()
        if kind:
            print("".join(self.lines[-60:]))
        elif status not in (0, 66, -signal.SIGKILL):
            raise RuntimeError(f"the sink ended with {status}:\n" + "".join(self.lines[-60:]))

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def log(self, pattern):
        """Matches of pattern in the log so far."""
        return [m for m in (re.search(pattern, line) for line in list(self.lines)) if m]

    def wait_log(self, pattern, count=1, seconds=WAIT_SECONDS):
        def there():
            return len(self.log(pattern)) >= count or self.process.poll() is not None
        wait_until(there, seconds, f"{pattern!r} in the sink's log")
        found = self.log(pattern)
        assert len(found) >= count, "the sink ended:\n" + "".join(self.lines[-60:])
        return found[count - 1]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)
        return self.process.returncode


class Miner:
    """One miner. It obeys its credit, keeps the batches that were not acknowledged, and sends them again after each
    connect. While it is pumped it beats, and says HELLO again when it is told to."""

    def __init__(self, name="m1", incarnation=None):
        self.name = name
        self.incarnation = incarnation or random.getrandbits(63)
        self.seq = 0
        self.unacked = {}   # seq -> frame
        self.sent = set()   # of these, those on the wire
        self.verdicts = {}  # seq -> list of verdicts
        self.credit = 0
        self.acked = 0
        self.errors = []
        self.disconnects = []
        self.beaten = 0     # monotonic seconds
        self.context = zmq.Context.instance()
        self.socket = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.socket:
            self.socket.close(linger=0)
        self.socket = None

    def connect(self, sink, hello=True):
        self.close()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.connect(sink if isinstance(sink, str) else sink.endpoint)
        if hello:
            self.hello()
        return self

    def hello(self):
        self._say_hello()
        self.beaten = time.monotonic()
        self.pump_until(lambda: self.credit, what="GRANT")

    def _say_hello(self):
        self.credit = 0
        self.sent.clear()
        self.send("HELLO", version=1, miner=self.name, incarnation=self.incarnation, software="scripted")

    def send(self, kind, **members):
        self.socket.send(msgpack.packb([kind, members]))

    def beat(self, now):
        self.send("HEARTBEAT", now=now)

    # -- receiving --

    def pump(self, ms=0):
        """Takes what has come; waits at most ms for the first message."""
        if time.monotonic() - self.beaten > 0.5:
            self.beaten = time.monotonic()
            self.send("HEARTBEAT")
        while self.socket.poll(ms):
            kind, m = msgpack.unpackb(self.socket.recv(), strict_map_key=False)
            getattr(self, "_on_" + kind.lower())(m)
            ms = 0

    def pump_until(self, condition, seconds=WAIT_SECONDS, what="the answer"):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come within {seconds} s; errors: {self.errors}"
            self.pump(20)

    def _on_grant(self, m):
        self.credit = m["credit"]
        self._send_some()

    def _on_heartbeat(self, m):
        pass

    def _on_disconnect(self, m):
        self.disconnects.append(m.get("reason"))
        self._say_hello()

    def _on_error(self, m):
        self.errors.append((m["code"], m["text"]))

    def _on_ack(self, m):
        self.credit = m["credit"]
        self.acked = max(self.acked, m["seq"])
        for seq in [s for s in self.unacked if s <= m["seq"]]:
            del self.unacked[seq]
            self.sent.discard(seq)
        self._send_some()
        for seq, items in ((*row, b"")[:2] for row in m.get("verdicts", [])):
            self.verdicts[seq] = list(items)

    # -- batches --

    def frame(self, batch, seq):
        return msgpack.packb(["BATCH", {**batch, "seq": seq}])

    def _send_some(self):
        flying = sum(len(self.unacked[s]) for s in self.sent)
        for seq, frame in self.unacked.items():
            if seq in self.sent:
                continue
            if flying and flying + len(frame) > self.credit:
                break
            self.socket.send(frame)
            self.sent.add(seq)
            flying += len(frame)

    def ship(self, batch, greedy=False):
        """Sends a batch as soon as the credit allows, or in spite of it; its number."""
        self.seq += 1
        self.unacked[self.seq] = self.frame(batch, self.seq)
        if greedy:
            self.socket.send(self.unacked[self.seq])
            self.sent.add(self.seq)
        else:
            self._send_some()
        return self.seq

    def settle(self, seconds=WAIT_SECONDS):
        """Waits until all is acknowledged; verdicts of the last batch."""
        self.pump_until(lambda: self.acked >= self.seq, seconds, "ACK")
        return self.verdicts.get(self.seq, [])

    def store(self, batch):
        self.ship(batch)
        return self.settle()


# A broker time to start from, ms.
T0 = 1_700_000_000_000


def template_id(name):
    return sum(name.encode()) + 2**63 + 17  # any id will do; one that is negative as a bigint


def source_id(number):
    return (number * 0x9E3779B97F4A7C15) % 2**64


def item(key, content_hash=1, part=LIST, poll=0, url="", title="", author="", summary="", content="", image="",
         published=TIME_NONE, fields="", url_norm=""):
    return [poll, part, key, content_hash, url, title, author, summary, content, image, published, fields, url_norm]


def poll_row(source=1, due=T0, absent=0, backfill=False, cause=0, took=100, again=False):
    return [source_id(source), due, due + 5, due + 5 + took, absent, backfill, cause] + ([0, 0, 0, 0, True] if again else [])


def batch(items, due=T0, source=1, template="t", has_detail=False, fresh_within=60000, keep_age=0, keep_items=0, polls=None,
          **poll):
    polls = polls or [poll_row(source, due, **poll)]
    sources = {p[0] for p in polls}
    return {"templates": [[template_id(template), template, has_detail, fresh_within, keep_age, keep_items]],
            "sources": [[s, template_id(template), f"http://site/{s}"] for s in sources],
            "polls": polls, "items": items}
