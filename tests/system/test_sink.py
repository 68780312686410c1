"""The sink against a real Postgres: verdicts and rows, resends, crashes, refused rows, hostile peers."""
import random
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import msgpack
import pytest

from pg import Cluster
from scripted_miner import (CHANGED, DETAIL, KNOWN, LACKS_DETAIL, NEW, OLDER, PROBE, REJECTED, T0, WHOLE, Miner, Sink,
                            batch, item, poll_row, source_id, template_id, wait_until)
from simsite import build_dir

MINUTE = 60_000


@pytest.fixture
def sink(database):
    with Sink(database) as sink:
        sink.wait_log(r"postgres state=up")
        yield sink


@pytest.fixture
def miner(sink):
    with Miner() as miner:
        yield miner.connect(sink)


def ms(column):
    return f"round(extract(epoch FROM {column}) * 1000)::bigint"


def row(cluster, database, key, *columns, source=1):
    return cluster.rows(database, f"SELECT {', '.join(columns)} FROM items WHERE source_id = %s AND key = %s",
                        signed(source_id(source)), key)[0]


def signed(u):
    return u - 2**64 if u >= 2**63 else u


# -- verdicts and rows ------------------------------------------------------------------------------------


def test_new_known_changed_older(cluster, database, sink, miner):
    assert miner.store(batch([item("a", 1, title="one", author="me"), item("b", 1)])) == [NEW, NEW]
    assert miner.store(batch([item("a", 1, title="one"), item("b", 2)], due=T0 + MINUTE)) == [KNOWN, CHANGED]
    assert miner.store(batch([item("a", 2, title="two")], due=T0 + 2 * MINUTE)) == [CHANGED]
    assert miner.store(batch([item("a", 7, title="old")], due=T0 + MINUTE)) == [OLDER]
    # a column that the new version lacks keeps its value, the old version is kept
    assert row(cluster, database, "a", "title", "author", "revision", ms("poll"), "content_hash") == (
        "two", "me", 2, T0 + 2 * MINUTE, 2)
    assert cluster.rows(database, "SELECT key, revision, title FROM revisions ORDER BY key") == [
        ("a", 1, "one"), ("b", 1, None)]


def test_every_column(cluster, database, sink, miner):
    miner.beat(1_800_000_000_000)
    wait_until(lambda: miner.pump(20) or True)
    values = item("k", 2**64 - 1, url="http://x/", title="t", author="a", summary="s", content="c", image="i",
                  published=T0 - 5, fields='{"description": "d", "keywords": "x, y"}', url_norm="https://x")
    assert miner.store(batch([values], source=5, absent=T0 - 1000, cause=3, template="news")) == [NEW]
    got = row(cluster, database, "k", "url", "title", "author", "summary", "content", "image", ms("published_at"),
              "fields", "content_hash", ms("first_seen_at"), ms("last_absent_at"), ms("fetched_at"), "backfill",
              "cause", "detail_at", "url_norm", source=5)
    assert got == ("http://x/", "t", "a", "s", "c", "i", T0 - 5, {"description": "d", "keywords": "x, y"}, -1,
                   T0 + 105, T0 - 1000, T0 + 105, False, 3, None, "https://x")
    assert cluster.rows(database, "SELECT template, hex, url FROM sources") == [
        ("news", f"{source_id(5):016x}", f"http://site/{source_id(5)}")]
    assert cluster.rows(database, "SELECT hex, name, fresh_within FROM templates")[0][:2] == (
        f"{template_id('news'):016x}", "news")
    assert cluster.rows(database, "SELECT title, description, url, image, source, author, keywords FROM ingress") == [
        ("t", "d", "http://x/", "i", "news", "a", "x, y")]
    assert cluster.value(database, "SELECT items FROM freshness WHERE source IS NULL") == 1


def test_stored_at_is_broker_time(cluster, database, sink, miner):
    future = int(time.time() * 1000) + 3_600_000
    miner.beat(future)
    deadline = time.monotonic() + 20
    for n in range(1000):  # the sink takes the estimate over with its next tick
        miner.store(batch([item(f"k{n}")]))
        stored = row(cluster, database, f"k{n}", ms("stored_at"))[0]
        if stored >= future:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert future <= stored < future + 60_000


