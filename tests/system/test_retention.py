"""Retention: by age and by count per template; what it removed does not come back while it is listed."""
import pytest

from scripted_miner import DETAIL, KNOWN, NEW, PROBE, Miner, Sink, batch, item, wait_until

DAY = 86_400_000
NOW = 1_700_000_000_000  # the miner's broker time is of no matter here: rows are aged by hand


@pytest.fixture
def sink(database):
    with Sink(database, "--retention-every", "200ms") as sink:
        sink.wait_log(r"postgres state=up")
        yield sink


@pytest.fixture
def miner(sink):
    with Miner() as miner:
        yield miner.connect(sink)


def keys(cluster, database):
    return [k for k, in cluster.rows(database, "SELECT key FROM items ORDER BY key")]


def age(cluster, database, key, days):
    cluster.execute(database, f"UPDATE items SET first_seen_at = now() - interval '{days} days' WHERE key = %s", key)


def store_now(cluster, database, miner, names, **options):
    """Rows that are first seen now."""
    now = cluster.value(database, "SELECT (extract(epoch FROM now()) * 1000)::bigint")
    assert set(miner.store(batch([item(n, title=n) for n in names], due=now, **options))) == {NEW}
    return now


def test_by_age(cluster, database, sink, miner):
    now = store_now(cluster, database, miner, ["old", "young"], keep_age=3 * DAY)
    assert cluster.rows(database, "SELECT keep_age::text, keep_items FROM templates") == [("72:00:00", None)]
    miner.store(batch([item("old", 2, title="changed")], due=now + 1, keep_age=3 * DAY))
    assert cluster.value(database, "SELECT count(*) FROM revisions") == 1
    age(cluster, database, "old", 4)
    sink.wait_log(r"retention template=t by_age=1 by_count=0")
    assert keys(cluster, database) == ["young"]
    assert cluster.value(database, "SELECT count(*) FROM revisions") == 0
    # still listed, even changed, asked for, or with details: it does not come back
    for n, again in enumerate([item("old", 2, title="changed"), item("old", 3, title="changed again"),
                               item("old", 3, PROBE), item("old", 3, DETAIL, content="c")]):
        assert miner.store(batch([again], due=now + 1000 * n, keep_age=3 * DAY)) == [KNOWN]
    assert miner.store(batch([item("new")], due=now + 9000, keep_age=3 * DAY)) == [NEW]
    assert keys(cluster, database) == ["new", "young"]


def test_by_count(cluster, database, sink, miner):
    names = [f"k{n:04}" for n in range(1300)]
    for n, name in enumerate(names):
        miner.ship(batch([item(name)], due=NOW + n, keep_items=100))
    miner.settle()
    wait_until(lambda: len(keys(cluster, database)) == 100)
    assert keys(cluster, database) == names[-100:]
    assert set(miner.store(batch([item(n) for n in names[:1200]], due=NOW + DAY, keep_items=100))) == {KNOWN}
    assert cluster.value(database, "SELECT count(*) FROM gone") == 1200
    # of another template nothing is removed
    miner.store(batch([item(n) for n in names[:200]], source=2, template="other"))
    miner.store(batch([item("one-more")], due=NOW + 2 * DAY, keep_items=100))
    wait_until(lambda: "k1200" not in keys(cluster, database)[-100:] and len(keys(cluster, database)) == 300)


def test_unlisted_keys_are_forgotten(cluster, database, sink, miner):
    now = store_now(cluster, database, miner, ["a", "b", "c"], keep_age=DAY)
    for key in "abc":
        age(cluster, database, key, 2)
    wait_until(lambda: keys(cluster, database) == [])
    cluster.execute(database, "UPDATE gone SET listed_at = now() - interval '6 days'")
    # a is listed: its week begins again; so are b's and c's when they are not
    assert miner.store(batch([item("a")], due=now + 1, keep_age=DAY)) == [KNOWN]
    assert cluster.value(database, "SELECT count(*) FROM gone WHERE listed_at > now() - interval '1 hour'") == 1
    cluster.execute(database, "UPDATE gone SET listed_at = listed_at - interval '2 days'")
    wait_until(lambda: cluster.value(database, "SELECT count(*) FROM gone") == 1)
    assert miner.store(batch([item("a"), item("b")], due=now + 2, keep_age=DAY)) == [KNOWN, NEW]


def test_gaps_go_with_age(cluster, database, sink, miner):
    cluster.execute(database, "INSERT INTO gaps SELECT 1, now() - d * interval '1 day', now() - d * interval '1 day', 'overflow',"
                              " CASE WHEN d % 2 = 0 THEN now() END FROM generate_series(0, 1800) d")
    wait_until(lambda: cluster.value(database, "SELECT count(*) FROM gaps") <= 90)
    assert cluster.value(database, "SELECT count(*) FROM gaps WHERE poll > now() - interval '89 days 23 hours'") == 90
    assert miner.store(batch([item("a")], due=NOW)) == [NEW]


def test_removing_while_several_sinks_write(cluster, database):
    """No key comes back, none is both stored and gone, and no sink fails."""
    with Sink(database, "--retention-every", "100ms") as a, Sink(database, "--retention-every", "100ms") as b:
        miners = [Miner(f"m{n}").connect(s) for n, s in enumerate((a, b))]
        try:
            for n in range(60):
                for miner in miners:
                    names = [f"k{k}" for k in range(n * 20, n * 20 + 200)]
                    miner.ship(batch([item(k, n, title=str(n)) for k in names], due=NOW + n * 1000, keep_items=300))
                if n % 10 == 9:
                    for miner in miners:
                        miner.settle()
            for miner in miners:
                miner.settle()
            wait_until(lambda: len(keys(cluster, database)) == 300)
            for s in (a, b):
                assert not s.log(r"postgres state=down")
                assert not s.log(r'retention reason="(?!55P03|42P01|42703)')  # busy, or the tables were not there yet
        finally:
            for miner in miners:
                miner.close()
    assert cluster.value(database, "SELECT count(*) FROM items JOIN gone USING (source_id)"
                                   " WHERE key_hash = hashtextextended(key, 0)") == 0
    assert cluster.value(database, "SELECT count(*) FROM gone") == 59 * 20 + 200 - 300
