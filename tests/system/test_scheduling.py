"""Scheduling with real processes and slots of a second: what runs beside what, what becomes of failures, tasks."""
import collections
import json
import threading
import time

import pytest

from cluster import Cluster, wait_until
from scripted_peers import Web, listing
from streamsite import StreamSite


@pytest.fixture
def web():
    web = Web()
    yield web
    web.close()


def started(cluster, miners=1, slot="1s", **options):
    return Cluster(miners=miners, slot=slot, postgres=cluster, **options)


def template(web, name, *paths, host="127.0.0.1", **members):
    given = {"name": name, "kind": "html", "urls": [web.url(p, host) for p in paths], "items": "li", "key": "::attr(id)",
            "fields": {"title": "a::text", "url": "a::attr(href)"}, "every": "1s",
            "politeness": {"concurrency": 8, "gap": "0ms"}, **members}
    return {k: v for k, v in given.items() if v is not None}


def page(*_):
    return 200, {}, listing((1, "/1", "one"))


class Busy:
    """Pages that take a while, and note how many run at once, of each kind and which kinds together."""

    def __init__(self, seconds):
        self.seconds, self.lock = seconds, threading.Lock()
        self.now, self.most, self.together = collections.Counter(), collections.Counter(), set()

    def __call__(self, kind):
        def answer(_):
            with self.lock:
                self.now[kind] += 1
                self.most[kind] = max(self.most[kind], self.now[kind])
                self.together.add(frozenset(k for k, n in self.now.items() if n))
            time.sleep(self.seconds)
            with self.lock:
                self.now[kind] -= 1
            return page()
        return answer


def asked(web, path):
    return len(web.asked(path))


def why(c, source):
    return " | ".join(c.ctl_json("explain", source)["why"])


def shares(web, kind):
    """Of the polls of /kind/…: the part of low priority, and the longest that a source of low priority went without one."""
    with web.lock:
        polls = [(at, path.split("/")[2:]) for at, path, _ in web.requests if path.startswith(f"/{kind}/")]
    first = max(at for at, (of, n) in polls if n == "0" and at < polls[0][0] + 5)
    polls = [(at, of, n) for at, (of, n) in polls if at >= first]
    low = [p for p in polls if p[1] == "low"]
    waits = []
    for n in {n for _, _, n in low}:
        times = [at for at, _, m in low if m == n] + [polls[-1][0]]
        waits += [b - a for a, b in zip(times, times[1:])]
    print(f"{kind}: {len(polls)} polls, {len(low)} of low priority, longest wait {max(waits):.1f} s")
    return len(polls), len(low) / len(polls), max(waits), len({n for _, _, n in low})


def test_low_priority_does_not_starve(cluster, web):
    """A host that may be asked ten times a second, and a cluster that may poll two sources at once, each with three times
    as much critical work as that is: low priority has a twentieth at least, and nobody waits for more than ten slots."""
    def slow(_):
        time.sleep(0.15)
        return page()
    for kind in "host", "cluster":
        for n in range(40):
            web.pages[f"/{kind}/critical/{n}"] = web.pages[f"/{kind}/low/{n}"] = slow if kind == "cluster" else page
    with started(cluster) as at_host, started(cluster, broker=dict(max_concurrent=2)) as at_broker:
        for c, kind, gap in (at_host, "host", "100ms"), (at_broker, "cluster", "0ms"):
            for priority, n in ("low", 4), ("critical", 30):
                c.add(template(web, priority, *[f"/{kind}/{priority}/{n}" for n in range(n)], priority=priority,
                               politeness={"concurrency": 8, "gap": gap, "robots": False}), "--force")
        wait_until(lambda: asked(web, "/host/low/0") and asked(web, "/cluster/low/0"), what="first polls")
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 13 and asked(web, "/cluster/low/0") > 2, timeout=60, what="many polls")
        for c, kind in (at_host, "host"), (at_broker, "cluster"):
            polls, share, waited, sources = shares(web, kind)
            assert polls > 80 and sources == 4
            assert share >= 0.05 and waited <= 10
            assert share <= 0.25  # it has no more than its share either
            why = {r["error"] for r in c.ctl_json("history", "low") if r["result"] == "skipped"}
            assert ("still_running" if kind == "host" else "limited") in why, why  # what was put off is on record