def test_details_complete_a_row_without_a_revision(cluster, database, sink, miner):
    def ship(items, due):
        return miner.store(batch(items, due=due, has_detail=True))
    assert ship([item("a", 1, title="short", fields='{"x": 1}')], T0) == [NEW]
    assert ship([item("a", 1)], T0 + MINUTE) == [LACKS_DETAIL]
    assert ship([item("a", 0, part=PROBE), item("zzz", 0, part=PROBE)], T0 + MINUTE) == [LACKS_DETAIL, LACKS_DETAIL]
    assert ship([item("a", part=DETAIL, title="long", image="i", fields='{"y": 2}')], T0) == [KNOWN]
    assert row(cluster, database, "a", "title", "image", "fields", "revision", "detail_at IS NOT NULL",
               "content_hash") == ("long", "i", {"x": 1, "y": 2}, 1, True, 1)
    assert ship([item("a", 0, part=PROBE)], T0 + MINUTE) == [KNOWN]
    assert ship([item("a", 1)], T0 + 2 * MINUTE) == [KNOWN]
    # details of an older poll than the row's fill only what is empty, and never come twice
    assert ship([item("a", 2, title="new short")], T0 + 3 * MINUTE) == [CHANGED]
    assert ship([item("a", part=DETAIL, title="late", author="filled")], T0 + 2 * MINUTE) == [KNOWN]
    assert ship([item("a", part=DETAIL, title="later", author="again")], T0 + 1 * MINUTE) == [KNOWN]
    assert row(cluster, database, "a", "title", "author", "revision") == ("new short", "filled", 2)
    # details without any addition complete a row too
    assert ship([item("b", 1)], T0) == [NEW]
    assert ship([item("b", part=DETAIL)], T0) == [KNOWN]
    assert ship([item("b", 1)], T0 + MINUTE) == [KNOWN]
    # details of a row that is not there make none: it would keep the item out
    assert ship([item("b", part=DETAIL, author="b"), item("c", 9, part=DETAIL, author="c")], T0 + MINUTE) == [KNOWN, LACKS_DETAIL]
    assert ship([item("c", 9, title="C")], T0) == [NEW]
    assert row(cluster, database, "c", "title", "author", "detail_at") == ("C", None, None)


def test_whole_is_complete_at_once(cluster, database, sink, miner):
    assert miner.store(batch([item("a", 1, part=WHOLE, title="t")], has_detail=True)) == [NEW]
    assert miner.store(batch([item("a", 1)], due=T0 + MINUTE, has_detail=True)) == [KNOWN]
    assert miner.store(batch([item("a", 2, part=WHOLE, title="u")], due=T0 + MINUTE, has_detail=True)) == [CHANGED]
    assert miner.store(batch([item("b", 1)], has_detail=True)) == [NEW]
    assert miner.store(batch([item("b", 1, part=WHOLE)], due=T0 + MINUTE, has_detail=True)) == [KNOWN]
    assert row(cluster, database, "b", "revision", "detail_at IS NOT NULL") == (1, True)


def test_probe_stores_nothing(cluster, database, sink, miner):
    assert miner.store(batch([item("a", part=PROBE)], has_detail=True)) == [LACKS_DETAIL]
    assert cluster.value(database, "SELECT count(*) FROM items") == 0


def test_first_appearance_is_merged(cluster, database, sink, miner):
    """The older poll that comes late tells when the post was first seen, and turns nothing back."""
    assert miner.store(batch([item("a", 2, title="new")], due=T0 + MINUTE, absent=T0 + 5)) == [NEW]
    assert miner.store(batch([item("a", 1, title="old")], due=T0, absent=T0 - MINUTE)) == [OLDER]
    assert row(cluster, database, "a", "title", ms("first_seen_at"), ms("last_absent_at"), "revision") == (
        "new", T0 + 105, T0 - MINUTE, 1)
    # a post of a first poll was never known to be absent; a later poll does not know better
    assert miner.store(batch([item("b", 1)], backfill=True)) == [NEW]
    assert miner.store(batch([item("b", 2)], due=T0 + MINUTE, absent=T0 + 5)) == [CHANGED]
    assert row(cluster, database, "b", ms("last_absent_at"), "backfill") == (None, True)


