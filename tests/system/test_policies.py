"""Deadlines, queue position, retries, what is kept and for how long, limits, overload, drain, and files of earlier versions: with
real processes and slots of half a second."""
import collections
import datetime
import json
import os
import sqlite3
import threading
import time

import pytest

from cluster import LIBFAKETIME, Cluster, wait_until, wrong_clock
from scripted_peers import Web, listing
from simsite import ROOT

BAD = (404, {}, b"")


def page(*_):
    return 200, {}, listing((1, "/1", "one"))


@pytest.fixture
def web():
    web = Web()
    yield web
    web.close()


@pytest.fixture(scope="module")
def rtm(cluster):
    """A cluster that polls two sources at once, and keeps little."""
    with Cluster(miners=2, slot="500ms", postgres=cluster,
                 broker=dict(max_concurrent=2, tasks_rows=3, dlq_rows=2, miners_keep="2s")) as c:
        yield c


@pytest.fixture
def fresh(rtm):
    """The same, without the templates of other tests."""
    yield rtm
    for t in rtm.ctl_json("tasks"):
        if t["state"] in ("waiting", "running"):
            rtm.ctl("cancel", t["task"])  # refused if it has ended meanwhile
    names = [t["name"] for t in rtm.ctl_json("list")]
    if names:
        rtm.ctl("remove", *names, check=True)
    rtm.ctl("dlq", "drop", "--all", check=True)


def template(web, name, *paths, host="127.0.0.1", **members):
    """Triggered, unless members say otherwise."""
    given = {"name": name, "kind": "html", "urls": [web.url(p, host) for p in paths], "items": "li", "key": "::attr(id)",
            "fields": {"title": "a::text", "url": "a::attr(href)"}, "politeness": {"concurrency": 8, "gap": "0ms", "robots": False},
            "timeout": "2s", **({} if "every" in members or "cron" in members else {"mode": "triggered"}), **members}
    return {k: v for k, v in given.items() if v is not None}


def asked(web, path):
    return len(web.asked(path))


def task(c, number):
    return next(t for t in c.ctl_json("tasks", "--limit", "0") if t["task"] == number)


def trigger(c, name, *options):
    return c.ctl_json("trigger", name, *options)["task"]


def slow(web, seconds, *paths):
    def answer(_):
        time.sleep(seconds)
        return page()
    for path in paths:
        web.pages[path] = answer


# -- deadlines and the queue -----------------------------------------------------------------------


def test_a_deadline_that_nears_overtakes(fresh, web):
    """Behind sixty polls of its priority, for which there are nine seconds to wait, a task waits no longer than until its
    deadline less twice the time that its polls take."""
    crowd = [f"/crowd/{n}" for n in range(60)]
    slow(web, 0.3, "/late", "/last", *crowd)
    fresh.add(template(web, "late", "/late"))
    fresh.add(template(web, "last", "/last"))
    fresh.add(template(web, "crowd", *crowd))
    first = trigger(fresh, "late")  # so that it is known how long a poll takes: 300 ms, 512 to the next power of two
    wait_until(lambda: task(fresh, first)["state"] == "done", what="a first poll")
    trigger(fresh, "crowd")
    wait_until(lambda: asked(web, "/crowd/0") or len(web.requests) > 4, what="a queue")
    began = time.monotonic()
    hurried = trigger(fresh, "late", "--deadline", "+4s")
    wait_until(lambda: asked(web, "/late") == 2, what="it is hurried")
    took = time.monotonic() - began
    print(f"polled after {took:.1f} s of 4, {len(web.requests)} requests before")
    waiting = len(crowd) - sum(1 for _, p, _ in web.requests if p.startswith("/crowd"))
    assert 1 < took < 4 and waiting > 10
    done = wait_until(lambda: (lambda t: t if t["state"] == "done" else None)(task(fresh, hurried)), what="it is done")
    assert not done["deadline_missed"]
    missed = trigger(fresh, "last", "--deadline", "+100ms")
    wait_until(lambda: task(fresh, missed)["deadline_missed"], what="this one cannot be")
    assert "yes" in fresh.ctl("tasks", "last", check=True).stdout
    assert fresh.ctl_json("status")["deadlines_missed"] >= 1


