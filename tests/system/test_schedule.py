"""When sources are polled: cron, active hours, continuous and triggered sources, catch-up, and clocks that are wrong."""
import datetime
import os
import sqlite3
import time

import pytest

from cluster import LIBFAKETIME, Cluster, wait_until, wrong_clock
from scripted_peers import Web

LATE = 0.9  # seconds from a due to its request, on a busy machine
FEED = "<rss version='2.0'><channel><title>t</title><item><guid>1</guid><title>one</title></item></channel></rss>"
EVEN = {"gap": "0ms", "concurrency": 32}  # the gate of the one host is out of the way


class Polled:
    """A web that notes when each path was asked, by the wall clock."""

    def __init__(self):
        self.web = Web()
        self.offset = time.time() - time.monotonic()

    def page(self, name, seconds=0.0, host="127.0.0.1"):
        def answer(_handler):
            time.sleep(seconds)
            return (200, {"Content-Type": "application/rss+xml"}, FEED)
        self.web.pages["/" + name] = answer
        return self.web.url("/" + name, host)

    def times(self, name, since=0.0):
        return [t + self.offset for t, _, _ in self.web.asked("/" + name) if t + self.offset >= since]


@pytest.fixture(scope="module")
def web():
    p = Polled()
    yield p
    p.web.close()


@pytest.fixture(scope="module")
def rtm(cluster, web):
    with Cluster(miners=2, slot="2s", postgres=cluster) as c:
        opens = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
        opens += datetime.timedelta(minutes=1 if datetime.datetime.now().second < 50 else 2)
        c.opens = opens.timestamp()
        add(c, web, "hours", every="2s", timezone="UTC",
            windows=[{"from": opens.strftime("%H:%M"), "to": (opens + datetime.timedelta(minutes=9)).strftime("%H:%M")}])
        add(c, web, "first", every="1h")
        polls(c, web, "first", 1)  # the broker has waited for miners that may hold something
        yield c


def add(c, web, name, seconds=0.0, **members):
    return c.add({"name": name, "kind": "feed", "url": web.page(name, seconds), "politeness": EVEN, **members})


def polls(c, web, name, n, since=0.0, timeout=30):
    return wait_until(lambda: (lambda t: t if len(t) >= n else None)(web.times(name, since)), timeout,
                      f"{n} polls of {name}")


def test_before_its_active_hours(rtm):
    assert time.time() < rtm.opens - 1
    source, = rtm.ctl_json("sources", "hours")
    assert 0 <= source["next_ms"] / 1000 - rtm.opens < 2
    told = rtm.ctl("explain", source["source"], check=True).stdout
    assert "outside of its active hours until" in told and "its active hours begin in" in told


def test_cron_is_polled_at_its_times(rtm, web):
    added = time.time()
    add(rtm, web, "cron", cron="*/3 * * * * *", timezone="Europe/Berlin")
    times = polls(rtm, web, "cron", 5)
    assert times[0] - added < 2  # at once
    fires = times[1:]
    for a, b in zip(fires, fires[1:]):
        assert round(b - b % 3) - round(a - a % 3) == 3, fires  # each once
    assert all(t % 3 < LATE for t in fires), fires
    source, = rtm.ctl_json("sources", "cron")
    assert source["next_ms"] % 3000 == 0 and 0 < source["next_ms"] / 1000 - time.time() <= 3.1


def test_a_continuous_source_is_polled_again_when_it_is_done(rtm, web):
    add(rtm, web, "going", seconds=0.7, mode="continuous", min_gap="1s")
    times = polls(rtm, web, "going", 5)
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert all(1.65 < g < 1.7 + LATE for g in gaps), gaps


def test_it_goes_on_when_its_miner_and_the_broker_die(rtm, web):
    source, = rtm.ctl_json("sources", "going")
    owner, = [m for m in rtm.miners if m.name == source["miner"]]
    owner.kill()
    polls(rtm, web, "going", 2, time.time())
    rtm.broker.restart()
    times = polls(rtm, web, "going", 3, time.time())
    assert all(b - a > 1.6 for a, b in zip(times, times[1:])), times
    owner.start()


def test_a_triggered_source_waits(rtm, web):
    add(rtm, web, "asked", mode="triggered")
    seen = len(web.times("cron"))
    polls(rtm, web, "cron", seen + 1)  # a slot at least
    assert not web.times("asked")
    source, = rtm.ctl_json("sources", "asked")
    assert source["next_ms"] is None


