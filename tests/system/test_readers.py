"""The sink's API: pages and streams in commit order, whatever is open, slow, frozen, cut or away meanwhile."""
import http.client
import json
import os
import re
import resource
import signal
import subprocess
import time

import pytest

from pg import Cluster, free_port
from reader import TOKEN, ApiSink, Frozen, Stream
from scripted_miner import CHANGED, DETAIL, NEW, T0, Miner, Sink, batch, item, source_id, wait_until
from simsite import build_dir, sanitized

pytestmark = pytest.mark.alone

MINUTE = 60_000
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def sink(database, tmp_path):
    with ApiSink(database, tmp_path) as sink:
        yield sink


@pytest.fixture
def miner(sink):
    with Miner() as miner:
        yield miner.connect(sink)


def store(miner, *keys, due=T0, **more):
    miner.store(batch([item(key, due, title=f"title of {key}", url=f"http://x/{key}") for key in keys], due=due, **more))


def copied(cluster, database):
    """An open transaction, and a function that writes into it a copy of the item `first` under another key."""
    columns = [c for (c,) in cluster.rows(database, "SELECT column_name FROM information_schema.columns"
                                                    " WHERE table_name = 'items'")]
    other = cluster.connect(database)
    other.autocommit = False
    cursor = other.cursor()

    def write(key):
        values = {"key": "%(key)s", "tx": "pg_current_xact_id()"}
        cursor.execute(f"INSERT INTO items ({', '.join(columns)}) SELECT"
                       f" {', '.join(values.get(c, c) for c in columns)} FROM items WHERE key = 'first'", {"key": key})
    return other, write


# -- pages --------------------------------------------------------------------------------------------


def test_pages_in_commit_order(sink, miner):
    for n in range(5):
        store(miner, *(f"{n}-{k}" for k in range(7)), due=T0 + n, source=n % 2 + 1)
    for limit in (1, 4, 7, 100):
        keys = [i["key"] for i in sink.all(limit=limit)]
        assert sorted(keys) == sorted(f"{n}-{k}" for n in range(5) for k in range(7))
        assert [k[0] for k in keys] == sorted(k[0] for k in keys), "commits are in order"
    # backwards, the same
    assert [i["key"] for i in sink.all(limit=4, order="newest")] == keys[::-1]
    # a cursor that was read to the end goes on with what comes
    end = sink.page(limit=1000)["cursor"]
    assert sink.page(cursor=end)["items"] == []
    store(miner, "later", due=T0 + MINUTE)
    assert [i["key"] for i in sink.page(cursor=end)["items"]] == ["later"]


def test_filters(sink, miner):
    store(miner, "a", "b", source=1, template="one")
    store(miner, "c", source=2, template="two")
    miner.store(batch([item("d", title="A Big Story", summary="on öl & co", author="Me")], source=2, template="two"))

    def keys(**params):
        return [i["key"] for i in sink.page(**params)["items"]]
    assert keys(template="one") == ["a", "b"]
    assert keys(template="none") == []
    assert keys(source=f"{source_id(2):016x}") == ["c", "d"]
    assert keys(source=f"http://site/{source_id(1)}") == ["a", "b"]
    assert keys(template="one", source=f"{source_id(2):016x}") == []
    assert keys(q="big STORY") == keys(q="me öl") == keys(q="a & co") == ["d"]
    assert keys(q="big c") == ["d"] and keys(q="nothing") == [] and keys(q="title of") == ["a", "b", "c"]
    assert keys(q="%") == keys(q="_' \\") == []
    assert len(keys(since="1h")) == 4 and keys(since="2035-01-01T00:00:00Z") == []
    assert len(keys(since="2020-02-01")) == 4