def test_a_template_says_how_often_its_deadline_was_missed(fresh, web):
    slow(web, 1.2, "/d")
    fresh.add(template(web, "d", "/d", every="2s", deadline="1s"))
    wait_until(lambda: fresh.ctl_json("list")[0]["deadlines_missed"] >= 2, what="missed deadlines")
    assert "after their deadline" in fresh.ctl("explain", "d", check=True).stdout
    fresh.broker.wait_log(" deadline_missed .*template=d")


def test_what_is_put_in_front_goes_first(fresh, web):
    crowd = [f"/crowd/{n}" for n in range(12)]
    slow(web, 0.25, "/front", "/back", *crowd)
    fresh.add(template(web, "crowd", *crowd))
    fresh.add(template(web, "front", "/front"))
    fresh.add(template(web, "back", "/back"))
    for name, options in ("crowd", ()), ("back", ("--back",)), ("front", ("--front",)):
        trigger(fresh, name, *options)
    planned = [n["template"] for n in fresh.ctl_json("next", "--limit", "30")]
    assert planned[0] == "front" or asked(web, "/front"), planned
    wait_until(lambda: asked(web, "/back"), what="the last one")
    order = [path for _, path, _ in web.requests]
    assert order.index("/front") <= 5 and order.index("/back") >= 12, order


# -- what is kept ----------------------------------------------------------------------------------


def test_tasks_that_ended_leave_by_count_and_age(fresh, web):
    web.pages["/a"] = page
    fresh.add(template(web, "a", "/a"))
    for _ in range(5):
        last = trigger(fresh, "a")
        wait_until(lambda: task(fresh, last)["state"] == "done", what="it is done")
    three = [last, last - 1, last - 2]
    before = fresh.ctl_json("tasks")
    assert [t["task"] for t in before] == three
    refused = fresh.ctl("cancel", last)
    assert refused.returncode == 1 and f"task {last} has ended already: done" in refused.stderr
    fresh.broker.restart()
    assert fresh.ctl_json("tasks") == before
    fresh.broker.kill()
    fresh.broker.start(tasks_keep="1s")
    waits = trigger(fresh, "a", "--at", "+1h")
    wait_until(lambda: [t["task"] for t in fresh.ctl_json("tasks")] == [waits], what="those that ended leave, who waits stays")
    fresh.broker.kill()
    fresh.broker.start(tasks_keep=None)
    assert [t["task"] for t in fresh.ctl_json("tasks")] == [waits]
    assert fresh.ctl_json("cancel", waits)["state"] == "cancelled"


def test_of_too_many_letters_the_oldest_is_dropped_and_counted(fresh, web):
    before = fresh.ctl_json("status")["dead_letters_dropped"]
    for name in "one", "two", "three":
        web.pages["/" + name] = BAD
        fresh.add(template(web, name, "/" + name, max_consecutive_failures=0))
        trigger(fresh, name)
        wait_until(lambda: any(d["template"] == name for d in fresh.ctl_json("dlq", "list")), what=f"a letter of {name}")

    def told():
        done = fresh.ctl("dlq", "list", check=True)
        assert f"dropped, as there were too many: {before + 1}" in done.stderr, done.stderr
        assert fresh.ctl_json("status")["dead_letters_dropped"] == before + 1
        return [d["template"] for d in fresh.ctl_json("dlq", "list")]
    assert told() == ["three", "two"]
    fresh.broker.restart()
    assert told() == ["three", "two"]
    trigger(fresh, "three")  # again: the same letter, counted
    wait_until(lambda: fresh.ctl_json("dlq", "list")[0]["count"] == 2, what="two failures in one letter")
    fresh.ctl("dlq", "drop", "three", check=True)
    assert [d["template"] for d in fresh.ctl_json("dlq", "list", "two")] == ["two"] == [d["template"] for d in fresh.ctl_json("dlq")]