def test_one_key_often_in_one_batch(cluster, database, sink, miner):
    polls = [poll_row(1, T0 + n * MINUTE) for n in range(4)]
    items = [item("a", 10 + n, title=f"v{n}", poll=n) for n in (1, 3, 0, 2)] + [item("a", 13, poll=3)]
    assert miner.store(batch(items, polls=polls)) == [OLDER, NEW, OLDER, OLDER, KNOWN]
    assert row(cluster, database, "a", "title", "revision", ms("first_seen_at")) == ("v3", 1, T0 + 105)
    # list and details of one key in one batch
    items = [item("b", 1, title="list", poll=0), item("b", 0, part=DETAIL, summary="detail", poll=0)]
    assert miner.store(batch(items, polls=polls, has_detail=True)) == [NEW, KNOWN]
    assert row(cluster, database, "b", "title", "summary", "detail_at IS NOT NULL") == ("list", "detail", True)


def test_a_revert_is_not_turned_back_by_a_late_batch(cluster, database, sink, miner):
    """h1, then (late) h2, then h1 again from the miner that took over: h1 stays."""
    assert miner.store(batch([item("a", 1, title="h1")], due=T0)) == [NEW]
    with Miner("m2") as other:
        other.connect(sink)
        assert other.store(batch([item("a", 1, title="h1")], due=T0 + 2 * MINUTE)) == [KNOWN]
    assert miner.store(batch([item("a", 2, title="h2")], due=T0 + MINUTE)) == [OLDER]
    assert row(cluster, database, "a", "title", "revision") == ("h1", 1)


# -- sessions ---------------------------------------------------------------------------------------------


def test_resend_is_acknowledged_again(cluster, database, sink, miner):
    first = batch([item("a", title="t"), item("b")])
    assert miner.store(first) == [NEW, NEW]
    miner.verdicts.clear()
    miner.socket.send(miner.frame(first, 1))
    miner.pump_until(lambda: 1 in miner.verdicts)
    assert miner.verdicts[1] == [KNOWN, KNOWN]
    miner.connect(sink)  # the same incarnation on a new connection goes on counting
    assert miner.store(batch([item("c")])) == [NEW]
    assert miner.acked == 2
    assert cluster.value(database, "SELECT count(*) FROM items") == 3


def test_a_gap_is_refused(sink, miner):
    assert miner.store(batch([item("a")])) == [NEW]
    miner.socket.send(miner.frame(batch([item("c")]), 3))
    miner.pump_until(lambda: miner.errors)
    assert miner.errors[0][0] == 409
    assert miner.store(batch([item("b")])) == [NEW]
    assert miner.acked == 2


def test_unknown_session_is_told_so(sink):
    with Miner() as miner:
        miner.connect(sink, hello=False)
        miner.ship(batch([item("a")]), greedy=True)
        miner.pump_until(lambda: miner.disconnects)
        assert miner.disconnects[0] == "unknown_session"
        assert miner.settle() == [NEW]


def test_two_miners_on_one_source(cluster, database, sink):
    """Overlapping polls of one source, in both orders: the newest poll's version stays, nothing is double."""
    rng = random.Random(7)
    with Miner("m1") as one, Miner("m2") as two:
        one.connect(sink)
        two.connect(sink)
        for n in range(200):
            due = T0 + n * 1000
            items = [item(f"k{k}", due if k % 3 else 1, title=str(due)) for k in range(20)]
            first, second = rng.sample([one, two], 2)
            first.ship(batch(items, due=due))
            if rng.random() < 0.5:
                second.ship(batch(items, due=due - 1000 * rng.randrange(3)))
        one.settle()
        two.settle()
    assert cluster.value(database, "SELECT count(*) FROM items") == 20
    titles = cluster.rows(database, "SELECT DISTINCT title, content_hash FROM items WHERE content_hash <> 1")
    assert titles == [(str(T0 + 199_000), T0 + 199_000)]
    assert cluster.value(database, "SELECT count(*) FROM revisions r JOIN items i USING (source_id, key)"
                                   " WHERE r.poll >= i.poll OR r.revision >= i.revision") == 0


