"""Pages that are empty, huge, truncated, binary, gone, slow or cut off: each is an outcome with its error class, and the
other sources of the same hosts and miners do not notice."""
import time

import pytest

from cluster import Cluster, wait_until

pytestmark = pytest.mark.alone

EXPECTED = {  # path: the error classes that say it well
    "empty": {"empty_body"},
    "huge?mb=20": {"too_big"},
    "huge?endless=1": {"too_big"},
    "truncated": {"truncated"},
    "binary": {"rotted", "not_this_kind", "parse"},
    "404": {"not_found"},
    "slow?ms=30000": {"timeout"},
    "reset": {"reset", "truncated"},
    "redirect-loop": {"redirects"},
    "429": {"rate_limited"},
    "bomb": {"too_big"},
    "deep": {"rotted", "too_big", "parse", "too_complex"},
}


@pytest.fixture(scope="module")
def rtm(cluster):
    with Cluster(miners=1, postgres=cluster, site=dict(sources=8, hosts=2, rate=4), miner=dict(workers=1)) as c:
        c.add_site()
        base = c.site.base(0)
        # a 429 stops all that its host has, so it comes from a host of its own
        alone = f"http://localhost:{base.rsplit(':', 1)[1]}"
        for i, path in enumerate(EXPECTED):
            host = alone if path == "429" else base
            c.add({"name": f"bad-{i}", "kind": "html", "url": f"{host}/_bad/{path}", "items": "tr.athing",
                   "fields": {"title": "a", "url": "a"}, "every": "3s", "timeout": "2s"})
        yield c


@pytest.mark.parametrize("path", EXPECTED)
def test_outcome(rtm, path):
    name = f"bad-{list(EXPECTED).index(path)}"

    def outcome():
        source = rtm.ctl_json("sources", name)[0]
        return source if source["last_error"] and source["last_result"] == "failed" else None
    source = wait_until(outcome, 40, f"an outcome of {path}", every=0.2)
    assert source["last_error"] in EXPECTED[path], source
    assert rtm.sql("select count(*) from items join sources using (source_id) where template = %s", (name,)) == [(0,)]


def test_others_are_not_disturbed(rtm):
    posted = [rtm.site.post(source=s) for s in range(8)]
    started = time.monotonic()
    keys = tuple(p["key"] for p in posted)
    wait_until(lambda: rtm.sql("select count(distinct key) from items where key in %s", (keys,))[0][0] == len(keys), 20,
               "the new posts of all good sources")
    print(f"all new posts after {time.monotonic() - started:.1f} s")
    assert rtm.miners[0].running and rtm.sink.running and rtm.broker.running


def test_connection_errors(rtm):
    rtm.add({"name": "nobody-listens", "kind": "feed", "url": "http://127.0.0.1:1/feed", "every": "3s"})
    rtm.add({"name": "no-such-host", "kind": "feed", "url": "http://no-such-host.invalid/feed", "every": "3s"})
    for name, error in (("nobody-listens", "connect"), ("no-such-host", "dns")):
        wait_until(lambda: rtm.ctl_json("sources", name)[0]["last_error"] == error, 30, f"{error} of {name}")


def test_private_addresses_are_refused_unless_allowed(rtm):
    careful = rtm.add_miner("careful", start=False)
    careful.options["allow_private"] = False
    for miner in rtm.miners[:1]:
        miner.term()
    careful.start()
    wait_until(lambda: "refused_address" in {s["last_error"] for s in rtm.ctl_json("sources", "site-html")}, 20, "refusal")
    assert careful.term() == 0
    rtm.miners[0].start()
    rtm.miners[0].wait_log(" welcome")


def test_invalid_utf8_is_read_all_the_same(rtm):
    rtm.add({"name": "utf8", "kind": "html", "url": f"{rtm.site.base(1)}/_bad/utf8", "items": "body", "key": "title",
             "fields": {"title": "body"}})
    wait_until(lambda: rtm.ctl_json("sources", "utf8")[0]["last_result"] == "changed", 20, "a poll")
    wait_until(lambda: rtm.sql("select count(*) from items join sources using (source_id) where template = 'utf8'") == [(1,)],
               20, "a row")