def test_since_finds_its_place(cluster, database, sink, miner):
    """What changed before a moment is not read at all, however much of it there is."""
    store(miner, "first")
    for hours in range(48, 0, -1):
        cluster.execute(database, "UPDATE items SET tx = pg_current_xact_id(), updated_at = now() - %s * interval"
                                  " '1 hour'", hours)
        cluster.execute(database, "INSERT INTO items SELECT (i).* FROM (SELECT jsonb_populate_record(i, jsonb_build_object("
                                  "'key', 'k' || %s)) FROM items i WHERE key = 'first') x(i)", hours)
    cluster.execute(database, "UPDATE items SET tx = pg_current_xact_id(), updated_at = now() WHERE key = 'first'")
    ages = cluster.rows(database, "SELECT tx::text::bigint, updated_at FROM items ORDER BY tx")
    for hours in (1000, 30, 5, 1, 0):
        moment = f"now() - interval '{hours} hours'"
        begin = cluster.value(database, f"SELECT rtm_since({moment})::text::bigint")
        lost = cluster.value(database, f"SELECT count(*) FROM items WHERE updated_at >= {moment} AND tx < %s::text::xid8",
                             str(begin))
        assert lost == 0
    assert begin > ages[0][0], "it does not begin at the beginning"
    assert cluster.value(database, "SELECT rtm_since('infinity')::text::bigint") > 0


def test_changes_and_details_come_again(sink, miner):
    store(miner, "a", "b", has_detail=True)
    before = sink.page()
    assert miner.store(batch([item("a", 99, title="changed")], due=T0 + MINUTE, has_detail=True)) == [CHANGED]
    after = sink.page(cursor=before["cursor"])
    assert [(i["id"], i["revision"], i["title"]) for i in after["items"]] == [(before["items"][0]["id"], 2, "changed")]
    miner.store(batch([item("b", part=DETAIL, summary="more")], has_detail=True))
    last = sink.page(cursor=after["cursor"])["items"]
    assert [(i["key"], i["revision"], i["summary"], i["detail_at"] is None) for i in last] == [("b", 1, "more", False)]


def test_long_texts_make_short_pages(sink, miner):
    for n in range(6):
        miner.store(batch([item(f"k{n}", content="ü\"\n\x01" * 100_000)], due=T0 + n))
    page = sink.page()
    assert 1 <= len(page["items"]) < 6 and page["more"]
    assert len(sink.all()) == 6
    assert all(i["content"] == "ü\"\n\x01" * 100_000 for i in page["items"])


# -- commit order -----------------------------------------------------------------------------------------


def test_an_open_transaction_hides_what_came_after_it(cluster, database, sink, miner):
    """One that began earlier commits later: what a reader has passed by then can have nothing before it."""
    store(miner, "first")
    with Stream(sink) as stream:
        wait_until(lambda: stream.last)
        other, write = copied(cluster, database)
        write("slow")  # has its transaction id now
        store(miner, "quick", due=T0 + MINUTE)
        assert cluster.value(database, "SELECT count(*) FROM items WHERE key = 'quick'") == 1
        page = sink.page()
        assert [i["key"] for i in page["items"]] == ["first"]
        seen, cursor = [], page["cursor"]
        for _ in range(20):  # a reader that asks again and again is not led past it
            page = sink.page(cursor=cursor)
            seen, cursor = seen + page["items"], page["cursor"]
        assert seen == [] and stream.keys == []
        other.commit()
        other.close()
        wait_until(lambda: len(stream.keys) == 2, what="both on the stream")
        assert stream.keys == ["slow", "quick"]
        assert [i["key"] for i in sink.page(cursor=cursor)["items"]] == ["slow", "quick"]


def test_writers_that_overlap_all_the_time(cluster, database, sink, miner):
    """Many transactions that commit in another order than they began; each row is seen exactly once."""
    store(miner, "first")
    with Stream(sink) as stream:
        wait_until(lambda: stream.last)
        pending, expected = [], []
        for n in range(60):
            other, write = copied(cluster, database)
            write(f"k{n}")
            expected.append(f"k{n}")
            pending.append(other)
            if n % 3 == 2:
                store(miner, f"s{n}", due=T0 + n)
                expected.append(f"s{n}")
            if n % 4 == 3:
                done = pending.pop(n * 7 % len(pending))
                done.commit()
                done.close()
        for other in pending:
            other.commit()
            other.close()
        wait_until(lambda: len(stream.keys) >= len(expected), what="all on the stream")
        assert sorted(stream.keys) == sorted(expected)


def test_a_cursor_from_the_future_is_refused(sink):
    status, _, body = sink.ask("/v1/items", cursor="9999999")
    assert status == 400 and "ahead" in body["error"]
    with Stream(sink, last="9999999") as stream:
        wait_until(lambda: stream.over)
        assert "ahead" in stream.error