def test_what_may_run_at_once(cluster, web):
    busy = Busy(0.3)
    for n in range(3):
        web.pages[f"/few/{n}"], web.pages[f"/a/{n}"], web.pages[f"/b/{n}"] = busy("few"), busy("a"), busy("b")
    with started(cluster, miners=2) as c:
        c.add(template(web, "few", *[f"/few/{n}" for n in range(3)], max_concurrent=1))
        c.add(template(web, "a", *[f"/a/{n}" for n in range(3)]))
        c.add(template(web, "b", *[f"/b/{n}" for n in range(3)], host="localhost", blocks="a"))
        wait_until(lambda: asked(web, "/b/0"), what="a first poll of b")
        with busy.lock:
            busy.together.clear()  # polls that ran when b was added have ended
        before = {k: asked(web, f"/{k}/0") for k in ("few", "a", "b")}
        wait_until(lambda: all(asked(web, f"/{k}/0") >= before[k] + 3 for k in before), timeout=60, what="nobody starves")
        for miner in c.miners:  # what runs at a miner that dies keeps the other out until it is over
            before = {k: asked(web, f"/{k}/0") for k in ("a", "b")}
            miner.kill()
            time.sleep(2 * busy.seconds)  # the pages do not know that nobody listens any more
            miner.start()
            wait_until(lambda: all(asked(web, f"/{k}/0") > before[k] for k in before), timeout=60, what="they go on")
    assert busy.most["few"] == 1
    assert not [kinds for kinds in busy.together if {"a", "b"} <= kinds]


def test_dependencies(cluster, web):
    web.pages["/a"] = (404, {}, b"")
    web.pages["/b"] = page
    with started(cluster) as c:
        done = c.ctl("add", "-", input=json.dumps(template(web, "a", "/a", depends_on="b")))
        assert done.returncode == 0
        done = c.ctl("add", "-", input=json.dumps(template(web, "b", "/b", depends_on="a")))
        assert done.returncode == 1 and "b -> a -> b" in done.stderr, done.stderr
        c.add(template(web, "a", "/a", max_consecutive_failures=0, priority="low"), "--force")
        c.add(template(web, "b", "/b", depends_on="a", priority="high"))
        assert c.ctl_json("explain", "a")["priority"] == "high"  # before it fails for long
        wait_until(lambda: "until all of 'a' has been stored" in why(c, "b"), what="b waits")
        wait_until(lambda: asked(web, "/a") >= 2, what="a is tried")
        assert not asked(web, "/b")
        web.pages["/a"] = page
        wait_until(lambda: asked(web, "/b") >= 2, what="b goes on")


def test_retries(cluster, web):
    answers = iter([(200, {}, b"")] * 2)
    web.pages["/flaky"] = lambda r: next(answers, None) or page()
    with started(cluster) as c:
        c.add(template(web, "flaky", "/flaky", every="10m", retry={"initial_interval": "200ms"}))
        wait_until(lambda: c.sql("select count(*) from items")[0][0] == 1, what="the third attempt is stored")
        def history():
            rows = c.ctl_json("history", "flaky")
            return sum(r["count"] for r in rows) == 3 and rows
        rows = wait_until(history, what="its history")  # what failed alike may be one row
        assert sum(r["count"] for r in rows if r["result"] == "failed") == 2
        assert [r["attempt"] for r in rows if r["result"] == "changed"] == [2]