# -- limits, retries, failures ---------------------------------------------------------------------


def test_limits_of_cluster_and_host(fresh, web):
    lock, now, most = threading.Lock(), collections.Counter(), collections.Counter()

    def busy(kind):
        def answer(_):
            with lock:
                now[kind] += 1
                now["all"] += 1
                for k in kind, "all":
                    most[k] = max(most[k], now[k])
            time.sleep(0.1)
            with lock:
                now[kind] -= 1
                now["all"] -= 1
            return page()
        return answer
    for n in range(6):
        web.pages[f"/one/{n}"], web.pages[f"/many/{n}"] = busy("one"), busy("many")
    one = {"concurrency": 1, "gap": "0ms", "robots": False}
    fresh.add(template(web, "one", *[f"/one/{n}" for n in range(6)], every="1s", politeness=one), "--force")
    fresh.add(template(web, "many", *[f"/many/{n}" for n in range(6)], host="localhost", every="1s"), "--force")
    wait_until(lambda: all(asked(web, f"/{k}/{n}") >= 2 for k in ("one", "many") for n in range(6)), what="two polls of each")
    assert most["one"] == 1 and most["all"] == 2
    lines = fresh.ctl("add", "--replace", "--force", "-", check=True, input=json.dumps(template(
        web, "one", *[f"/one/{n}" for n in range(6)], every="1s", fresh_within="2s",
        politeness={"concurrency": 1, "gap": "1s", "robots": False}))).stdout
    assert "new posts are stored within" in lines and "warning: fresh_within is 2 s, but the best that can be reached is about" in lines
    source = fresh.ctl_json("sources", "one")[0]["source"]
    told = fresh.ctl_json("explain", source)
    assert told["bound_ms"] >= 6000 > told["fresh_within_ms"] == 2000  # six sources, one second between two of them


def test_what_is_tried_again_and_what_is_not(fresh, web):
    policy = {"max_attempts": 3, "initial_interval": "100ms", "max_interval": "200ms"}
    for name in "again", "final", "gone":
        web.pages["/" + name] = (500, {}, b"") if name != "gone" else BAD
    fresh.add(template(web, "again", "/again", retry=policy))
    fresh.add(template(web, "final", "/final", retry={**policy, "non_retryable": ["http_5xx"]}, host="localhost"))
    fresh.add(template(web, "gone", "/gone", retry=policy, max_consecutive_failures=0))
    numbers = [trigger(fresh, name) for name in ("again", "final", "gone")]
    wait_until(lambda: all(task(fresh, n)["state"] == "failed" for n in numbers), what="all are given up")
    assert [asked(web, "/" + name) for name in ("again", "final", "gone")] == [3, 1, 1]


def test_an_outage_makes_no_storm(fresh, web):
    """Sixty sources that fail, each with ten attempts: retries are a tenth of all polls, and what was saved up before."""
    crowd = [f"/crowd/{n}" for n in range(60)]
    for path in crowd:
        web.pages[path] = (200, {}, b"")
    fresh.add(template(web, "crowd", *crowd, max_consecutive_failures=0,
                       retry={"max_attempts": 10, "initial_interval": "100ms", "max_interval": "200ms"}))
    number = trigger(fresh, "crowd")
    wait_until(lambda: task(fresh, number)["state"] == "failed", what="all are given up")
    polls = len(web.requests)
    print(f"{polls} polls of 60 sources")
    assert 60 < polls < 300