def test_a_database_from_a_dump_is_readable(cluster, database, tmp_path):
    """Its items have transaction ids that the new server has yet to give."""
    with ApiSink(database, tmp_path) as sink, Miner() as miner:
        miner.connect(sink)
        for n in (1, 2, 3):
            store(miner, f"k{n}", due=T0 + n)
    cluster.execute(database, "UPDATE items SET tx = (tx::text::bigint + 1000000000)::text::xid8")
    with ApiSink(database, tmp_path) as sink, Miner() as miner:
        assert sink.log(r"restamped items=3 ")
        assert [i["key"] for i in sink.page()["items"]] == ["k1", "k2", "k3"]
        miner.connect(sink)
        store(miner, "k4", due=T0 + 4)
        assert [i["key"] for i in sink.page()["items"]] == ["k1", "k2", "k3", "k4"]
    with ApiSink(database, tmp_path) as sink:
        assert not sink.log(r"restamped")


# -- the stream -------------------------------------------------------------------------------------------


def test_a_lone_item_is_visible_at_once(sink, miner):
    store(miner, "first")
    with Stream(sink) as stream:
        wait_until(lambda: stream.last, what="where it begins")
        took = []
        for n in range(20):
            start = time.monotonic()
            store(miner, f"k{n}", due=T0 + n)
            wait_until(lambda: len(stream.items) > n)
            took.append(time.monotonic() - start)
        assert sorted(took)[10] < 0.1, took
        assert stream.keys == [f"k{n}" for n in range(20)]


def test_resume(sink, miner):
    """From the ring, from the database, from an item and from an empty stream's greeting: just what was missed."""
    store(miner, *(f"a{n:04}" for n in range(1000)))
    first = sink.page(limit=1)["cursor"]
    with Stream(sink, last=first) as stream:  # nobody has listened so far: all this is from the database
        wait_until(lambda: len(stream.items) == 999)
        assert stream.keys == [f"a{n:04}" for n in range(1, 1000)]
        with Stream(sink) as other:
            wait_until(lambda: other.last, what="the greeting's id")
        store(miner, *(f"b{n:02}" for n in range(50)), due=T0 + 1)
        wait_until(lambda: len(stream.items) == 1049)
        with Stream(sink, last=other.last) as again, Stream(sink, cursor=stream.items[1040]["cursor"]) as third:
            wait_until(lambda: len(again.items) == 50 and len(third.items) == 8)
            assert again.keys == [f"b{n:02}" for n in range(50)]
            assert third.keys == [f"b{n:02}" for n in range(42, 50)]


def test_the_stream_s_filters(sink, miner):
    with Stream(sink, template="two") as two, Stream(sink, source=f"http://site/{source_id(1)}") as one, \
            Stream(sink, source=f"{source_id(1):016x}", template="two") as none, Stream(sink) as every:
        wait_until(lambda: two.last and one.last and none.last and every.last)
        store(miner, "a", source=1, template="one")
        store(miner, "b", source=2, template="two")
        wait_until(lambda: len(every.items) == 2 and two.items and one.items)
        assert (two.keys, one.keys, none.keys) == (["b"], ["a"], [])
    with Stream(sink, cursor="0", template="two") as past:  # from the database, too
        wait_until(lambda: past.items)
        store(miner, "c", source=1, template="one", due=T0 + 1)
        store(miner, "d", source=2, template="two", due=T0 + 1)
        wait_until(lambda: len(past.items) == 2)
        assert past.keys == ["b", "d"]


def test_only_so_many_streams(database, tmp_path):
    with ApiSink(database, tmp_path, "--api-streams", "2") as sink:
        with Stream(sink), Stream(sink):
            status, headers, body = sink.ask("/v1/stream")
            assert status == 503 and headers["Retry-After"] and "error" in body
            assert sink.page()["items"] == []
        def room():  # a client that has left is noticed
            try:
                with Stream(sink):
                    return True
            except AssertionError:
                return False
        wait_until(room, 10)


def metric(sink, name):
    status = subprocess.run(["curl", "-s", "--max-time", "10", f"http://{sink.health}/metrics"], capture_output=True,
                            text=True, check=True).stdout
    found = re.search(rf"^{name}(?:{{.*}})? (\d+)$", status, re.M)
    return int(found.group(1)) if found else None


