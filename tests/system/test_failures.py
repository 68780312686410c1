"""What comes of polls that fail, and of whom they may not disturb; between a scripted broker, sink and web."""
import gzip
import re
import socket
import struct
import time

import pytest

from scripted_peers import BOTH, closed_port, error, listing, result


def reset(request):
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.close_connection = True


def truncated(request):
    request.answer(200, {"Content-Length": "1000"}, b"<ul>")
    request.close_connection = True


def slow(request):
    time.sleep(3)
    return 200, {}, b""


FAILURES = [
    ("not_found", (404, {}, b"")),
    ("gone", (410, {}, b"")),
    ("http_4xx", (403, {}, b"")),
    ("challenge", (403, {"cf-mitigated": "challenge"}, b"")),
    ("rate_limited", (429, {"Retry-After": "17"}, b"")),
    ("rate_limited", (503, {"Retry-After": "17"}, b"")),
    ("http_5xx", (503, {}, b"")),
    ("http_5xx", (500, {}, b"<li id=1><a href=/>x</a>")),
    ("reset", reset),
    ("truncated", truncated),
    ("timeout", slow),
    ("redirects", (302, {"Location": "/page"}, b"")),
    ("redirects", (302, {"Location": "ftp://127.0.0.1/x"}, b"")),
    ("too_big", (200, {}, b"<p>" + b"x" * (1 << 21))),
    ("empty_body", (200, {}, b"")),
    ("rotted", (200, {}, "<html><body><p>nothing of the kind</p></body></html>")),
]


DETAILS = {"http_4xx": r"HTTP 403", "http_5xx": r"HTTP 50[03]", "challenge": "HTTP 403, a challenge", "rotted": "matches nothing",
           "too_big": "larger than 1024 KiB", "timeout": r"timed out", "rate_limited": r"HTTP (429|503)"}


@pytest.mark.parametrize("wanted,page", FAILURES, ids=[f"{w}-{i}" for i, (w, _) in enumerate(FAILURES)])
def test_failures_have_classes(world, wanted, page):
    world.options["max_document"] = "1M"
    world.start()
    source = world.add(world.template(timeout="1s"), "/page")
    world.web.pages["/page"] = page
    o, = world.poll(source)
    assert (o["kind"], result(o), error(o)) == (BOTH, "failed", wanted)
    assert not o["has_state"] and not world.batches
    if wanted == "rate_limited" or page == (503, {}, b""):
        assert o["retry_after_s"] == 17 if wanted == "rate_limited" else 60 <= o["retry_after_s"] <= 75
    else:
        assert o["retry_after_s"] == 0
    assert re.search(DETAILS.get(wanted, ""), o["detail"]) and len(o["detail"]) <= 200


def test_failures_without_a_server(world):
    world.start()
    template = world.template()
    sources = [world.add(template, url=u) for u in (f"http://127.0.0.1:{closed_port()}/", "http://no-such-host.invalid/",
                                                    f"https://127.0.0.1:{world.web.port}/", "http://[broken/")]
    assert [error(world.poll(s)[-1]) for s in sources] == ["connect", "dns", "tls", "bad_url"]


def test_private_addresses_are_refused(world):
    del world.options["allow_private"]
    world.start()
    for url in (world.web.url("/a"), world.web.url("/a", "localhost"), "http://169.254.169.254/", "http://[::1]/"):
        assert error(world.poll(world.add(world.template(), url=url))[-1]) == "refused_address"
    assert not world.web.requests


def test_compressed_bodies_are_capped_after_decoding(world):
    world.web.pages["/good"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(listing((1, "/1", "one")).encode()))
    world.web.pages["/bomb"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"<p>" + b"x" * (50 << 20)))
    world.options["max_document"] = "1M"
    world.start()  # from now on it wants answers: what takes long comes before
    good, bomb = world.add(world.template(), "/good", "/bomb")
    assert result(world.poll(good)[-1]) == "changed"
    assert error(world.poll(bomb)[-1]) == "too_big"


def test_a_failure_disturbs_nobody_else(world):
    world.start()
    bad, good = world.add(world.template(timeout="1s"), "/bad", "/good")
    world.web.pages["/bad"] = slow
    world.web.pages["/good"] = (200, {}, listing((1, "/1", "one")))
    world.due(bad)
    assert result(world.poll(good)[-1]) == "changed"
