"""The miner alone, between a scripted broker, sink and web: what it says, asks and keeps, and what it survives."""
import json
import os
import signal
import threading
import time

import pytest

from scripted_peers import BOTH, HOLDING, LIST, POLLED, STORED, closed_port, error, listing, polls, result, row


# -- session --


def test_joins_with_inventory_and_heartbeats(world):
    world.start("--id", "m1")
    ready = world.of("READY")[0]
    assert ready["version"] == 1 and ready["miner"] == "m1" and ready["incarnation"] and ready["workers"] == 2
    assert world.of("INVENTORY") == [{"last": True}]
    hello = world.of("HELLO")[0]
    assert hello["miner"] == "m1" and hello["incarnation"] == ready["incarnation"]
    world.pump(lambda: len([1 for p, k, _ in world.messages if k == "HEARTBEAT" and p is world.broker]) >= 3)
    world.pump(lambda: [m for p, k, m in world.messages if k == "HEARTBEAT" and p is world.sink and
                        abs(m.get("now", 0) - world.now()) < 5000])


def test_disconnect_makes_it_register_again(world):
    world.start()
    source = world.add(world.template(), "/a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    world.poll(source)
    world.broker.send("DISCONNECT", epoch=world.epoch, reason="test")
    world.pump(lambda: len(world.of("INVENTORY")) == 2)
    held = [row(HOLDING, h) for h in world.of("INVENTORY")[1]["holdings"]]
    assert [h["source"] for h in held] == [source]
    assert held[0]["done"] == held[0]["held"] == world.outcomes[-1]["due"] and held[0]["version"] == 1
    assert not held[0]["running"]


def test_silent_broker_is_dialled_again_and_outcomes_are_sent_again(world):
    world.liveness_ms = 1500
    world.start()
    source = world.add(world.template(), "/a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    world.ack_outcomes = False
    world.poll(source)
    world.answer_broker = False
    first = len(world.of("READY"))
    world.pump(lambda: len(world.of("READY")) > first)
    before = len([1 for k in world.messages if k[1] == "OUTCOMES"])
    world.answer_broker = True
    world.pump(lambda: len(world.of("OUTCOMES")) > before and len(world.of("INVENTORY")) > 1)
    again = [o[0] for o in world.of("OUTCOMES")[before]["outcomes"]]
    assert again == [1, 2]
    order = [k for p, k, _ in world.messages if p is world.broker and k in ("READY", "OUTCOMES", "INVENTORY")]
    assert order[-3:] == ["READY", "OUTCOMES", "INVENTORY"]
    assert world.of("READY")[-1]["outcome_seq"] == 2


def test_lower_epoch_is_answered_409(world):
    world.start()
    world.epoch = 1
    source = world.add(world.template(), "/a")
    world.due(source)
    world.pump(lambda: any(m.get("code") == 409 for m in world.of("ERROR")))
    world.settle()
    assert not world.outcomes and not world.web.requests


def test_bad_frames_are_answered_and_do_no_harm(world):
    world.start()
    for frame in (b"", b"\xc1", b"\x92\xa4NOPE\x80", os.urandom(300), b"\xdc\xff\xff" * 100):
        world.broker.socket.send_multipart([world.broker.client, frame])
        world.sink.socket.send_multipart([world.sink.client, frame])
    world.broker.socket.send_multipart([world.broker.client, b"two", b"frames"])
    world.pump(lambda: len([m for m in world.of("ERROR") if m.get("code") == 400]) >= 11)
    source = world.add(world.template(), "/a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    assert result(world.poll(source)[-1]) == "changed"


# -- polls --


def test_poll_is_shipped_then_polled_then_stored(world):
    world.start("--contact", "mailto:x@example.org")
    source = world.add(world.template(), "/a", last_ok=1234)
    world.web.pages["/a"] = (200, {"ETag": 'W/"v 1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Age": "5"},
                             listing((1, "/1", "one"), (2, "/2?utm_source=a", "two")))
    world.ack_batches = False
    due = world.due(source)
    world.pump(lambda: world.batches and world.outcomes)
    world.settle()
    assert [o["kind"] for o in world.outcomes] == [POLLED]
    assert world.outcomes[0]["items"] == 2 and not world.outcomes[0]["has_state"]
    world.ack(world.batches[0])
    world.pump(lambda: len(world.outcomes) == 2)
    polled, stored = world.outcomes
    assert stored["kind"] == STORED and stored["due"] == due and result(stored) == "changed" and stored["fresh"] == 2
    assert stored["has_state"] and stored["etag"] == 'W/"v 1"' and stored["body_hash"]
    assert stored["last_modified"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert stored["last_ok"] == stored["started"] - 5000 and abs(stored["started"] - world.now()) < 10000
    assert [(i["key"], i["title"], i["url"], i["part"]) for i in world.items()] == [
        ("1", "one", world.web.url("/1"), LIST), ("2", "two", world.web.url("/2?utm_source=a"), LIST)]
    assert [i["url_norm"] for i in world.items()] == [
        world.web.url(path).replace("http:", "https:") for path in ("/1", "/2")]
    poll, = polls(world)
    assert poll["absent"] == 1234 and not poll["backfill"] and poll["due"] == due
    assert poll["started"] <= poll["fetched"] and poll["started"] == stored["started"]
    assert world.batches[0]["templates"][0][1] == "t" and world.batches[0]["sources"][0][2] == world.web.url("/a")
    agent = world.web.requests[0][2]["User-Agent"]
    assert agent.startswith("rtm/") and agent.endswith("(+mailto:x@example.org)")


def test_conditional_get_and_unchanged_bodies(world):
    world.start()
    source = world.add(world.template(), "/a")
    body = listing((1, "/1", "one"))

    def page(request):
        if request.headers.get("If-None-Match") == '"1"':
            assert request.headers.get("If-Modified-Since") == "yesterday"
            return 304, {}, b""
        return 200, {"ETag": '"1"', "Last-Modified": "yesterday"}, body

    world.web.pages["/a"] = page
    assert polls(world) == [] and result(world.poll(source)[-1]) == "changed"
    assert polls(world)[0]["backfill"]
    o, = world.poll(source)
    assert o["kind"] == BOTH and result(o) == "not_modified" and o["has_state"] and o["etag"] == '"1"'
    assert o["last_ok"] == o["started"] and o["body_hash"] == world.outcomes[1]["body_hash"]
    world.web.pages["/a"] = (200, {"ETag": '"2"'}, body)  # the same body under another validator
    o, = world.poll(source)
    assert result(o) == "unchanged" and o["etag"] == '"2"' and o["last_modified"] == ""
    world.web.pages["/a"] = (200, {}, body + "<!-- another body, no news -->")
    o, = world.poll(source)
    assert result(o) == "unchanged" and o["etag"] == "" and len(world.items()) == 1
    world.web.pages["/a"] = (200, {}, listing((2, "/2", "two"), (1, "/1", "one, changed")))
    world.poll(source)
    assert [i["key"] for i in world.items()] == ["1", "2", "1"]
    assert polls(world)[1]["absent"] == o["last_ok"] and not polls(world)[1]["backfill"]


def test_state_comes_from_the_broker_and_a_generation_voids_it(world):
    world.start()
    template = world.template()
    source = world.add(template, "/a", etag='"x"', last_modified="then", last_ok=99)
    world.web.pages["/a"] = lambda r: (304, {}, b"") if "If-None-Match" in r.headers else (200, {}, listing((1, "/1", "o")))
    assert result(world.poll(source)[-1]) == "not_modified"
    assert world.web.requests[0][2]["If-None-Match"] == '"x"'
    cells = [source, template[0], world.web.url("/a"), "", '"x"', "then", 0, 99, 7]
    world.broker.send("ASSIGN", epoch=world.epoch, slot=1, slot_start=1, sources=[cells])
    o = world.poll(source)[-1]
    assert result(o) == "changed" and o["generation"] == 7
    assert "If-None-Match" not in world.web.requests[1][2]


def test_new_template_version_reads_again(world):
    world.start()
    template = world.template()
    source = world.add(template, "/a")
    world.web.pages["/a"] = (200, {"ETag": '"1"'}, listing((1, "/1", "one")))
    world.poll(source)
    document = json.loads(template[3])
    document["fields"]["title"] = "a::attr(href)"
    world.broker.send("ASSIGN", epoch=world.epoch, slot=1, slot_start=1,
                      templates=[[template[0], 2, "t", json.dumps(document)]])
    o = world.poll(source)[-1]
    assert result(o) == "changed" and world.items()[-1]["title"] == "/1"
    assert "If-None-Match" not in world.web.requests[-1][2]


def test_permanent_redirects_are_adopted(world):
    world.start()
    source, temporary, gone = world.add(world.template(), "/old", "/temp", "/was")
    world.web.pages["/old"] = (301, {"Location": "/mid"}, b"")
    world.web.pages["/mid"] = (308, {"Location": "/new"}, b"")
    world.web.pages["/new"] = (200, {}, listing((1, "1", "one")))
    world.web.pages["/temp"] = (302, {"Location": "/new"}, b"")
    world.web.pages["/was"] = (301, {"Location": "/nothing"}, b"")
    assert world.poll(source)[-1]["fetch_url"] == world.web.url("/new")
    world.poll(source)
    assert len(world.web.asked("/old")) == 1 and len(world.web.asked("/new")) == 2
    for times, status in enumerate((302, 303, 307), 1):
        world.web.pages["/temp"] = (status, {"Location": "/new"}, b"")
        assert world.poll(temporary)[-1]["fetch_url"] == ""
        assert len(world.web.asked("/temp")) == times
    o, = world.poll(gone)
    assert error(o) == "not_found" and not o["has_state"]
    # what was adopted and is gone is given up again
    del world.web.pages["/new"]
    world.web.pages["/old"] = (200, {}, listing((2, "2", "two")))
    assert error(world.poll(source)[-1]) == "not_found"
    assert result(world.poll(source)[-1]) == "changed" and world.outcomes[-1]["fetch_url"] == ""


# -- dues --


def test_late_dues_and_steps(world):
    world.start()
    source = world.add(world.template(), "/a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    now = world.due(source, offset=-3000, step=1000, count=3)
    world.pump(lambda: any(o["due"] == now + 2000 and o["kind"] == STORED for o in world.outcomes))
    skipped = [o for o in world.outcomes if result(o) == "skipped"]
    assert [(o["due"] - now, error(o), o["kind"]) for o in skipped] == [(0, "missed_while_down", BOTH),
                                                                       (1000, "missed_while_down", BOTH)]
    start = time.monotonic()
    due = world.due(source, offset=200, step=300, count=2)
    world.pump(lambda: world.of_source(source, due + 300))
    assert 0.45 < time.monotonic() - start < 3
    assert [o["due"] for o in world.outcomes[-2:]] == [due, due + 300]


def test_unknown_sources_fail_visibly(world):
    world.start()
    due = world.due(4711)
    world.pump(lambda: world.of_source(4711, due))
    assert error(world.of_source(4711, due)[0]) == "internal"


def test_an_assignment_that_was_refused_comes_again(world):
    most, answer, seen = 1 << 17, world.on_broker, [0]

    def count(kind, m):  # the broker's disk is full: nothing is acknowledged
        seen[0] = m["outcomes"][-1][0] if kind == "OUTCOMES" else seen[0]
        if kind != "OUTCOMES":
            answer(kind, m)

    world.on_broker = count
    world.start()
    for _ in range(2):
        world.due(4711, step=1, count=most)  # an unknown source's are settled at once
    world.pump(lambda: seen[0] == 2 * most)
    world.add(world.template(), "/a")
    world.pump(lambda: [m for m in world.of("ERROR") if m.get("code") == 503])
    assert len(world.of("INVENTORY")) == 1
    world.broker.send("OUTCOMES_ACK", seq=seen[0])
    world.pump(lambda: len(world.of("INVENTORY")) == 2)
    assert not world.of("INVENTORY")[1].get("holdings")


def test_politeness(world):
    world.start()
    template = world.template(politeness={"concurrency": 2, "gap": "100ms"})
    sources = world.add(template, *[f"/{i}" for i in range(8)])
    for i in range(8):
        world.web.pages[f"/{i}"] = lambda r: (time.sleep(0.3), (200, {}, listing((1, "/1", "one"))))[1]
    start = world.now()
    for i, s in enumerate(sources):
        world.due(s, offset=i - 8, at=start)
    world.pump(lambda: len([o for o in world.outcomes if o["kind"] == STORED]) == 8)
    times = [t for t, _, _ in world.web.requests]
    assert min(b - a for a, b in zip(times, times[1:])) > 0.08
    assert world.web.most <= 2
    assert sorted(p for _, p, _ in world.web.requests) == [p for _, p, _ in world.web.requests]  # in order of dues


def test_revoked_sources_are_dropped(world):
    world.start()
    template = world.template()
    running, waiting = world.add(template, "/slow", "/b")
    let = threading.Event()
    world.web.pages["/slow"] = lambda r: (let.wait(10), (200, {}, listing((1, "/1", "one"))))[1]
    world.due(running)
    world.due(waiting, offset=600)
    world.pump(lambda: world.web.asked("/slow"))
    world.broker.send("REVOKE", epoch=world.epoch, sources=[running, waiting, 4711], reason="test")
    world.pump(lambda: sum(len(m.get("sources", [])) for m in world.of("REVOKED")) == 3)
    assert sorted(s for m in world.of("REVOKED") for s in m["sources"]) == sorted([running, waiting, 4711])
    assert [s for m in world.of("REVOKED") for s in m.get("running", [])] == [running]
    world.broker.send("DISCONNECT", epoch=world.epoch, reason="to see the inventory")
    world.pump(lambda: len(world.of("INVENTORY")) > 1 and world.of("INVENTORY")[-1].get("last"))
    held = [row(HOLDING, h) for m in world.of("INVENTORY")[1:] for h in m.get("holdings", [])]
    assert [(h["source"], bool(h["running"])) for h in held] == [(running, True)]
    let.set()
    world.pump(lambda: any(o["kind"] == STORED for o in world.of_source(running)))
    world.settle(0.7)
    assert not world.web.asked("/b") and not world.of_source(waiting)


# -- the sink --


def test_silent_sink_gets_its_batches_again(world):
    world.liveness_ms = 1500
    world.start()
    source = world.add(world.template(), "/a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    world.answer_sink = False
    due = world.due(source)
    world.pump(lambda: len(world.of("HELLO")) > 1)
    world.answer_sink = True
    world.pump(lambda: any(o["kind"] == STORED for o in world.of_source(source, due)))
    assert len(world.batches) >= 2 and all(b == world.batches[0] for b in world.batches)


def test_sink_disconnect_is_answered_with_hello(world):
    world.start()
    for _ in range(5):  # one for each batch that was on its way
        world.sink.send("DISCONNECT", reason="test")
    world.pump(lambda: len(world.of("HELLO")) == 2)
    world.settle()
    assert len(world.of("HELLO")) == 2


def test_credit_bounds_what_is_on_the_wire(world):
    world.credit = 3000
    world.start()
    world.ack_batches = False
    sources = world.add(world.template(), *[f"/{i}" for i in range(5)])
    for i, s in enumerate(sources):
        world.web.pages[f"/{i}"] = (200, {}, listing(*[(n, f"/{n}", "t" * 80) for n in range(20)]))
        due = world.due(s)
        world.pump(lambda: world.of_source(s, due))
    world.settle()
    assert len(world.batches) == 1
    for n in range(1, 6):
        world.pump(lambda: len(world.batches) >= n)
        world.ack(world.batches[n - 1])
    world.pump(lambda: len([o for o in world.outcomes if o["kind"] == STORED]) == 5)
    assert [b["seq"] for b in world.batches] == [1, 2, 3, 4, 5]


def test_backpressure_pauses_polling(world):
    world.options["buffer"] = "64K"
    world.start()
    world.ack_batches = False
    big, small = world.add(world.template(), "/big", "/small")
    world.web.pages["/big"] = (200, {}, listing(*[(n, f"/{n}", "t" * 300) for n in range(300)]))
    world.web.pages["/small"] = (200, {}, listing((1, "/1", "one")))
    world.due(big)
    world.pump(lambda: any(m.get("state") == 2 for m in world.of("HEARTBEAT")))
    o, = world.poll(small)
    assert (result(o), error(o), o["kind"]) == ("skipped", "sink_backpressure", BOTH)
    assert not world.web.asked("/small")
    world.ack_batches = True
    for b in list(world.batches):
        world.ack(b)
    world.pump(lambda: any(o["kind"] == STORED for o in world.of_source(big)))
    seen = len(world.of("HEARTBEAT"))
    world.pump(lambda: any(not m.get("state") for m in world.of("HEARTBEAT")[seen:]))
    assert result(world.poll(small)[-1]) == "changed"


def test_large_listings_come_as_several_batches(world):
    world.start()
    source = world.add(world.template(), "/a")
    world.web.pages["/a"] = (200, {}, listing(*[(n, f"/{n}", f"{n} " * 100) for n in range(2000)]))
    stored = world.poll(source)[-1]
    assert stored["fresh"] == stored["items"] == 2000 and len(world.batches) > 5
    assert sorted(int(i["key"]) for i in world.items()) == list(range(2000))
    world.web.pages["/a"] = (200, {}, listing(*[(n, f"/{n}", f"{n} " * 100) for n in range(-1, 1999)]))
    stored = world.poll(source)[-1]
    assert stored["fresh"] == 1 and len(world.items()) == 2001  # all 2000 were remembered


# -- the end --


def test_a_lease_ends_the_poll_wherever_it_is(world):
    world.start()
    fetching, storing, late = world.add(world.template(), "/slow", "/b", "/c")
    let = threading.Event()
    world.web.pages["/slow"] = lambda r: (let.wait(20), (200, {}, listing((1, "/1", "one"))))[1]
    world.web.pages["/b"] = world.web.pages["/c"] = (200, {}, listing((2, "/2", "two")))
    world.ack_batches = False
    began = time.monotonic()
    due = world.due(fetching, until=1500)
    world.due(storing, until=1500)
    world.due(late, offset=-5000, until=-1000)
    for source in fetching, storing, late:
        world.pump(lambda: any(o["kind"] & STORED for o in world.of_source(source)), what="the outcome")
        last = world.of_source(source)[-1]
        assert (result(last), error(last)) == ("failed", "timeout")
    assert 1.2 < time.monotonic() - began < 4
    assert not world.web.asked("/c")
    let.set()
    world.ack_batches = True
    world.pump(lambda: world.items())  # what was shipped stays so
    assert result(world.poll(storing)[-1]) in ("changed", "unchanged", "not_modified")
    assert world.of_source(fetching, due)[-1]["attempt"] == 0


def test_an_overloaded_miner_does_urgent_work_only(world, tmp_path):
    (tmp_path / "cpu").write_text("some avg10=10.00 avg60=0.00 avg300=0.00 total=1\n")
    world.start("--lazy-cpu", "60", env={"RTM_PRESSURE_DIR": str(tmp_path)})
    low, urgent = world.add(world.template(), "/a", "/b")
    world.web.pages["/a"] = world.web.pages["/b"] = (200, {}, listing((1, "/1", "one")))
    assert result(world.poll(low, priority=0)[-1]) == "changed"
    (tmp_path / "cpu").write_text("some avg10=75.00 avg60=0.00 avg300=0.00 total=1\n")
    beats = lambda: [m.get("state", 0) for p, k, m in world.messages if k == "HEARTBEAT" and p is world.broker]
    world.pump(lambda: beats()[-1] == 3, what="a heartbeat that says overloaded")
    for priority in 0, 1:
        last = world.poll(low, priority=priority)[-1]
        assert (result(last), error(last)) == ("skipped", "overloaded")
    for priority in 2, 3:
        began = time.monotonic()
        assert result(world.poll(urgent, priority=priority)[-1]) != "skipped"
        assert time.monotonic() - began < 1
    (tmp_path / "cpu").write_text("some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n")
    world.pump(lambda: beats()[-1] == 0, what="a heartbeat that says ok")
    assert result(world.poll(low, priority=0)[-1]) != "skipped"


def test_higher_priorities_go_first_at_a_host_and_lower_ones_do_not_starve(world):
    world.start()
    template = world.template(politeness={"concurrency": 1, "gap": "0ms", "robots": False})
    sources = world.add(template, "/first", "/old", *[f"/{n}" for n in range(6)])
    let, order = threading.Event(), []

    def page(request):
        order.append(request.path)
        if request.path == "/first":
            let.wait(10)
        return 200, {}, listing((1, "/1", "one"))
    for path in ["/first", "/old", *[f"/{n}" for n in range(6)]]:
        world.web.pages[path] = page
    world.due(sources[0])
    world.pump(lambda: order)
    world.due(sources[1], offset=-20000, priority=0)  # it has waited for ten slots
    for n, priority in enumerate([0, 1, 0, 2, 3, 3]):
        world.due(sources[2 + n], priority=priority)
    beats = len(world.of("HEARTBEAT"))
    world.pump(lambda: len(world.of("HEARTBEAT")) > beats + 1)  # by then all of them wait at the host
    let.set()
    world.pump(lambda: len(order) == 8, what="all pages")
    of_class = {"/4": 3, "/5": 3, "/3": 2, "/1": 1, "/0": 0, "/2": 0}
    assert order[:2] == ["/first", "/old"] and [of_class[p] for p in order[2:]] == [3, 3, 2, 1, 0, 0], order


def test_drains_when_the_broker_asks(world):
    world.start()
    source = world.add(world.template(), "/a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    world.poll(source)
    world.broker.send("GOODBYE", reason="rtm-ctl drain")
    world.pump(lambda: [m.get("done", False) for m in world.of("GOODBYE")] == [False, True])
    assert world.wait_exit() == 0


def test_drains_on_sigterm(world):
    world.start()
    running, waiting = world.add(world.template(), "/slow", "/b")
    let = threading.Event()
    world.web.pages["/slow"] = lambda r: (let.wait(10), (200, {}, listing((1, "/1", "one"))))[1]
    world.due(running)
    world.due(waiting, offset=500)
    world.pump(lambda: world.web.asked("/slow"))
    world.process.send_signal(signal.SIGTERM)
    world.pump(lambda: world.of("GOODBYE"))
    goodbye = world.of("GOODBYE")[0]
    assert not goodbye.get("done") and goodbye["running"] == [running]
    beats = len(world.of("HEARTBEAT"))
    world.pump(lambda: any(m.get("state") == 1 for m in world.of("HEARTBEAT")[beats:]))
    let.set()
    assert world.wait_exit() == 0
    assert [m.get("done", False) for m in world.of("GOODBYE")] == [False, True]
    assert [o["kind"] for o in world.of_source(running)] == [POLLED, STORED] and not world.of_source(waiting)


def test_second_signal_ends_it_at_once(world):
    world.start()
    source = world.add(world.template(), "/slow")
    let = threading.Event()
    world.web.pages["/slow"] = lambda r: (let.wait(10), (200, {}, b""))[1]
    world.due(source)
    world.pump(lambda: world.web.asked("/slow"))
    world.process.send_signal(signal.SIGINT)
    world.pump(lambda: world.of("GOODBYE"))
    world.process.send_signal(signal.SIGTERM)
    assert world.wait_exit(5) == 1
    let.set()


def test_ends_without_a_broker(world):
    world.answer_broker = world.answer_sink = False
    world.start(join=False)
    world.pump(lambda: world.of("READY"))
    world.process.send_signal(signal.SIGTERM)
    assert world.wait_exit() == 0


@pytest.mark.parametrize("point", ["miner_after_batch_send", "miner_after_ack"])
def test_fail_points(world, point):
    world.start(env={"RTM_FAILPOINT": point})
    source = world.add(world.template(), "/a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    world.due(source)
    assert world.wait_exit() == 66
    world.settle(0.1)
    assert not any(o["kind"] == STORED for o in world.outcomes)


def test_options_are_checked():
    import subprocess
    from simsite import build_dir
    for args in (["operand"], ["--log-level", "loud"], ["--broker", ","], ["--slots", "0"], ["--health", "nonsense"]):
        done = subprocess.run([os.path.join(build_dir(), "rtm-miner"), *args], capture_output=True, timeout=20)
        assert done.returncode == 2 and done.stderr


def test_health(world):
    import urllib.request
    port = closed_port()
    world.start("--health", f"127.0.0.1:{port}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def text(path):
        try:
            return opener.open(f"http://127.0.0.1:{port}{path}", timeout=5).read().decode()
        except OSError:
            return ""

    world.pump(lambda: text("/healthz").startswith("ok"))
    assert "rtm_miner_polls_total 0" in text("/metrics")