@pytest.mark.parametrize("together", [False, True])
def test_one_due_polled_twice(cluster, database, sink, together):
    """A miner falls silent, another polls the same due again, and the post has changed between: the later fetch stays,
    whichever comes first."""
    early, late = (batch([item(k, n, title=t) for k in keys], took=took) for n, t, took, keys in (
        (1, "before", 100, ["a", "b"]), (2, "after", 2000, ["a", "b"])))
    with Miner("m1") as one, Miner("m2") as two:
        one.connect(sink)
        two.connect(sink)
        for first, second, source in ((early, late, 1), (late, early, 2)):
            for miner, which in ((one, first), (two, second)):
                miner.ship({**which, "polls": [poll_row(source, T0, took=2000 if which is late else 100)],
                            "sources": [[source_id(source), *which["sources"][0][1:]]]})
                if not together:
                    miner.settle()
            one.settle()
            two.settle()
    assert cluster.rows(database, "SELECT DISTINCT title FROM items") == [("after",)]
    assert cluster.value(database, "SELECT count(*) FROM items") == 4


def test_silent_session_leaves(sink):
    with Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"leave miner=m1 .*reason=silent")


def test_a_miner_that_beats_stays(sink):
    with Miner() as miner:
        miner.connect(sink)
        with Miner("quiet") as quiet:
            quiet.connect(sink)
            deadline = time.monotonic() + 30
            while not sink.log(r"leave miner=quiet"):
                miner.beat(int(time.time() * 1000))
                miner.pump(200)
                assert time.monotonic() < deadline
        assert not sink.log(r"leave miner=m1 ")


# -- hostile input ----------------------------------------------------------------------------------------


def test_malformed_messages_disturb_nobody(cluster, database, sink, miner):
    bad = [b"", b"\xc1", b"\x92", b"garbage" * 100, msgpack.packb(["BATCH"]), msgpack.packb(["NOPE", {}]),
           msgpack.packb(["BATCH", {"seq": "x"}]), msgpack.packb(["BATCH", {"seq": 1, "items": [[5, 0, "k"]]}]),
           msgpack.packb(["BATCH", {"seq": 0}]), msgpack.packb(["READY", {"version": 1}]),
           msgpack.packb(["HELLO", {"version": 99, "miner": "x"}]), msgpack.packb(["HELLO", {"version": 1}]),
           b"\x91" * 12 + b"\xc0", msgpack.packb(["BATCH", {"seq": 1, "items": [[0, 9, "k"]]}]),
           b"\xdd\xff\xff\xff\xff", miner.frame(batch([item("")]), 1),
           miner.frame(batch([item("k")], due=2**62), 1), miner.frame(batch([item("k" * 600)]), 1),
           miner.frame(batch([item("nul\0")]), 1)]
    with Miner("evil") as evil:
        evil.connect(sink)
        for frame in bad:
            before = len(evil.errors)
            evil.socket.send(frame)
            evil.pump_until(lambda: len(evil.errors) > before, what=f"ERROR for {frame[:40]!r}")
            assert evil.errors[-1][0] == 400
        before = len(evil.errors)
        evil.socket.send_multipart([b"two", b"frames"])
        evil.pump_until(lambda: len(evil.errors) > before)
        evil.socket.send(b"\xc4" + bytes(4 * 2**20))
        evil.pump_until(lambda: evil.errors[-1][0] == 413)
    assert miner.store(batch([item("a")])) == [NEW]
    with Miner("huge") as huge:  # beyond what the socket takes: the connection ends, the sink stays
        huge.connect(sink)
        huge.socket.send(bytes(9 * 2**20))
        assert miner.store(batch([item("b")])) == [NEW]
    raw = socket.create_connection(("127.0.0.1", int(sink.endpoint.rsplit(":", 1)[1])))
    raw.sendall(random.Random(1).randbytes(100_000))
    raw.close()
    assert miner.store(batch([item("c")])) == [NEW]
    assert sink.process.poll() is None


def test_what_needs_too_much_memory_is_refused(sink, miner):
    many = batch([])
    many["items"] = [[0, 0, "k"]] * 130_000
    miner.socket.send(miner.frame(many, 1))
    miner.pump_until(lambda: miner.errors)
    assert miner.errors[0][0] == 413
    assert miner.store(batch([item("a")])) == [NEW]