def test_quarantine(cluster, web):
    for name in "bad", "enabled", "retried", "dropped":
        web.pages[f"/{name}"] = (404, {}, b"")
    web.pages["/good"] = page
    with started(cluster, slot="500ms") as c:
        for name in "bad", "enabled", "retried", "dropped":
            c.add(template(web, name, f"/{name}", max_consecutive_failures=3))
        c.add(template(web, "good", "/good"))
        letters = wait_until(lambda: (lambda l: l if len(l) == 4 else None)({d["template"]: d for d in c.ctl_json("dlq", "list")}),
                             what="all four in quarantine")
        assert "quarantine (not_found)" in why(c, "bad")
        assert {(d["kind"], d["error"]) for d in letters.values()} == {("quarantine", "not_found")}
        polls, good = asked(web, "/bad"), asked(web, "/good")
        c.broker.restart()  # kill -9
        wait_until(lambda: asked(web, "/good") >= good + 2, what="others go on")
        assert asked(web, "/bad") <= polls + 1 and "quarantine" in why(c, "bad")
        kept = {d["id"]: d["template"] for d in c.ctl_json("dlq", "list")}
        assert kept == {d["id"]: d["template"] for d in letters.values()}  # they survive it
        c.ctl("dlq", "drop", letters["dropped"]["id"], check=True)
        assert "dropped" not in {d["template"] for d in c.ctl_json("dlq", "list")}
        assert "quarantine" in why(c, "dropped")  # which is all that the letter said
        for name in "bad", "enabled", "retried":
            web.pages[f"/{name}"] = page
        c.ctl("enable", c.ctl_json("sources", "enabled")[0]["source"], check=True)
        c.ctl("dlq", "retry", letters["retried"]["id"], check=True)
        for name in "enabled", "retried", "bad":  # the last one by its probe, and nothing else
            wait_until(lambda: c.ctl_json("sources", name)[0]["state"] == "ok", timeout=40, what=f"{name} works again")
        assert not c.ctl_json("dlq", "list")


def test_a_host_that_is_down(cluster, web):
    other = Web()
    web.pages["/up"] = page
    other.pages["/down"] = page
    try:
        with started(cluster, miners=2) as c:
            c.add(template(web, "up", "/up"))
            c.add(template(other, "down", "/down", host="localhost", timeout="1s"))
            wait_until(lambda: asked(other, "/down") >= 2, what="it works")
            def silent(_):
                raise OSError("no answer")
            other.pages["/down"] = silent
            wait_until(lambda: "is down" in why(c, "down"), timeout=30, what="the breaker is open")
            up, down = asked(web, "/up"), asked(other, "/down")
            wait_until(lambda: asked(web, "/up") >= up + 4, what="others go on")
            probes = asked(other, "/down") - down
            print(f"{probes} probes in the time of {asked(web, '/up') - up} polls")
            assert probes <= 3, probes
            assert c.ctl_json("sources", "down")[0]["state"] == "host down"
            other.close()  # nobody listens any more
            up = asked(web, "/up")
            wait_until(lambda: asked(web, "/up") >= up + 2, what="others go on")
            assert c.ctl_json("sources", "down")[0]["state"] == "host down"
            other = Web(port=other.port)
            other.pages["/down"] = page
            wait_until(lambda: c.ctl_json("sources", "down")[0]["state"] == "ok", timeout=60, what="it is back")
            assert not c.ctl_json("dlq", "list")  # the source is not to blame
    finally:
        other.close()


def test_retry_after_holds_for_the_whole_cluster(cluster, web):
    web.pages["/limited"] = (429, {"Retry-After": "6"}, b"")
    with started(cluster, miners=2) as c:
        c.add(template(web, "limited", "/limited"))
        wait_until(lambda: "asked to be left alone" in why(c, "limited"), what="the host is backed off")
        began, polls = time.monotonic(), asked(web, "/limited")
        web.pages["/limited"] = page
        owner = c.ctl_json("sources", "limited")[0]["miner"]
        next(m for m in c.miners if m.options.get("id") == owner or m.name == owner).kill()
        wait_until(lambda: asked(web, "/limited") > polls, timeout=40, what="it is asked again")
        assert time.monotonic() - began > 4


def test_a_detail_page_speaks_for_its_host(cluster, web):
    """One miner is told by a detail page; the lists of that host, at another miner, are left alone as well."""
    other = Web()
    try:
        web.pages["/list"] = lambda _: (200, {}, listing((1, other.url("/detail"), "one")))
        other.pages["/news"] = page
        other.pages["/detail"] = lambda _: (200, {}, b"<p>text</p>")
        with started(cluster, miners=2) as c:
            c.add(template(other, "there", "/news"))
            wait_until(lambda: asked(other, "/news") >= 2, what="the other host is polled")
            other.pages["/detail"] = (429, {"Retry-After": "5"}, b"")
            c.add(template(web, "here", "/list", detail={"follow": "url", "fields": {"content": "p"}}))
            wait_until(lambda: "asked to be left alone (rate_limited)" in why(c, "there"), what="the other host is backed off")
            miners = {c.ctl_json("sources", name)[0]["miner"] for name in ("here", "there")}
            assert len(miners) == 2, miners
            began, polls = time.monotonic(), asked(other, "/news")
            other.pages["/detail"] = (200, {}, b"<p>text</p>")
            wait_until(lambda: asked(other, "/news") > polls, timeout=40, what="it is asked again")
            assert time.monotonic() - began > 3
            c.wait_rows("select count(*) from items where content = 'text'", 1)
    finally:
        other.close()