def test_what_would_never_fire_is_refused(rtm):
    def refusal(**members):
        done = rtm.ctl("add", "-", input='{"name": "no", "url": "http://127.0.0.1/", %s}' % ", ".join(
            f'"{k}": {v}' for k, v in members.items()))
        assert done.returncode != 0
        return done.stdout + done.stderr
    assert "never fires" in refusal(cron='"0 0 30 feb *"')
    assert "Europe/Atlantis" in refusal(cron='"0 0 * * *"', timezone='"Europe/Atlantis"')
    assert "never fires within them" in refusal(cron='"0 3 * * *"', windows='[{"from": "08:00", "to": "18:00"}]')


def test_what_was_missed_is_caught_up_or_recorded(cluster, web):
    with Cluster(miners=1, slot="2s", postgres=cluster) as c:
        add(c, web, "latest", cron="*/2 * * * * *")
        add(c, web, "skip", cron="*/2 * * * * *", catch_up="skip")
        polls(c, web, "latest", 4), polls(c, web, "skip", 4)  # some slots are closed
        c.miners[0].kill(), c.broker.kill()
        down = time.time()
        wait_until(lambda: time.time() > down + 7, 20, "some fires are missed")
        up = time.time()
        c.broker.start(), c.miners[0].start()
        # the broker waits for the miner that it knew
        late, skip = polls(c, web, "latest", 2, up), polls(c, web, "skip", 2, up)
        assert all(t % 2 < LATE for t in skip), skip
        assert len([t for t in late if t < skip[0] - 0.1]) <= 1  # one at most for all that was missed
        path = os.path.join(c.broker.options["state"], "broker.db")
        find = ("select template, sum(count), min(from_ms), max(to_ms) from skips where reason = 'missed_while_down'"
                " group by template order by 1")

        def recorded():
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                return {t: (n, a / 1000, b / 1000) for t, n, a, b in db.execute(find)}
        rows = wait_until(lambda: (lambda r: r if len(r) == 2 else None)(recorded()), 20, "ranges")
        assert rows["latest"][0] >= 2 and rows["skip"][0] >= rows["latest"][0] + 1, rows
        for _, first, last in rows.values():  # from the last slot that was closed before
            assert down - 9 < first < last < skip[0] and first % 2 == 0 and last % 2 == 0, (rows, down, skip)


@pytest.mark.skipif(not LIBFAKETIME, reason="needs the package faketime")
def test_wrong_clocks_change_nothing(cluster, web, tmp_path):
    """Miners an hour early and late, and a broker whose wall clock jumps to and fro by an hour."""
    clock = tmp_path / "clock"

    def wall(offset):
        new = tmp_path / "new"
        new.write_text(offset)
        new.replace(clock)
    wall("+0")
    with Cluster(miners=0, slot="2s", postgres=cluster, start=False) as c:
        c.env = wrong_clock(FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1")
        c.broker.start()
        c.env = {}
        c.sink.start()
        for name, offset in (("early", "-1h"), ("late", "+1h")):
            c.env = wrong_clock(FAKETIME=offset)
            c.add_miner(name)
        c.env = {}
        for i in range(6):
            url = web.page(f"clock-{i}", host=("127.0.0.1", "localhost")[i % 2])  # two hosts: one for each miner
            c.add({"name": f"clock-{i}", "kind": "feed", "url": url, "politeness": EVEN, "cron": "*/2 * * * * *"})
        polls(c, web, "clock-0", 2)
        jumps = []
        for offset in ("+1h", "+0", "-1h", "+0"):
            wall(offset)
            jumps.append(time.time())
            polls(c, web, "clock-0", 2, time.time())
        for i in range(6):
            times = web.times(f"clock-{i}")[1:]  # the first is of `add`
            gaps = [b - a for a, b in zip(times, times[1:])]
            assert gaps and all(2 - LATE < g < 2 + LATE for g in gaps), (i, gaps, times, jumps)
        first_seen = [t.timestamp() for t, in c.sql("select first_seen_at from items")]
        assert first_seen and all(abs(t - time.time()) < 60 for t in first_seen)
        assert all(m["state"] == "live" and m["sources"] for m in c.ctl_json("miners"))


def test_active_hours(rtm, web):
    """The last one: it waits for the minute in which they begin."""
    started = time.time()
    times = polls(rtm, web, "hours", 3, started, timeout=150)
    first = web.times("hours")[0]
    late = 2 + LATE if started < rtm.opens else 10  # processes were killed meanwhile
    assert rtm.opens - 0.05 <= first < rtm.opens + late, (first, rtm.opens)
    assert all(abs(b - a - 2) < LATE for a, b in zip(times, times[1:])), times