def test_poison_rows_are_isolated(cluster, database, sink, miner):
    surrogate = '{"x": "\\ud800", "y": "\\u0000", "z": "\\ud83d\\ude00", "w": "\\\\u0000"}'
    items = [item(f"good{n}", title="fine") for n in range(300)]
    items[10] = item("date", published=2**62, fields='{"a": 1}')
    items[11] = item("date2", published=-2**62)
    items[20] = item("surrogate", fields=surrogate)
    items[30] = item("nojson", fields='{"x": ')
    items[31] = item("array", fields='[1, 2]')
    items[40] = item("giant", content="x" * (512 << 10), summary="y" * (64 << 10), title="z" * 4096)
    items[50] = item("number", fields='{"x": 1e-20000}')  # numeric has no place for it
    items[60] = item("deep", fields='{"x":' + "[" * 20000 + "]" * 20000 + "}")
    frame = miner.frame(batch(items), 1).replace(b"fine", b"fi\xffe", 1)  # invalid UTF-8 in good0's title
    miner.seq = 1
    miner.socket.send(frame)
    got = miner.settle()
    assert [n for n, v in enumerate(got) if v != NEW] == [50, 60]
    assert got[50] == got[60] == REJECTED
    assert cluster.value(database, "SELECT count(*) FROM items") == 298
    assert row(cluster, database, "good0", "title") == ("fi\ufffde",)
    assert row(cluster, database, "date", "published_at", "fields") == (None, {"a": 1, "published_ms": 2**62})
    assert row(cluster, database, "date2", "published_at", "fields") == (None, {"published_ms": -2**62})
    assert row(cluster, database, "surrogate", "fields")[0] == {"x": "\ufffd", "y": "\ufffd", "z": "\U0001f600",
                                                                "w": "\\u0000"}
    assert row(cluster, database, "nojson", "fields")[0] == {} == row(cluster, database, "array", "fields")[0]
    assert row(cluster, database, "giant", "length(content)")[0] == 512 << 10
    rejects = cluster.rows(database, "SELECT key, reason, batch FROM rejects ORDER BY key")
    assert [r[0] for r in rejects] == ["deep", "number"]
    assert "54001" in rejects[0][1] and "22003" in rejects[1][1]
    # what was kept is a batch that a sink takes
    kind, members = msgpack.unpackb(bytes(rejects[1][2]))
    assert kind == "BATCH" and members["items"][0][2] == "number" and len(members["items"]) == 1
    miner.seq = 2
    miner.socket.send(miner.frame({**members, "items": [members["items"][0][:11] + ["{}"]]}, 2))
    assert miner.settle() == [NEW]


def test_credit_is_shared_and_enforced(cluster, database):
    with Cluster() as away:  # a server that is not there any more: nothing is committed
        conninfo = away.create()
    with Sink(conninfo, "--memory", "2M") as sink:
        with Miner("a") as a, Miner("b") as b:
            a.connect(sink)
            assert a.credit == 2 << 20
            b.connect(sink)
            assert b.credit == 1 << 20
            big = batch([item("k", content="x" * (200 << 10))])
            for _ in range(5):
                b.ship(big, greedy=True)
            b.pump(200)
            assert not b.disconnects
            for _ in range(3):
                b.ship(big, greedy=True)
            b.pump_until(lambda: b.disconnects)
            assert b.disconnects[0] == "credit_exceeded"
            a.ship(big)
            a.pump(200)
            assert not a.disconnects and not a.acked


# -- Postgres and the sink die ------------------------------------------------------------------------------


def test_postgres_down_at_start(database):
    with Cluster() as pg:
        conninfo = pg.create()
        pg.stop()
        with Sink(conninfo) as sink, Miner() as miner:
            sink.wait_log(r"postgres state=down reason=")
            miner.connect(sink)
            miner.ship(batch([item("a")]))
            miner.pump(300)
            assert miner.acked == 0
            pg.start()
            assert miner.settle() == [NEW]
            assert len(sink.log(r"postgres state=down")) == 1


