"""Streams: events are rows at once; whoever dies, and wherever the connection breaks, each event is stored once."""
import json
import pathlib
import re
import time

import pytest

from cluster import Cluster, wait_until
from streamsite import StreamSite


def template(site, **more):
    return {"name": "live", "kind": "stream", "url": site.url, "every": "2s", "timeout": "5s", "politeness": {"gap": "0s"},
            "fields": {"title": "$.title", "n": "$.n"}, **more}


def titles(rtm):
    return [t for t, in rtm.sql("select title from items order by fields->>'n'")]


def numbers(rtm):
    return sorted(int(n) for n, in rtm.sql("select fields->>'n' from items"))


def post(site, numbers):
    for n in numbers:
        site.post({"title": f"event {n}", "n": n})


def source(rtm):
    return rtm.ctl_json("sources", "live")[0]


@pytest.fixture
def rtm(cluster):
    with Cluster(miners=1, postgres=cluster, miner=dict(workers=1)) as c:
        yield c


def test_events_are_rows_at_once(rtm):
    with StreamSite() as site:
        rtm.add(template(site, every="30s"))
        wait_until(lambda: site.written > 0, 20, "a connection, and a comment in its silence")
        took = []
        for n in range(1, 6):
            start = time.monotonic()
            post(site, [n])
            wait_until(lambda: n in numbers(rtm), 10, f"event {n}", every=0.01)
            took.append(time.monotonic() - start)
        print("seconds to the row:", [f"{t:.3f}" for t in took])
        assert max(took) < 2
        rows = rtm.sql("select key, extract(epoch from stored_at - last_absent_at)::float, backfill from items order by key")
        assert [k for k, *_ in rows] == ["1", "2", "3", "4", "5"]
        assert all(delay is not None and delay < 5 and not backfill for _, delay, backfill in rows), rows
        headers = site.requests[0]["headers"]
        assert headers["accept"].startswith("text/event-stream") and "last-event-id" not in headers
        assert source(rtm)["last_result"] in ("changed", "unchanged")


def test_what_stands_there_already_is_backfill(rtm):
    with StreamSite() as site:
        post(site, [1, 2])
        rtm.add(template(site, url=site.url + "?since=0"))
        wait_until(lambda: numbers(rtm) == [1, 2], 20, "rows")
        assert rtm.sql("select backfill, last_absent_at from items") == [(True, None)] * 2


def test_resume_after_a_break(rtm):
    with StreamSite(retry=300) as site:
        rtm.add(template(site))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        post(site, range(1, 4))
        wait_until(lambda: numbers(rtm) == [1, 2, 3], 20, "rows")
        site.drop()
        post(site, range(4, 6))
        wait_until(lambda: numbers(rtm) == [1, 2, 3, 4, 5], 20, "what came between two connections")
        assert site.last_ids() == [None, "3"]
        assert site.requests[1]["at"] - site.requests[0]["at"] >= 0.3
        wait_until(lambda: source(rtm)["last_result"] == "changed" or source(rtm)["items"], 10, "a settled due")
        assert not rtm.miners[0].log_lines("stream_gap")


def test_kill_and_move(cluster):
    with Cluster(miners=2, postgres=cluster) as rtm, StreamSite(retry=200) as site:
        rtm.add(template(site, every="1s"))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        post(site, [1])
        wait_until(lambda: numbers(rtm) == [1], 20, "a row")
        done = 1
        for round_ in range(3):
            post(site, range(done + 1, done + 21))
            done += 20
            wait_until(lambda: len(numbers(rtm)) >= done - 10, 20, "some rows", every=0.005)
            owner = next(m for m in rtm.miners if m.name == source(rtm)["miner"])
            owner.kill()
            post(site, range(done + 1, done + 6))
            done += 5
            wait_until(lambda: numbers(rtm) == list(range(1, done + 1)), 40, "all rows after the move")
            owner.start()
            owner.wait_log(" welcome")
            wait_until(lambda: site.listening == 1, 20, "one connection")
        assert rtm.sql("select count(*), count(distinct key), max(revision) from items") == [(done, done, 1)]


def test_restart_of_the_sink_and_the_broker_loses_nothing(rtm):
    with StreamSite(retry=200) as site:
        rtm.add(template(site))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        post(site, [1])
        wait_until(lambda: numbers(rtm) == [1], 20, "a row")
        rtm.sink.kill()
        post(site, range(2, 10))
        rtm.broker.restart()
        rtm.miners[0].restart()
        rtm.sink.start()
        wait_until(lambda: numbers(rtm) == list(range(1, 10)), 40, "all rows")