@pytest.fixture
def measured(database, tmp_path):
    """A sink with room for many streams, and with metrics."""
    port = free_port()
    with ApiSink(database, tmp_path, "--api-streams", "12000", "--health", f"127.0.0.1:{port}") as sink:
        sink.health = f"127.0.0.1:{port}"
        yield sink


def rows_per_s(miner, start, rows=20_000):
    """Ships rows of 500 bytes in batches of 100; how fast they were committed."""
    text = "x" * 400
    began = time.monotonic()
    for n in range(start, start + rows, 100):
        miner.ship(batch([item(f"k{n + k:08}", 1, title=text) for k in range(100)], due=T0 + n, source=7))
        miner.pump()
    miner.settle(120)
    return rows / (time.monotonic() - began)


def test_thousands_of_slow_readers_do_not_slow_the_writer(cluster, database, measured):
    """Clients that read nothing fall off the ring and are cut; a reader that keeps up misses nothing meanwhile. Ten
    thousand connections, where so many may be open."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10_000, hard - 2000)
    frozen = []
    with Miner() as miner:
        miner.connect(measured)
        before = max(rows_per_s(miner, n * 20_000) for n in range(2))
        try:
            for _ in range(count):
                frozen.append(Frozen(measured))
            wait_until(lambda: metric(measured, "rtm_sink_api_streams") == count, what="all streams")
            with Stream(measured, source="7" * 16) as idle, Stream(measured, template="t") as keen:
                wait_until(lambda: idle.last and keen.last)
                rates = []
                for n in range(2, 6):
                    rates.append(rows_per_s(miner, n * 20_000))
                wait_until(lambda: metric(measured, "rtm_sink_api_cut_total") >= count, 60, "frozen ones are cut")
                wait_until(lambda: metric(measured, "rtm_sink_api_streams") == 2 - keen.over - idle.over)
                measured.wait_log(r"api_cut .*reason=too_slow")
                assert keen.cut in (None, "too_slow")  # Python may be too slow for a flood
                assert not idle.over
        finally:
            for client in frozen:
                client.socket.close()
        after = max(rows_per_s(miner, n * 20_000) for n in range(6, 8))
    with open(f"/proc/{measured.process.pid}/status") as status:
        peak = int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) / 1024
    print(f"{count} frozen readers: {before:.0f} and {after:.0f} rows/s without, {max(rates):.0f} with; {peak:.0f} MiB")
    assert max(rates) > 0.7 * min(before, after), (before, rates, after)
    assert peak < 128 or sanitized(), f"{peak:.0f} MiB"


def test_a_slow_reader_is_told_and_resumes(measured):
    """It reads, but less than comes: the last it gets is why it is cut; with its last id it then gets the rest."""
    with Miner() as miner:
        miner.connect(measured)
        slow = Frozen(measured)
        answer = http.client.HTTPResponse(slow.socket)
        answer.begin()
        lines = [answer.readline(), answer.readline()]
        assert lines[1].startswith(b"id: ")  # where it begins
        rows_per_s(miner, 0, 40_000)  # three times what the ring holds
        try:
            for line in iter(answer.readline, b""):
                lines.append(line)
                if len(lines) < 1000 and not measured.log(r"api_cut"):
                    time.sleep(0.01)  # this is how slow it is
        except (http.client.HTTPException, OSError):
            lines.append(b"cut in the middle")
        slow.socket.close()
        text = b"".join(lines).decode()
        assert "too_slow" in text or not text.endswith("\n\n")
        ids = re.findall(r"^id: (\S+)\ndata: .*\n\n", text, re.M)
        assert 1 <= len(ids) < 40_000
        with Stream(measured, last=ids[-1]) as stream:
            wait_until(lambda: len(stream.items) + len(ids) >= 40_000 or stream.over, 60)
            keys = stream.keys
            assert keys == sorted(keys) and len(set(keys)) == len(keys)
            assert len(ids) + len(keys) == 40_000


def test_postgres_goes_and_comes(tmp_path):
    with Cluster() as cluster:
        database = cluster.create()
        with ApiSink(database, tmp_path) as sink, Miner() as miner:
            miner.connect(sink)
            store(miner, "a")
            with Stream(sink) as stream:
                wait_until(lambda: stream.last)
                cluster.stop("immediate")
                wait_until(lambda: sink.ask("/v1/items")[0] == 503)
                status, headers, body = sink.ask("/v1/items")
                assert (status, headers["Retry-After"]) == (503, "1") and "Postgres" in body["error"]
                cluster.start()
                wait_until(lambda: sink.ask("/v1/items")[0] == 200)
                store(miner, "b", due=T0 + 1)
                wait_until(lambda: stream.keys == ["b"])
                assert not stream.over


def test_a_query_that_takes_too_long_is_refused(cluster, database, sink, miner):
    store(miner, "a")
    other = cluster.connect(database)
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        status, _, body = sink.ask("/v1/items")
        assert status == 400 and "10 s" in body["error"]
    other.rollback()
    other.close()
    assert len(sink.page()["items"]) == 1


def test_readers_may_be_given_a_standby(tmp_path):
    """It takes no LISTEN, so it is asked again and again; what it has is in order, too."""
    with Cluster() as primary:  # of its own: a copy of all other tests' databases would take a minute
        database = primary.create("one")
        with Sink(database) as sink:
            sink.wait_log(r"postgres state=up")
        with Cluster.standby(primary) as standby, \
                ApiSink(database, tmp_path, "--api-postgres", standby.conninfo("one")) as sink, \
                Miner() as miner, Stream(sink) as stream:
            wait_until(lambda: stream.last)
            miner.connect(sink)
            for n in range(3):
                store(miner, f"k{n}", due=T0 + n)
            wait_until(lambda: stream.keys == ["k0", "k1", "k2"])
            assert [i["key"] for i in sink.page()["items"]] == ["k0", "k1", "k2"]


def test_readers_may_have_a_role_of_their_own(cluster, database, tmp_path):
    cluster.execute("postgres", "DROP ROLE IF EXISTS someone")
    cluster.execute("postgres", "CREATE ROLE someone LOGIN")
    with Sink(database) as sink:
        sink.wait_log(r"postgres state=up")
    cluster.execute(database, "GRANT SELECT ON items, sources, templates TO someone")
    with ApiSink(database, tmp_path, "--api-postgres", database.replace("user=postgres", "user=someone")) as sink, \
            Miner() as miner, Stream(sink) as stream:
        wait_until(lambda: stream.last)
        miner.connect(sink)
        store(miner, "a")
        wait_until(lambda: stream.keys == ["a"])
        assert len(sink.page()["items"]) == 1
        users = cluster.rows(database, "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name ="
                                       " 'rtm-sink api'")
        assert users == [("someone",)]
    cluster.execute(database, "DROP OWNED BY someone")


# -- HTTP -------------------------------------------------------------------------------------------------


def test_methods_paths_and_tokens(sink):
    for path in ("/v1/items", "/v1/stream"):
        for token in (None, "wrong", TOKEN[:-1], TOKEN + "x"):
            status, headers, body = sink.ask(path, token=token)
            assert status == 401 and headers["WWW-Authenticate"].startswith("Bearer") and "token" in body["error"]
        status, headers, body = sink.ask(path, "HEAD")
        assert status == 200 and body == b""
        status, headers, body = sink.ask(path, "OPTIONS", token=None)
        assert status == 204 and headers["Allow"] == "GET, HEAD, OPTIONS"
        for method in ("POST", "PUT", "DELETE"):
            status, headers, body = sink.ask(path, method)
            assert status == 405 and headers["Allow"] == "GET, HEAD, OPTIONS" and "error" in body
    for path in ("/", "/v1", "/v1/items/", "/v1/../etc/passwd", "/v2/items"):
        assert sink.ask(path)[0] == 404
        assert sink.ask(path, token=None)[0] == 401


@pytest.mark.parametrize("params, named", [
    (dict(limit="0"), "limit"), (dict(limit="1001"), "limit"), (dict(limit="x"), "limit"), (dict(limit=""), "limit"),
    (dict(order="up"), "order"), (dict(cursor="x"), "cursor"), (dict(cursor="1.2.3"), "cursor"),
    (dict(cursor="1." + "0" * 16 + ".A"), "cursor"), (dict(cursor="9" * 30), "cursor"), (dict(q=""), "q"),
    (dict(q="x" * 300), "q"), (dict(since="soon"), "time"), (dict(template="\udcff"), "UTF8"), (dict(nope="1"), "nope"),
    ([("limit", "1"), ("limit", "2")], "limit")])
def test_bad_parameters_are_named(sink, params, named):
    pairs = params if isinstance(params, list) else list(params.items())
    query = "&".join(f"{k}=" + "".join(f"%{b:02x}" for b in v.encode(errors="surrogateescape")) for k, v in pairs)
    status, _, body = sink.ask("/v1/items?" + query)
    assert status == 400 and named in body["error"], body


def test_garbage_on_the_port(sink):
    host, port = sink.address.split(":")
    import socket
    for data in (b"\0" * 5000, b"GET /" + b"a" * 100_000, b"GET / HTTP/9.9\r\n\r\n", b"GET /v1/items HTTP/1.1\r\n" +
                 b"X: y\r\n" * 5000 + b"\r\n", b"POST /v1/items HTTP/1.1\r\nContent-Length: 99999999\r\n\r\nx"):
        with socket.create_connection((host, int(port)), 10) as s:
            s.settimeout(1)
            try:
                s.sendall(data)
                s.recv(4096)
            except (TimeoutError, ConnectionError):
                pass
    assert sink.page()["items"] == []


@pytest.mark.parametrize("args, says", [
    (["--api", ":0"], "token"), (["--api-insecure"], "--api"), (["--api", "x", "--api-insecure"], "HOST:PORT"),
    (["--api", ":0", "--api-token-file", "/nowhere"], "/nowhere"),
    (["--api", ":0", "--api-token-file", "short"], "16"), (["--api", ":0", "--api-token-file", "empty"], "no token"),
    (["--api", ":0", "--api-insecure", "--api-token-file", "short"], "exclude")])
def test_bad_options(tmp_path, args, says):
    (tmp_path / "short").write_text("secret\n")
    (tmp_path / "empty").write_text("\n# nothing\n")
    done = subprocess.run([os.path.join(build_dir(), "rtm-sink"), "--listen", "tcp://127.0.0.1:0", *args], cwd=tmp_path,
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and says in done.stderr
    assert "secret" not in done.stderr


def test_without_a_host_it_is_on_loopback(database):
    with Sink(database, "--api", ":0", "--api-insecure") as sink:
        assert sink.wait_log(r"api endpoint=http://127\.0\.0\.1:\d+ .*token=none")


# -- docs/openapi.json ------------------------------------------------------------------------------------


def check(value, schema, spec, where="$"):
    """The part of JSON Schema that the document uses; what it does not know, it refuses."""
    known = {"$ref", "type", "properties", "required", "additionalProperties", "items", "pattern", "format", "minimum",
             "minLength", "description"}
    assert set(schema) <= known, f"the checker does not know {set(schema) - known}"
    if "$ref" in schema:
        return check(value, spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], spec, where)
    types = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "null": type(None)}
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(type(value) is types[n] for n in names), f"{where}: {value!r} is no {names}"
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema["required"]) <= set(value), where
        assert set(value) <= set(schema["properties"]), f"{where}: {set(value) - set(schema['properties'])}"
        for name, member in value.items():
            check(member, schema["properties"][name], spec, f"{where}.{name}")
    if isinstance(value, list):
        for n, entry in enumerate(value):
            check(entry, schema["items"], spec, f"{where}[{n}]")
    if isinstance(value, str):
        assert re.search(schema.get("pattern", ""), value), f"{where}: {value!r}"
        assert len(value) >= schema.get("minLength", 0), where
        if schema.get("format") == "date-time":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value), f"{where}: {value}"
    if "minimum" in schema:
        assert value >= schema["minimum"], where


def test_the_openapi_document_holds(sink, miner):
    with open(os.path.join(ROOT, "docs", "openapi.json"), encoding="utf-8") as file:
        spec = json.load(file)
    full = item("a", 1, url="http://x/", title="t", author="a", summary="s", content="c", image="i", published=T0,
                fields='{"n": [1, {"x": null}]}')
    miner.store(batch([full, item("b", 1)], absent=T0 - 5, has_detail=True, template="news"))
    miner.store(batch([item("a", part=DETAIL)], has_detail=True, template="news"))
    samples = {"template": "news", "source": f"{source_id(1):016x}", "since": "1h", "q": "t", "cursor": "0",
               "limit": "5", "order": "oldest", "Last-Event-ID": "0"}
    content = {path: op["get"]["responses"]["200"]["content"] for path, op in spec["paths"].items()}
    for path, operations in spec["paths"].items():
        assert list(operations) == ["get"]
        declared = operations["get"]["parameters"]
        query = [p["name"] for p in declared if p["in"] == "query"]
        # the server's own list is the document's
        status, _, body = sink.ask(path, nope="1")
        assert status == 400 and body["error"].split("but: ")[1].split() == query
        for p in declared:
            headers = {p["name"]: samples[p["name"]]} if p["in"] == "header" else {}
            params = {p["name"]: samples[p["name"]]} if p["in"] == "query" else {}
            assert sink.ask(path, "HEAD", headers=headers, **params)[0] == 200, p["name"]
            bounds = p["schema"]
            bad = [v for v in ("x" * (bounds["maxLength"] + 1) if "maxLength" in bounds else None,
                               str(bounds["maximum"] + 1) if "maximum" in bounds else None,
                               str(bounds["minimum"] - 1) if "minimum" in bounds else None,
                               "other" if "enum" in bounds else None) if v]
            for value in bad:
                assert sink.ask(path, **{p["name"]: value})[0] == 400, p["name"]
            for value in bounds.get("enum", []):
                assert sink.ask(path, **{p["name"]: value})[0] == 200
        # errors
        for kind, (method, token, params) in {"400": ("GET", TOKEN, {"nope": "1"}), "401": ("GET", None, {}),
                                              "405": ("POST", TOKEN, {})}.items():
            status, headers, body = sink.ask(path, method, token=token, **params)
            schema = operations["get"]["responses"][kind]["content"][headers["Content-Type"]]["schema"]
            assert status == int(kind)
            check(body, schema, spec)
        assert sink.ask(path, "HEAD")[1]["Content-Type"] in content[path]
    assert sink.ask("/v1/nothing")[0] == 404
    # bodies
    page = sink.page(limit=1000)
    check(page, content["/v1/items"]["application/json"]["schema"], spec)
    assert len(page["items"]) == 2
    assert len(sink.page(limit=1)["items"]) == 1
    status, headers, body = sink.ask("/v1/items")
    assert len(body["items"]) <= next(p for p in spec["paths"]["/v1/items"]["get"]["parameters"]
                                      if p["name"] == "limit")["schema"]["default"]
    with Stream(sink, last="0") as stream:
        wait_until(lambda: len(stream.items) == 2)
        for data in stream.items:
            check(data, content["/v1/stream"]["text/event-stream"]["schema"], spec)
    # each member is once null and once not, where it may be null; so none is only in the document
    item_schema = spec["components"]["schemas"]["Item"]
    assert set(page["items"][0]) == set(item_schema["properties"])
    for name, schema in item_schema["properties"].items():
        if "null" not in schema["type"]:
            assert all(i[name] is not None for i in page["items"])
        elif name not in ("template", "source_url", "last_absent_at"):
            assert {i[name] is None for i in page["items"]} == {True, False}, name


# -- rtm-ctl ----------------------------------------------------------------------------------------------


def ctl(sink, *args, **env):
    return subprocess.run([os.path.join(build_dir(), "rtm-ctl"), *args], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "RTM_API": "http://" + sink.address, "RTM_TOKEN_FILE": sink.token_file,
                               **env})


def test_ctl_items(sink, miner):
    miner.store(batch([item("a", title="Old \x1b[31m news", url="http://x/a")], template="one"))
    miner.store(batch([item("b", title="Fresh news", url="http://x/b")], template="two", due=T0 + 1, source=2))
    done = ctl(sink, "items")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and lines[0].endswith("two  Fresh news  http://x/b")
    assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  one  Old \\x1b\[31m news  http://x/a$", lines[1])
    assert len(ctl(sink, "items", "--limit", "1").stdout.splitlines()) == 1
    assert "Old" in ctl(sink, "items", "--template", "one").stdout
    assert "Fresh" not in ctl(sink, "items", "old NEWS").stdout
    found = [json.loads(line) for line in ctl(sink, "items", "--json", "--order", "oldest").stdout.splitlines()]
    assert [i["key"] for i in found] == ["a", "b"]
    again = ctl(sink, "items", "--json", "--order", "oldest", "--from", found[0]["cursor"]).stdout
    assert json.loads(again)["key"] == "b"


def test_ctl_says_what_is_wrong(sink, tmp_path):
    for command in ("items", "tail"):
        done = ctl(sink, command, RTM_TOKEN_FILE="")
        assert done.returncode == 1 and "token" in done.stderr
        done = ctl(sink, command, "--from", "x")
        assert done.returncode == 1 and ("cursor" in done.stderr or "Last-Event-ID" in done.stderr)
        done = ctl(sink, command, "--reach", "200ms", RTM_API="http://127.0.0.1:1")
        assert done.returncode == 3 and "http://127.0.0.1:1" in done.stderr
        done = ctl(sink, command, RTM_TOKEN_FILE=str(tmp_path / "none"))
        assert done.returncode == 2


def established(port):
    """Whether somebody is connected to the port of 127.0.0.1 (state 1 in proc_pid_net(5))."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        return any(row.split()[1] == f"0100007F:{port:04X}" and row.split()[3] == "01" for row in list(file)[1:])