def test_a_miner_that_joins_is_told_whom_to_leave_alone(cluster, web):
    """A detail page's host, which no template lists, asked for it before that miner was there."""
    other, count = Web(), iter(range(2, 10 ** 6))
    try:
        other.pages["/detail"] = (429, {"Retry-After": "60"}, b"")
        web.pages["/list"] = lambda _: (200, {}, listing(*[(n, other.url(f"/detail?{n}"), str(n)) for n in [next(count)]]))
        other.pages.update({f"/detail?{n}": (429, {"Retry-After": "60"}, b"") for n in range(100)})
        with started(cluster) as c:
            c.add(template(web, "here", "/list", detail={"follow": "url", "fields": {"content": "p"}}))
            wait_until(lambda: other.requests, what="a detail page is asked")
            c.miners[0].wait_log(" host_backoff ")
            wait_until(lambda: asked(web, "/list") >= 3, what="the list is polled on")
            assert len(other.requests) == 1
            c.miners[0].kill()
            c.add_miner("fresh")
            before = asked(web, "/list")
            wait_until(lambda: asked(web, "/list") >= before + 3, what="the new miner polls the list")
            assert len(other.requests) == 1 and c.ctl_json("sources", "here")[0]["miner"] == "fresh"
    finally:
        other.close()


def test_tasks(cluster, web):
    order = []

    def slow(request):
        order.append(request.path)
        time.sleep(0.5)
        return page()
    for path in "/a", "/b", "/c":
        web.pages[path] = slow
    web.pages["/d"] = web.pages["/one"] = web.pages["/two"] = page
    web.pages["/bad"] = (404, {}, b"")
    web.pages["/flaky"] = (200, {}, b"")
    with started(cluster, broker=dict(max_concurrent=1)) as c:
        for name in "abc":
            c.add(template(web, name, f"/{name}", mode="triggered", every=None))
        c.add(template(web, "bad", "/bad", mode="triggered", every=None, max_consecutive_failures=0))
        c.add(template(web, "flaky", "/flaky", mode="triggered", every=None, retry={"max_attempts": 2, "initial_interval": "100ms"}))
        c.add(template(web, "pair", "/one", "/two", mode="triggered", every=None))
        assert not order
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5))
        c.ctl("trigger", "a", "--at", at, check=True)
        c.ctl("trigger", "b", "--at", at, "--priority", "low", check=True)
        c.ctl("trigger", "c", "--at", at, "--front", check=True)
        order_told = [n["template"] for n in c.ctl_json("next") if n["what"] == "task"]
        assert order_told == ["c", "a", "b"]  # in front of two that wait
        never = c.ctl_json("trigger", "a", "--at", "+1h")["task"]
        c.broker.restart()  # kill -9: they are still there
        wait_until(lambda: len(order) >= 3, what="the tasks run")
        assert order[0] == "/c" and order[2] == "/b"
        wait_until(lambda: [t["state"] for t in c.ctl_json("tasks")].count("done") == 3, what="they are done")
        assert c.ctl_json("cancel", never)["state"] == "cancelled"
        c.ctl("trigger", "bad", check=True)
        letter = wait_until(lambda: c.ctl_json("dlq", "list"), what="a dead letter")[0]
        assert (letter["kind"], letter["error"]) == ("task", "not_found")
        assert c.ctl_json("dlq", "show", letter["id"])["template"] == "bad"
        web.pages["/bad"] = page
        c.ctl("dlq", "retry", letter["id"], check=True)
        wait_until(lambda: c.ctl_json("tasks", "bad")[0]["state"] == "done", what="the letter's task is done")
        assert not c.ctl_json("dlq", "list")
        c.ctl("trigger", "flaky", check=True)
        letter = wait_until(lambda: c.ctl_json("dlq", "list"), what="the attempts are used up")[0]
        assert (letter["template"], letter["kind"]) == ("flaky", "task") and asked(web, "/flaky") == 2, letter
        one = next(s for s in c.ctl_json("sources", "pair") if s["url"].endswith("/one"))
        c.ctl("trigger", one["source"], check=True)  # a source, not its template
        wait_until(lambda: c.ctl_json("tasks", "pair")[0]["state"] == "done", what="the one source's task")
        assert asked(web, "/one") == 1 and not asked(web, "/two")
        c.miners[0].kill()
        late = c.ctl_json("trigger", "a", "--deadline", "+1s")["task"]
        wait_until(lambda: [t for t in c.ctl_json("tasks") if t["task"] == late and t["deadline_missed"]],
                   what="the missed deadline is recorded")
        ended = {"waiting": "open", "running": "open"}  # what ran starts anew
        told = lambda: ([(t["task"], ended.get(t["state"], t["state"]), t["deadline_missed"]) for t in c.ctl_json("tasks")],
                        [(d["id"], d["template"], d["count"]) for d in c.ctl_json("dlq", "list")])
        before = told()
        assert (never, "cancelled", False) in [(t, s, bool(m)) for t, s, m in before[0]] and before[1]
        c.broker.restart()  # kill -9: who was cancelled, who was late and what was given up is still known
        assert told() == before
        assert c.ctl("trigger", "nothing").returncode == 1
        assert c.ctl("trigger", "a", "--at", "yesterday").returncode == 2