def test_history_and_dead_miners_leave_by_age(fresh, web):
    web.pages["/a"] = BAD
    fresh.broker.term()
    fresh.broker.start(history_keep="2s")
    fresh.add(template(web, "a", "/a", max_consecutive_failures=0))
    fresh.add_miner("short")
    states = lambda: {m["miner"]: m["state"] for m in fresh.ctl_json("miners")}
    wait_until(lambda: states().get("short") == "live", what="a miner more")
    fresh.miners.pop().kill()
    wait_until(lambda: states()["short"] == "dead", what="it is dead")
    wait_until(lambda: "short" not in states(), what="it is forgotten")
    first = trigger(fresh, "a")
    wait_until(lambda: fresh.ctl_json("history", "--task", first), what="a row")

    def left():
        trigger(fresh, "a")  # what comes makes room
        return not fresh.ctl_json("history", "--task", first)
    wait_until(left, every=0.3, what="the row is too old")


def test_a_failing_source_falls_behind_and_is_probed_ever_less(cluster, web):
    web.pages["/bad"] = BAD
    web.pages["/sick"] = BAD
    with Cluster(miners=1, slot="500ms", postgres=cluster) as c:
        c.add(template(web, "sick", "/sick", every="1s", max_consecutive_failures=0, priority="high"))
        c.add(template(web, "bad", "/bad", every="1s", max_consecutive_failures=2, retry={"max_attempts": 1}))
        wait_until(lambda: c.ctl_json("explain", "sick")["priority"] == "low", what="it falls")
        assert "lower while it keeps failing" in c.ctl("explain", "sick", check=True).stdout
        wait_until(lambda: c.ctl_json("sources", "bad")[0]["state"] == "quarantined", what="quarantine")
        times = wait_until(lambda: (lambda t: t if len(t) == 3 else None)([at for at, _, _ in web.asked("/bad")]), what="a probe")
        assert 4.5 < times[2] - times[1] < 7  # ten slots,
        wait_until(lambda: 8000 < c.ctl_json("explain", "bad")["next_ms"] - time.time() * 1000 < 10500, what="then twenty")


def test_a_sick_miner_is_relieved_and_nobody_else_is_blamed(cluster):
    """One of two miners reaches nothing, as its proxy does not answer."""
    everywhere = Web("0.0.0.0")
    try:
        everywhere.pages["/a"] = page
        with Cluster(miners=1, slot="1s", postgres=cluster) as c:
            c.add_miner("sick", proxy="http://127.0.0.1:9")
            wait_until(lambda: len(c.ctl_json("miners")) == 2, what="two miners")
            urls = [everywhere.url("/a", f"127.0.0.{n}") for n in range(1, 25)]
            c.add({**template(everywhere, "a", "/a", every="1s"), "urls": urls, "retry": {"max_attempts": 1}})
            c.broker.wait_log(" miner_sick .*miner=sick")
            wait_until(lambda: all(s["miner"] == "miner-0" and s["state"] == "ok" for s in c.ctl_json("sources")),
                       what="the other has all of them, and they are well")
            assert not c.ctl_json("dlq", "list") and "breaker_opened" not in c.broker.log_text()
            failed = {r["miner"] for r in c.ctl_json("history", "a", "--failed", "--limit", "0")}
            assert failed == {"sick"}
    finally:
        everywhere.close()


# -- overload and drain ----------------------------------------------------------------------------


