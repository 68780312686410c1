"""The stated bound of a row's delay, stored_at - last_absent_at, is never below its true delay; who breaks a promise
says why."""
import pytest

from cluster import Cluster, wait_until
from truth import differences, settled

pytestmark = pytest.mark.alone

NOT_BACKFILL = "select s.url, i.key, extract(epoch from i.last_absent_at) * 1000, extract(epoch from i.stored_at) * 1000" \
               " from items i join sources s using (source_id) where i.last_absent_at is not null"


@pytest.fixture(scope="module")
def rtm():
    site = dict(sources=36, hosts=12, rate=15, updates=0.2, pinned=1, backlog=3, min_stay="600s", seed=5)
    with Cluster(miners=3, slot="1s", site=site, sink=dict(spool="spool", health="127.0.0.1:0")) as c:
        c.add_site()
        c.wait_rows("select count(*) from items where last_absent_at is not null", 30)
        yield c


def appeared(rtm):
    """(source's URL, key) -> when it could first be seen, ms."""
    first = {}
    for line in rtm.site.truth():
        first.setdefault((line["url"], line["key"]), line["t_ms"])
    return first


def check_bounds(rtm, at_least):
    rows, first = rtm.sql(NOT_BACKFILL), appeared(rtm)
    assert len(rows) >= at_least
    wrong = [(url, key, float(absent) - first[(url, key)]) for url, key, absent, stored in rows
             if float(stored) - float(absent) < float(stored) - first[(url, key)]]
    assert not wrong, wrong[:5]
    slack = sorted(first[(url, key)] - float(absent) for url, key, absent, _ in rows)
    print(f"{len(rows)} rows; the bound exceeds the true delay by {slack[0]:.0f} to {slack[-1]:.0f} ms,"
          f" {slack[len(slack) // 2]:.0f} in the middle")


def test_bounds_hold_while_all_is_well(rtm):
    rtm.wait_rows("select count(*) from items where last_absent_at is not null", 150)
    check_bounds(rtm, 150)


def test_bounds_hold_whatever_dies(rtm):
    """Moved sources, restarted miners, a broker without a memory of the last minute, a refetch, a spool."""
    count = "select count(*) from items where last_absent_at is not null"

    def some_more(n=25):
        rtm.wait_rows(count, rtm.sql(count)[0][0] + n)
    rtm.site.set(latency_ms=150, jitter_ms=300)
    rtm.miners[0].kill()
    some_more()
    rtm.miners[0].start()
    rtm.broker.restart()
    some_more()
    rtm.miners[1].freeze()
    some_more()
    rtm.miners[1].thaw()
    rtm.ctl("refetch", "--all", check=True)
    some_more()
    rtm.sink.restart()
    rtm.miners[2].restart()
    some_more()
    rtm.site.set(latency_ms=0, jitter_ms=0)
    rtm.site.stop_posting()
    wait_until(lambda: settled(rtm), 60, "rows equal the ground truth", every=0.3)
    assert not differences(rtm)
    check_bounds(rtm, 250)
    rtm.site.start_posting()


def breaches(rtm, since):
    return {c for c, in rtm.sql("select distinct cause from breaches where stored_at > %s", (since,))}


def now(rtm):
    return rtm.sql("select now()")[0][0]


def test_each_breach_names_its_cause(rtm):
    assert rtm.sql("select count(*) from breaches where cause is null") == [(0,)]
    # Postgres away: what came meanwhile says so
    since = now(rtm)
    rtm.postgres.stop("immediate")
    rtm.sink.wait_log(r"spool state=filling")
    before = len(rtm.site.truth())
    wait_until(lambda: len(rtm.site.truth()) > before + 100, 30, "posts meanwhile")
    rtm.postgres.start()
    rtm.sink.wait_log(r"spool state=empty", 60)
    assert "spooled" in breaches(rtm, since)
    # hosts that fail: what is found when they do no more says how they failed
    since = now(rtm)
    rtm.site.set(error_rate=1)
    before = len(rtm.site.truth())
    wait_until(lambda: len(rtm.site.truth()) > before + 100, 30, "posts meanwhile")
    rtm.site.set(error_rate=0)
    named = {"http_5xx", "host_backoff", "probe", "retry", "quarantined", "missed_while_down"}
    wait_until(lambda: breaches(rtm, since) & named, 60, f"one of {named}")
    # a miner that dies: its sources were reassigned. The one that has most, and not before all hosts are back, as what is
    # polled after a failure says that.
    rtm.site.stop_posting()
    wait_until(lambda: settled(rtm), 90, "rows equal the ground truth", every=0.3)
    rtm.site.start_posting()
    loaded = max(rtm.ctl_json("miners"), key=lambda m: m["sources"])
    miner = next(m for m in rtm.miners if m.name == loaded["miner"])
    since = now(rtm)
    miner.kill()
    wait_until(lambda: "reassigned" in breaches(rtm, since), 60, "reassigned")
    miner.start()


def test_freshness_sums_up_what_the_rows_say(rtm):
    rtm.site.stop_posting()
    wait_until(lambda: settled(rtm), 90, "rows equal the ground truth", every=0.3)
    rows = rtm.sql("select t.name, s.url, extract(epoch from i.stored_at - i.last_absent_at)::float,"
                   " extract(epoch from t.fresh_within)::float from items i join sources s using (source_id)"
                   " join templates t on t.template_id = i.template_id"
                   " where not backfill and last_absent_at is not null and stored_at > now() - interval '24 hours'")
    views = rtm.sql("select template, source, items, extract(epoch from p50)::float, extract(epoch from p95)::float,"
                    " extract(epoch from p99)::float, within_promise::float from freshness")
    assert {(t, None) for t, *_ in rows} | {(t, u) for t, u, *_ in rows} == {(t, u) for t, u, *_ in views}
    for template, source, items, p50, p95, p99, within in views:
        bounds = sorted((b, promise) for t, u, b, promise in rows if t == template and source in (None, u))
        assert items == len(bounds)

        def quantile(q):
            at = (len(bounds) - 1) * q
            low, high = bounds[int(at)][0], bounds[min(int(at) + 1, len(bounds) - 1)][0]
            return low + (high - low) * (at - int(at))
        for value, q in ((p50, 0.5), (p95, 0.95), (p99, 0.99)):
            assert abs(value - quantile(q)) < 1e-3
        assert abs(within - sum(b <= promise for b, promise in bounds) / len(bounds)) < 1e-6
    breached = sum(b > promise for _, _, b, promise in rows)
    assert rtm.sql("select count(*) from breaches") == [(breached,)]