def test_poison(cluster, web):
    web.pages["/poison"] = page
    web.pages["/good"] = page
    with StreamSite() as live, started(cluster, miners=2) as c:
        c.add(template(web, "good", "/good"))
        c.add({"name": "live", "kind": "stream", "url": live.url.replace("127.0.0.1", "localhost"), "every": "2s", "timeout": "5s",
               "politeness": {"gap": "0s"}, "fields": {"title": "$.title"}})
        wait_until(lambda: live.listening, what="a stream that is open while miners die")
        wait_until(lambda: asked(web, "/good") >= 2, what="it works")
        for miner in c.miners:
            miner.restart(failpoint="poison@/poison")
        c.add(template(web, "poison", "/poison", host="localhost"))

        def revive():
            for miner in c.miners:
                if not miner.running:
                    miner.start(failpoint="poison@/poison")
            return "quarantine (poison)" in why(c, "poison")
        wait_until(revive, timeout=150, what="poison is found")  # its trials wait for miners that are 30 s old
        letter, = c.ctl_json("dlq", "list")
        assert letter["template"] == "poison" and "died of it" in letter["detail"]
        assert {m for m in ("miner-0", "miner-1") if m in letter["detail"]}, letter["detail"]
        good = asked(web, "/good")
        wait_until(lambda: (revive() or True) and asked(web, "/good") >= good + 4, timeout=60, what="the other goes on")
        assert "quarantine" not in why(c, "live") and "quarantine" not in why(c, "good")
        assert [d["template"] for d in c.ctl_json("dlq", "list")] == ["poison"]
        live.post({"title": "still here"})
        wait_until(lambda: c.sql("select count(*) from items where title = 'still here'")[0][0], what="the stream goes on")


def test_a_broker_that_is_asked_to_stop_takes_what_is_under_way(cluster, web):
    """SIGTERM: it exits with 0 and without delay; the poll that ran meanwhile is reported to its next run, once."""
    let = threading.Event()

    def slow(_):
        let.wait(20)
        return page()
    web.pages["/slow"] = slow
    with started(cluster) as c:
        c.add(template(web, "slow", "/slow", every="1h"))
        wait_until(lambda: asked(web, "/slow"), what="a poll")
        began = time.monotonic()
        assert c.broker.term() == 0 and time.monotonic() - began < 10
        let.set()
        wait_until(lambda: c.sql("select count(*) from items")[0][0] == 1, what="its item is stored without a broker")
        c.broker.start()
        source = c.ctl_json("sources", "slow")[0]["source"]
        wait_until(lambda: c.ctl_json("explain", source)["last_stored_ms"], what="its outcome")
        assert asked(web, "/slow") == 1