def test_an_overloaded_miner_puts_low_work_off_and_is_in_time_for_critical(cluster, web, tmp_path, monkeypatch):
    """By the default thresholds: CPU pressure of 60 %, and of another miner memory of 85 %."""
    monkeypatch.delenv("RTM_LAZY_CPU")
    monkeypatch.delenv("RTM_LAZY_MEMORY")
    count = iter(range(10 ** 6))
    for path in "/low", "/critical":
        web.pages[path] = lambda _: (200, {}, listing(*[(n, f"/{n}", str(n)) for n in [next(count)]]))
    psi = "some avg10={} avg60=0.00 avg300=0.00 total=1\n"
    (tmp_path / "cpu").write_text(psi.format("59.00"))
    with Cluster(miners=1, slot="500ms", postgres=cluster, env={"RTM_PRESSURE_DIR": str(tmp_path)}) as c:
        for name in "low", "critical":
            c.add(template(web, name, "/" + name, cron="* * * * * *", priority=name))
        wait_until(lambda: asked(web, "/low") > 2 and asked(web, "/critical") > 2, what="both are polled")
        assert c.ctl_json("miners")[0]["state"] == "live"
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 140 kB\n")
        c.env["RTM_PRESSURE_DIR"] = str(tmp_path / "full")
        full = c.add_miner("full")
        wait_until(lambda: {m["miner"]: m["state"] for m in c.ctl_json("miners")}.get("full") == "overloaded", what="no memory")
        assert full.term() == 0
        (tmp_path / "cpu").write_text(psi.format("61.00"))
        wait_until(lambda: {m["miner"]: m["state"] for m in c.ctl_json("miners")}["miner-0"] == "overloaded", what="the miner says so")
        rows = lambda name, result: [r for r in c.ctl_json("history", name) if r["result"] == result]
        wait_until(lambda: any(r["error"] == "overloaded" for r in rows("low", "skipped")), what="it is on record")
        assert "is overloaded and gets only high and critical work" in c.ctl("explain", "low", check=True).stdout
        began, before = time.time() * 1000, asked(web, "/critical")
        wait_until(lambda: asked(web, "/critical") >= before + 4, what="critical work goes on")
        late = [r["started_ms"] - r["first_ms"] for r in rows("critical", "changed") if r["first_ms"] > began]
        print(f"lateness of critical polls, ms: {late}")
        assert len(late) >= 2 and max(late) <= 1000 and not rows("critical", "skipped")


def test_a_miner_is_drained_by_name(cluster, web):
    slow(web, 0.5, "/a")
    slow(web, 0.5, "/b")
    with Cluster(miners=2, slot="500ms", postgres=cluster) as c:
        c.add(template(web, "a", "/a", every="1s"))
        c.add(template(web, "b", "/b", every="1s", host="localhost"))
        wait_until(lambda: len({s["miner"] for s in c.ctl_json("sources")}) == 2 and asked(web, "/a") and asked(web, "/b"),
                   what="a miner for each")
        assert c.ctl_json("drain", "miner-1")["action"] == "draining"
        began = time.monotonic()
        assert c.miners[1].wait(30) == 0 and time.monotonic() - began < 30
        states = {m["miner"]: (m["state"], m["reason"]) for m in c.ctl_json("miners")}
        assert states["miner-1"] == ("gone", "drained") and states["miner-0"][0] == "live"
        before = asked(web, "/a"), asked(web, "/b")
        wait_until(lambda: asked(web, "/a") > before[0] and asked(web, "/b") > before[1], what="the other goes on")
        assert not [r for r in c.ctl_json("history") if r["result"] == "failed"]
        refused = c.ctl("drain", "miner-1")
        assert refused.returncode == 1 and "there is no miner 'miner-1'" in refused.stderr


# -- time and files --------------------------------------------------------------------------------