def test_back_pressure_pauses_and_drops_nothing(cluster):
    with Cluster(miners=1, postgres=cluster, miner=dict(workers=1, buffer="1M")) as rtm, StreamSite() as site:
        rtm.add(template(site, fields={"title": "$.title", "n": "$.n", "content": "$.content"}))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        post(site, [1])
        wait_until(lambda: numbers(rtm) == [1], 20, "a row")
        rtm.sink.freeze()
        text = "x" * 20000
        for n in range(2, 1002):
            site.post({"title": f"event {n}", "n": n, "content": text})

        def stalled():
            before = site.written
            time.sleep(1)
            return site.written == before
        wait_until(stalled, 30, "the server to be stopped by the miner")
        assert site.written < 16 << 20
        rtm.sink.thaw()
        wait_until(lambda: len(numbers(rtm)) == 1001, 60, "all rows")


def test_silence_is_a_reason_to_come_again(rtm):
    with StreamSite(keepalive=0.5) as site:
        rtm.add(template(site, timeout="2s"))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        time.sleep(3)
        assert len(site.requests) == 1  # comments keep it alive
        site.hold_back = True
        wait_until(lambda: len(site.requests) >= 2, 20, "another connection")
        assert "error=timeout" in rtm.miners[0].log_text()


def test_no_content_means_do_not_come_back(rtm):
    with StreamSite() as site:
        site.status = 204
        rtm.add(template(site))
        wait_until(lambda: source(rtm)["last_error"] == "empty_body", 20, "an outcome")
        time.sleep(3)
        assert len(site.requests) == 1


SPANS = re.compile(r"stream_failed .*again_ms=(\d+)")


@pytest.mark.parametrize("what, error", [("404", "not_found"), ("html", "not_this_kind"), ("503", "http_5xx")])
def test_no_stream(rtm, what, error):
    with StreamSite() as site:
        if what == "html":
            site.content_type = "text/html"
        else:
            site.status = int(what)
        rtm.add(template(site))
        wait_until(lambda: source(rtm)["last_error"] == error, 20, error)
        assert source(rtm)["last_result"] == "failed"
        if what == "404":  # each further time it waits for twice as long, or up to half of that
            spans = wait_until(lambda: len(s := SPANS.findall(rtm.miners[0].log_text())) >= 3 and s[:3], 20, "three attempts")
            assert all(500 * 2 ** i <= int(span) <= 1000 * 2 ** i for i, span in enumerate(spans)), spans


def test_lines_with_an_offset(rtm):
    with StreamSite(kind="lines") as site:
        rtm.add(template(site, offset="$.n", resume=site.url + "?since={}", key="$.n"))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        post(site, range(1, 4))
        wait_until(lambda: numbers(rtm) == [1, 2, 3], 20, "rows")
        site.drop()
        post(site, range(4, 6))
        wait_until(lambda: numbers(rtm) == [1, 2, 3, 4, 5], 20, "rows")
        assert [r["path"] for r in site.requests] == ["/stream", "/stream?since=3"]


def test_try(rtm, tmp_path):
    with StreamSite() as site:
        post(site, range(1, 50))
        path = tmp_path / "live.json"
        path.write_text(json.dumps(template(site, url=site.url + "?since=0")))
        start = time.monotonic()
        done = rtm.ctl("try", "--json", "--allow-private", path, check=True)
        found = json.loads(done.stdout)
        assert [i["n"] for i in found["items"]] == list(range(1, 21)) and found["result"] == "ok"
        assert time.monotonic() - start < 5


def test_a_secret_goes_along(cluster, tmp_path):
    (tmp_path / "key").write_text("s3cret\n")
    (tmp_path / "key").chmod(0o600)
    with Cluster(miners=1, postgres=cluster, miner=dict(secrets=str(tmp_path))) as rtm, StreamSite() as site:
        rtm.add(template(site, auth={"bearer": "key"}))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        assert site.requests[0]["headers"]["authorization"] == "Bearer s3cret"
        post(site, [1])
        wait_until(lambda: numbers(rtm) == [1], 20, "a row")
        assert "s3cret" not in rtm.ctl("show", "live", check=True).stdout
        written = [p for p in pathlib.Path(rtm.folder).rglob("*") if p.is_file() and b"s3cret" in p.read_bytes()]
        assert not written  # neither in the broker's file nor in anybody's log