def test_bad_config_says_so_and_keeps_trying(cluster):
    with Sink(cluster.conninfo("nowhere") + " password=sesame") as sink, Miner() as miner:
        reason = sink.wait_log(r'postgres state=down reason="(.*)"').group(1)
        assert '"nowhere" does not exist' in reason
        cluster.create("nowhere")
        miner.connect(sink)
        assert miner.store(batch([item("a")])) == [NEW]
        assert not sink.log("sesame")


def test_postgres_dies_mid_flow():
    """Immediate stops and kill -9 while batches flow: all is there once, and nothing was acknowledged early."""
    rng = random.Random(3)
    with Cluster() as pg:
        conninfo = pg.create()
        with Sink(conninfo) as sink, Miner() as miner:
            sink.wait_log(r"postgres state=up")
            miner.connect(sink)
            expected = {}
            for round_number in range(4):
                for n in range(40):
                    due = T0 + round_number * MINUTE + n
                    items = [item(f"k{rng.randrange(3000)}", due, title=str(due)) for _ in range(50)]
                    for i in items:
                        expected[i[2]] = str(due)
                    miner.ship(batch(items, due=due))
                miner.pump(rng.randrange(1, 30))
                acked = miner.acked
                pg.stop("immediate") if round_number % 2 else pg.kill()
                pg.start()
                done = [k for k in range(1, acked + 1)]
                assert not done or pg.value(conninfo, "SELECT count(*) FROM items") > 0
            miner.settle(60)
            assert sink.log(r"postgres state=down") and len(sink.log(r"postgres state=up")) >= 2
            rows = dict(pg.rows(conninfo, "SELECT key, title FROM items"))
            assert rows == expected


def test_postgres_dies_between_definitions_and_rows():
    """What a crash takes of the source that rows belong to is written again with them."""
    with Cluster(wal_writer_delay="10s") as pg:  # what nobody waits for is not on disk for long
        conninfo = pg.create()
        with Sink(conninfo) as sink, Miner() as miner:
            sink.wait_log(r"postgres state=up")
            miner.connect(sink)
            lock = pg.connect(conninfo)
            lock.autocommit = False
            lock.cursor().execute("LOCK TABLE items IN EXCLUSIVE MODE")
            miner.ship(batch([item("k", T0)]))
            wait_until(lambda: miner.pump(10) or pg.value(conninfo, "SELECT count(*) FROM sources"), what="the definition")
            pg.kill()
            pg.start()
            assert miner.settle() == [NEW]
            assert pg.rows(conninfo, "SELECT key FROM items JOIN sources USING (source_id)") == [("k",)]


def test_of_two_versions_of_a_template_in_one_group_the_last_counts(cluster, database):
    with Sink(database) as sink, Miner() as miner:
        miner.connect(sink)
        miner.store(batch([item("a")]))
        lock = cluster.connect(database)
        lock.autocommit = False
        lock.cursor().execute("LOCK TABLE items IN EXCLUSIVE MODE")
        miner.ship(batch([item("b")], due=T0 + 1))  # waits for the lock, and the next two, as one group, for it
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: miner.pump(10) or cluster.value(database, waits), what="the first to wait")
        miner.ship(batch([item("c")], due=T0 + 2, keep_items=1000))
        miner.ship(batch([item("d")], due=T0 + 3, keep_items=2000))
        miner.pump(200)
        lock.rollback()
        assert miner.settle() == [NEW] and cluster.value(database, "SELECT count(*) FROM items") == 4
        assert cluster.rows(database, "SELECT keep_items FROM templates") == [(2000,)]


def test_frozen_postgres_does_not_stop_a_shutdown():
    with Cluster() as pg:
        conninfo = pg.create()
        with Sink(conninfo) as sink, Miner() as miner:
            miner.connect(sink)
            miner.store(batch([item("a")]))
            backend = pg.value(conninfo, "SELECT pid FROM pg_stat_activity WHERE application_name = 'rtm-sink'")
            pg.freeze(backend)
            miner.ship(batch([item("b")]))
            miner.pump(100)
            assert sink.stop() == 0
            assert miner.acked == 1
            pg.thaw(backend)