@pytest.mark.skipif(not LIBFAKETIME, reason="needs the package faketime")
def test_a_time_that_the_clock_skips_or_shows_twice_fires_once(cluster, web):
    """Berlin, 2024: at 02:00 of March 31 it became 03:00, at 03:00 of October 27 it became 02:00. The broker's wall clock is put to
    just before, and runs on."""
    def at(text):
        return datetime.datetime.fromisoformat(text + "+00:00").timestamp() * 1000
    web.pages["/a"] = page
    with Cluster(miners=1, slot="500ms", postgres=cluster, start=False) as c:
        def run_from(text):
            c.env = wrong_clock(TZ="UTC", FAKETIME=f"@{text.replace('T', ' ')}")
            c.broker.start()
            c.env = {}
        run_from("2024-03-31T00:59:55")
        c.sink.start()
        c.add_miner()
        c.add(template(web, "a", "/a", cron="0 30 2 * * *", timezone="Europe/Berlin"))
        wait_until(lambda: asked(web, "/a") == 1, what="the poll of add")
        assert c.ctl_json("explain", "a")["next_ms"] == at("2024-03-31T01:00:00")  # 03:00, the first moment after the gap
        wait_until(lambda: asked(web, "/a") == 2, what="it fires after the gap")
        assert c.ctl_json("explain", "a")["next_ms"] == at("2024-04-01T00:30:00")
        c.broker.kill()
        run_from("2024-10-27T00:29:56")
        wait_until(lambda: asked(web, "/a") == 3, what="what was missed is caught up")
        assert c.ctl_json("explain", "a")["next_ms"] == at("2024-10-27T00:30:00")  # the first 02:30
        wait_until(lambda: asked(web, "/a") == 4, what="it fires")
        assert c.ctl_json("explain", "a")["next_ms"] == at("2024-10-28T01:30:00")  # and not at the second 02:30


def test_a_template_that_is_not_taken_any_more_stays_until_it_is_mended(cluster, web):
    """As when a newer version checks more than the one that took it."""
    web.pages["/a"] = page
    with Cluster(miners=1, slot="500ms", postgres=cluster) as c:
        given = {name: template(web, name, "/a") for name in ("a", "b", "c", "d")}
        for t in given.values():
            c.add(t)
        c.broker.kill()
        db = sqlite3.connect(os.path.join(c.broker.options["state"], "broker.db"))
        for name in "bd":
            db.execute("update templates set json = ? where name = ?", (json.dumps({**given[name], "drop": {"nothing": "x"}}), name))
        db.commit()
        db.close()
        for _ in range(2):
            c.broker.start()
            rows = c.ctl_json("list")
            assert [r["name"] for r in rows] == ["a", "b", "c", "d"]
            assert [r["last_error"].startswith("not taken any more: drop.nothing: ") for r in rows] == [False, True, False, True]
            assert c.ctl_json("show", "b")["template"]["drop"] == {"nothing": "x"}
            refused = c.ctl("enable", "b")
            assert refused.returncode == 1 and "add it anew, or remove it" in refused.stderr
            c.broker.kill()
        c.broker.start()
        assert c.add(given["b"])[0]["action"] == "added"
        c.ctl("remove", "d", check=True)
        trigger(c, "b")
        wait_until(lambda: c.sql("select count(*) from items where template_id = (select template_id from templates where name = 'b')")[0][0],
                   what="its items")
        c.broker.kill()
        c.broker.start()
        assert [(r["name"], r["last_error"]) for r in c.ctl_json("list")] == [("a", ""), ("b", ""), ("c", "")]


@pytest.mark.parametrize("version", [1, 5])
def test_a_broker_goes_on_with_the_file_of_an_earlier_version(cluster, version):
    with open(os.path.join(ROOT, "tests", "data", "store", f"version-{version}.sql"), encoding="utf-8") as dump:
        text = dump.read()
    with Cluster(miners=0, postgres=cluster, start=False) as c:
        os.makedirs(c.broker.options["state"])
        path = os.path.join(c.broker.options["state"], "broker.db")
        db = sqlite3.connect(path)
        db.executescript(text)
        names = [n for n, in db.execute("select name from templates order by name")]
        sources = db.execute("select count(*) from sources").fetchone()[0]
        assert db.execute("pragma user_version").fetchone()[0] == version and names
        db.close()
        c.broker.start()
        assert [t["name"] for t in c.ctl_json("list")] == names
        assert len(c.ctl_json("sources")) == sources
        for command in "tasks", "dlq", "history", "errors", "next", "miners":
            c.ctl(command, check=True)
        c.ctl("explain", c.ctl_json("sources")[0]["source"], check=True)
