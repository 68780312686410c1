"""The sink's memory is bounded, whatever arrives."""
import json
import re

import msgpack
import pytest

from scripted_miner import DETAIL, T0, Miner, Sink, batch, item
from simsite import sanitized

pytestmark = pytest.mark.alone

FRAME = 4 << 20
ITEMS = 30_000  # with more of them a frame is refused: decoded they need too much


def peak_mib(sink):
    with open(f"/proc/{sink.process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) / 1024


def filled(one, size=FRAME - 4096):
    """As many of the item as make a frame of about that size."""
    return [item(f"k{n}", **one) for n in range(min(size // (len(msgpack.packb(item("k123", **one))) + 4), ITEMS))]


HOSTILE = {
    "values of one byte in a member that nobody knows": lambda: ["BATCH", {"seq": 1, "x": [0] * (FRAME - 64)}],
    "values of one byte as ids": lambda: ["READY", {"version": 1, "ids": [0] * (FRAME - 64)}],
    "nested arrays": lambda: ["BATCH", {"seq": 1, "x": [[[[]] * 100] * 100] * 390}],
    "empty maps": lambda: ["BATCH", {"seq": 1, "x": [{}] * (FRAME - 64)}],
    "names": lambda: ["BATCH", {f"{n:x}": n for n in range(380_000)}],
    "items of a few bytes": lambda: ["BATCH", {**batch([]), "seq": 1, "items": [[0, 0, "k"]] * 130_000}],
    "rows of nothing": lambda: ["BATCH", {**batch([]), "seq": 1, "items": [[]] * 130_000, "polls": [[]] * 130_000}],
}
LEGAL = {
    "small items": dict(title="t"),
    "items like most": dict(title="t" * 60, url="http://example.com/" + "u" * 60, summary="s" * 200, fields='{"a": 1}'),
    "long texts": dict(content="c" * 500_000),
    "texts that are no UTF-8": dict(content=b"\xff" * 160_000),
    "fields to be mended": dict(fields=json.dumps({"a": "\\u0000" * 5000}).replace("\\\\", "\\"), published=2**62),
    "fields that are no UTF-8": dict(fields=b'{"a": "' + b"\xff" * 15_000 + b'"}', published=2**62),
    "details": dict(part=DETAIL, content="d" * 3000),
}


def raw(value):
    """msgpack of a message; bytes in it count as strings, so that they need not be UTF-8."""
    return msgpack.packb(value, use_bin_type=False)


def test_peak(database):
    if sanitized():
        pytest.skip("AddressSanitizer keeps what was freed")
    with Sink(database) as sink:
        sink.wait_log(r"postgres state=up")
        peaks = {"at the start": peak_mib(sink)}
        for name, make in HOSTILE.items():
            frame = raw(make())
            assert len(frame) <= FRAME
            with Miner("evil") as evil:
                evil.connect(sink)
                for n in range(8):
                    evil.socket.send(frame)
                evil.socket.send(raw(["HELLO", {"version": 1, "miner": "evil", "incarnation": evil.incarnation}]))
                evil.credit = 0
                evil.pump_until(lambda: evil.credit and (evil.errors or evil.acked), what=f"an answer to {name}")
            peaks[name] = peak_mib(sink)
        miners = [Miner(f"m{n}").connect(sink) for n in range(8)]
        try:
            for name, one in LEGAL.items():
                items = filled(one)
                for k, miner in enumerate(miners):
                    miner.frame = lambda b, seq: raw(["BATCH", {**b, "seq": seq}])
                    for n in range(3):
                        miner.ship(batch(items, due=T0 + 1000 * n, source=k + 1))
                for miner in miners:
                    miner.settle(120)
                peaks[name] = peak_mib(sink)
        finally:
            for miner in miners:
                miner.close()
    for name, mib in peaks.items():
        print(f"{mib:6.0f} MiB after {name}")
    assert max(peaks.values()) < 128, peaks