def test_sink_killed_between_commit_and_ack(cluster, database):
    with Miner() as miner:
        first = batch([item(f"k{n}", title="t") for n in range(100)])
        with Sink(database, RTM_FAILPOINT="sink_after_commit") as sink:
            miner.connect(sink)
            miner.ship(first)
            wait_until(lambda: sink.process.poll() is not None)
            assert sink.process.returncode == 66
            miner.pump(50)
            assert miner.acked == 0
        assert cluster.value(database, "SELECT count(*) FROM items") == 100
        with Sink(database) as sink:
            miner.connect(sink)
            assert miner.settle() == [KNOWN] * 100
        assert cluster.rows(database, "SELECT count(*), max(revision) FROM items") == [(100, 1)]


def test_sink_killed_and_restarted_mid_flow(cluster, database):
    """kill -9 at random instants: after the last resend all rows are there, each once."""
    rng = random.Random(11)
    expected = {}
    with Miner() as miner:
        for round_number in range(6):
            with Sink(database) as sink:
                miner.connect(sink)
                for n in range(30):
                    due = T0 + round_number * MINUTE + n
                    items = [item(f"k{rng.randrange(2000)}", due, title=str(due)) for _ in range(40)]
                    expected.update({i[2]: str(due) for i in items})
                    miner.ship(batch(items, due=due))
                miner.pump(rng.randrange(1, 60))
                sink.kill()
        with Sink(database) as sink:
            miner.connect(sink)
            miner.settle()
    assert dict(cluster.rows(database, "SELECT key, title FROM items")) == expected


def test_sigterm_commits_what_was_taken(cluster, database):
    with Sink(database) as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        for n in range(20):
            miner.ship(batch([item(f"k{n}-{i}") for i in range(100)]))
        miner.pump_until(lambda: miner.acked >= 1)
        assert sink.stop() == 0
        miner.pump(300)
        stored = cluster.value(database, "SELECT count(*) FROM items")
        assert stored == 100 * miner.acked


# -- schema -------------------------------------------------------------------------------------------------


def test_four_sinks_start_at_once(cluster, database):
    sinks = [Sink(database) for _ in range(4)]
    try:
        threads = [threading.Thread(target=s.__enter__) for s in sinks]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for s in sinks:
            s.wait_log(r"postgres state=up")
        for number, in cluster.rows(database, "SELECT number FROM schema_migrations"):
            assert sum(len(s.log(rf"migration number={number} ")) for s in sinks) == 1
        assert cluster.value(database, "SELECT count(*) FROM schema_migrations WHERE number IN (1, 3)") == 2
        assert not any(s.log(r"migration_failed") for s in sinks)
    finally:
        for s in sinks:
            s.stop()