def test_ctl_tail_goes_on_after_a_restart(database, tmp_path):
    port = free_port()
    with Miner() as miner:
        with ApiSink(database, tmp_path, port=port) as sink:
            miner.connect(sink)
            tail = subprocess.Popen([os.path.join(build_dir(), "rtm-ctl"), "tail", "--json", "--count", "30", "--api",
                                     "http://" + sink.address, "--token-file", sink.token_file, "--template", "t"],
                                    stdout=subprocess.PIPE, text=True)
            try:
                lines = []
                wait_until(lambda: established(port), what="it is connected")
                with Stream(sink) as other:  # one that comes later is there: so is tail
                    wait_until(lambda: other.last)
                for n in range(10):
                    store(miner, f"k{n:02}", due=T0 + n)
                    lines.append(json.loads(tail.stdout.readline())["key"])
                sink.kill()
                sink.reader.join(5)
            except BaseException:
                tail.kill()
                raise
        with Sink(database) as between:  # without an API
            between.wait_log(r"postgres state=up")
            miner.connect(between)
            for n in range(10, 20):
                store(miner, f"k{n:02}", due=T0 + n)
        with ApiSink(database, tmp_path, port=port) as sink:
            miner.connect(sink)
            for n in range(20, 30):
                store(miner, f"k{n:02}", due=T0 + n)
            out, _ = tail.communicate(timeout=60)
            lines += [json.loads(line)["key"] for line in out.splitlines()]
    assert tail.returncode == 0
    assert lines == [f"k{n:02}" for n in range(30)]