def test_what_cannot_resume_says_so(rtm):
    with StreamSite(ids=False, retry=100) as site:
        rtm.add(template(site, key="$.n"))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        post(site, [1])
        wait_until(lambda: numbers(rtm) == [1], 20, "a row")
        site.drop()
        wait_until(lambda: len(site.requests) == 2, 20, "another connection")
        rtm.miners[0].wait_log(r" stream_gap .*reason=not_resumed")
        gap = wait_until(lambda: [g for g in rtm.ctl_json("gaps", "live") if g["state"] == "open"], 20, "a gap")[0]
        assert gap["reason"] == "not_resumed" and gap["from_ms"] < gap["to_ms"]
        kept = "select reason, closed_at, extract(epoch from since)::numeric * 1000 from gaps join sources using (source_id)"
        wait_until(lambda: [(r, c, int(s)) for r, c, s in rtm.sql(kept)] == [("not_resumed", None, gap["from_ms"])], 20, "its row")


def test_a_gap_is_told_though_the_miner_dies_before_the_sink_has_it(rtm):
    """Nobody but who found it knows of a gap: the broker hears of it when the sink has it."""
    with StreamSite(ids=False, retry=100) as site:
        rtm.add(template(site, key="$.n", every="1s"))
        wait_until(lambda: rtm.sql("select continuity from sources") == [("continuous",)], 20, "a proof")
        rtm.sink.kill()
        site.drop()
        rtm.miners[0].wait_log(r" stream_gap .*reason=not_resumed")

        def settled():
            status = rtm.ctl_json("status")
            return status["stored"] + status["skipped"]
        before = settled()
        wait_until(lambda: settled() >= before + 2, 20, "dues of the new connection")
        rtm.miners[0].kill()
        rtm.sink.start()
        rtm.miners[0].start()
        wait_until(lambda: site.listening == 1, 20, "a connection")

        def told():
            gaps = {g["from_ms"] for g in rtm.ctl_json("gaps", "live") if g["state"] == "open"}
            return gaps and gaps == {int(s) for s, in rtm.sql("select extract(epoch from since)::numeric * 1000 from gaps")}
        wait_until(told, 20, "the same gaps at the broker and in Postgres")


def test_types_revisions_and_what_cannot_be_read(rtm):
    with StreamSite() as site:
        rtm.add(template(site, events=["update", "message"], key="$.n", drop={"title": "spam"}))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        site.post({"title": "a", "n": 1}, type="update")
        site.post({"title": "no", "n": 2}, type="delete")
        site.post(None, raw="{not JSON")
        site.post({"title": "spam", "n": 3})
        site.post({"title": "b", "n": 1})  # the same key again, at once
        site.post({"title": "c", "n": 1})
        wait_until(lambda: rtm.sql("select title from items") == [("c",)], 20, "the third version")
        assert rtm.miners[0].log_lines("event_unreadable")[0]["error"] == "parse"
        site.drop()
        wait_until(lambda: site.last_ids() == [None, "6"], 20, "nothing stands in the way of the position")


def test_a_source_that_is_taken_away_is_let_go(rtm):
    with StreamSite() as site:
        rtm.add(template(site))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        post(site, [1])
        wait_until(lambda: numbers(rtm) == [1], 20, "a row")
        rtm.ctl("disable", "live", check=True)
        wait_until(lambda: site.listening == 0, 20, "nobody listens")
        post(site, [2])
        rtm.ctl("enable", "live", check=True)
        wait_until(lambda: numbers(rtm) == [1, 2], 20, "what came meanwhile")
        assert site.last_ids() == [None, "1"]


def test_a_changed_template_reads_on(rtm):
    with StreamSite() as site:
        rtm.add(template(site))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        post(site, [1])
        wait_until(lambda: numbers(rtm) == [1], 20, "a row")
        rtm.add(template(site, fields={"title": "$.n", "n": "$.n"}), "--replace", "--force")
        wait_until(lambda: len(site.requests) >= 2 and site.listening == 1, 20, "another connection")
        assert site.last_ids()[-1] == "1"
        post(site, [2])
        wait_until(lambda: "2" in titles(rtm), 20, "a row by the new template")


def test_a_miner_that_drains_hands_over(cluster):
    with Cluster(miners=2, postgres=cluster) as rtm, StreamSite() as site:
        rtm.add(template(site))
        wait_until(lambda: site.listening == 1, 20, "a connection")
        post(site, range(1, 11))
        wait_until(lambda: len(numbers(rtm)) == 10, 20, "rows")
        owner = next(m for m in rtm.miners if m.name == source(rtm)["miner"])
        assert owner.term() == 0
        post(site, range(11, 16))
        wait_until(lambda: numbers(rtm) == list(range(1, 16)), 20, "rows by the other miner")
        assert site.last_ids()[-1] == "10"