def test_several_sinks_write_the_same_rows(cluster, database):
    """Three sinks, the same keys in different order: no deadlock, each row once, the newest poll on top."""
    with Sink(database) as a, Sink(database) as b, Sink(database) as c:
        miners = [Miner(f"m{n}").connect(s) for n, s in enumerate((a, b, c))]
        try:
            rng = random.Random(5)
            for n in range(150):
                for k, miner in enumerate(miners):
                    due = T0 + n * 1000 + k
                    keys, more = rng.sample(range(n * 5, n * 5 + 600), 150), rng.sample(range(n * 5, n * 5 + 600), 40)
                    miner.ship(batch([item(f"k{key}", due, title=str(due)) for key in keys] +
                                     [item(f"k{key}", due, DETAIL, content=str(due)) for key in more], due=due))
            for miner in miners:
                miner.settle()
            for s in (a, b, c):
                assert not s.log(r"state=down")
        finally:
            for miner in miners:
                miner.close()
    assert cluster.value(database, "SELECT count(*) FROM items WHERE title::bigint <> content_hash") == 0
    assert cluster.value(database, "SELECT count(*) FROM revisions r JOIN items i USING (source_id, key)"
                                   " WHERE r.poll >= i.poll") == 0
    # the sinks have ended, so all statistics are in
    assert cluster.value(database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


def test_a_row_that_comes_between_look_and_insert(cluster, database, sink, miner):
    """Another sink commits the same new key after this one has looked: it is merged, and nobody else suffers."""
    assert miner.store(batch([item("first")])) == [NEW]
    columns = [c for (c,) in cluster.rows(database, "SELECT column_name FROM information_schema.columns"
                                                    " WHERE table_name = 'items'")]
    for due, verdict, title in ((T0 + MINUTE, CHANGED, "newer"), (T0 - MINUTE, OLDER, "theirs")):
        key = f"raced-{verdict}"
        values = {"key": "%(key)s", "title": "'theirs'", "content_hash": "77"}
        other = cluster.connect(database)
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute(f"INSERT INTO items ({', '.join(columns)}) SELECT"
                           f" {', '.join(values.get(c, c) for c in columns)} FROM items WHERE key = 'first'",
                           {"key": key})
            miner.ship(batch([item("a-" + key), item(key, 5, title="newer"), item("z-" + key)], due=due))
            wait_until(lambda: miner.pump(1) or cluster.value(
                "postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"),
                what="the sink waits for the other transaction")
            other.commit()
        other.close()
        assert miner.settle() == [NEW, verdict, NEW]
        assert row(cluster, database, key, "title") == (title,)
    assert not sink.log(r"state=down|rejected")


def test_keys_are_looked_up_in_the_primary_key(cluster, database):
    """Not in another index that begins with source_id, once the table is not tiny: a source may have a million items."""
    def scans():
        return dict(cluster.rows(database, "SELECT indexrelname, idx_scan FROM pg_stat_user_indexes"
                                           " WHERE relname = 'items'"))
    with Miner() as miner:
        with Sink(database) as sink:
            miner.connect(sink)
            for n in range(10):
                miner.store(batch([item(f"k{n}-{k}", title="t" * 50) for k in range(1000)]))
        with Sink(database) as sink:  # statistics are told at the latest when the session ends
            miner.connect(sink)
            before = wait_until(lambda: scans()["items_pkey"] and scans())
            assert set(miner.store(batch([item(f"k3-{k}") for k in range(1000)], due=T0 + MINUTE))) == {KNOWN}
    after = wait_until(lambda: scans()["items_pkey"] >= before["items_pkey"] + 1000 and scans())
    assert after["items_newest_of_source"] == before["items_newest_of_source"]


def test_newer_schema_is_left_alone(cluster, database):
    with Sink(database) as sink:
        sink.wait_log(r"postgres state=up")
    cluster.execute(database, "INSERT INTO schema_migrations VALUES (999, 'future')")
    with Sink(database) as sink:
        sink.wait_log(r"schema_too_new database=999")


def test_readers_are_notified(cluster, database, sink, miner):
    connection = cluster.connect(database)
    try:
        connection.cursor().execute("LISTEN rtm_items")
        miner.store(batch([item("a")]))
        wait_until(lambda: connection.poll() or connection.notifies)
        connection.notifies.clear()
        assert miner.store(batch([item("a")], due=T0 + MINUTE)) == [KNOWN]
        connection.poll()
        assert not connection.notifies
    finally:
        connection.close()


def test_health_and_metrics():
    def get(path):
        try:
            with urllib.request.urlopen(address + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
    with Cluster() as pg:
        conninfo = pg.create()
        with Sink(conninfo, "--health", "127.0.0.1:0") as sink, Miner() as miner:
            address = sink.wait_log(r"http endpoint=(\S+)").group(1)
            miner.connect(sink)
            miner.store(batch([item("a")]))
            wait_until(lambda: get("/healthz")[0] == 200)
            assert 'rtm_sink_items_total{verdict="new"} 1\n' in get("/metrics")[1]
            pg.stop("immediate")
            miner.ship(batch([item("b")]))
            wait_until(lambda: get("/healthz")[0] == 503)
            assert "Postgres is away" in get("/healthz")[1]


# -- options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--postgres", "postgresql://u:sesame@["], ["--listen", "nonsense"],
                                  ["--memory", "1"], ["--log-level", "loud"],
                                  ["--spool", "/proc/nowhere"], ["--health", "nonsense"], ["operand"]])
def test_bad_options(args):
    done = subprocess.run([f"{build_dir()}/rtm-sink", *(["--listen", "tcp://127.0.0.1:0"] + args)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and done.stderr and "sesame" not in done.stderr