def test_ctl_tail_for_people(sink, miner):
    tail = subprocess.Popen([os.path.join(build_dir(), "rtm-ctl"), "tail", "--api", sink.address, "--token-file",
                             sink.token_file, "--from", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert miner.store(batch([item("a", title="News", url="http://x/a")])) == [NEW]
        assert re.match(r"20\d\d-\S+ \S+  t  News  http://x/a\n$", tail.stdout.readline())
        assert miner.store(batch([item("a", 2, title="Other")], due=T0 + MINUTE)) == [CHANGED]
        assert "  t  Other (changed)  http://x/a" in tail.stdout.readline()
    finally:
        tail.send_signal(signal.SIGTERM)
        tail.wait(10)


def test_readme_s_commands(sink, miner, tmp_path):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        block = re.search(r"<!-- test: readers -->\n```sh\n(.*?)```", file.read(), re.S).group(1)
    (tmp_path / "token").write_text(TOKEN + "\n")
    miner.store(batch([item("a", title="A release")], template="planet-debian"))
    ran = 0
    for line in block.replace("build/", build_dir() + "/").replace("127.0.0.1:7442", sink.address).splitlines():
        follows = "tail" in line or "stream" in line
        done = subprocess.run(["timeout", "2" if follows else "20", "bash", "-c", line], cwd=tmp_path, capture_output=True,
                              text=True, env={**os.environ, "RTM_API": sink.address})
        assert done.returncode == (124 if follows else 0), (line, done.stderr)
        assert follows or "A release" in done.stdout, line
        assert "rtm-ctl:" not in done.stderr and '"error"' not in done.stdout
        ran += 1
    assert ran == 4
