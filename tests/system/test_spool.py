"""The sink's spool: what waits on disk while Postgres is away is neither lost, nor doubled, nor turned back."""
import glob
import os
import random
import subprocess
import time

import pytest

from pg import Cluster
from scripted_miner import CHANGED, DETAIL, KNOWN, LACKS_DETAIL, NEW, PROBE, T0, Miner, Sink, batch, item, wait_until

MINUTE = 60_000


@pytest.fixture
def spool(tmp_path):
    return str(tmp_path / "spool")


@pytest.fixture(scope="module")
def module_cluster():
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def mortal(module_cluster):
    """A cluster that tests stop and start."""
    if not module_cluster.process:
        module_cluster.start()
    return module_cluster


def segments(spool):
    return glob.glob(spool + "/*.spool")


def titles(cluster, conninfo):
    return dict(cluster.rows(conninfo, "SELECT key, title FROM items"))


def test_outage(mortal, spool):
    conninfo = mortal.create()
    with Sink(conninfo, "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        assert miner.store(batch([item("a", 1, title="before")])) == [NEW]
        mortal.stop("immediate")
        # what is on disk is acknowledged; its verdicts are guesses
        assert miner.store(batch([item("b", 1, title="spooled"), item("zz", part=PROBE)])) == [NEW, LACKS_DETAIL]
        assert miner.store(batch([item("a", 2, title="spooled")], due=T0 + MINUTE)) == [NEW]
        sink.wait_log(r"spool state=filling")
        assert segments(spool)
        mortal.start()
        sink.wait_log(r"spool state=empty")
        assert titles(mortal, conninfo) == {"a": "spooled", "b": "spooled"}
        assert mortal.rows(conninfo, "SELECT key, revision, cause FROM items ORDER BY key") == [("a", 2, 0),
                                                                                                ("b", 1, 100)]
        assert not segments(spool)
        assert miner.store(batch([item("b", 1, title="spooled")], due=T0 + MINUTE)) == [KNOWN]


def test_fresh_items_first_and_nothing_turns_back(mortal, spool):
    """While an hour's worth is drained, a fresh batch is committed at once, and its rows stay on top."""
    conninfo = mortal.create()
    with Sink(conninfo, "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        mortal.stop("immediate")
        for n in range(150):
            due = T0 + n * MINUTE
            miner.ship(batch([item(f"k{i}", due, title=str(due), summary="x" * 300) for i in range(300)], due=due))
        miner.settle(60)
        mortal.start()
        sink.wait_log(r"postgres state=up", 2)
        start = time.monotonic()
        last = T0 + 1000 * MINUTE
        fresh = miner.store(batch([item(f"k{i}", last, title=str(last)) for i in range(100)], due=last))
        took = time.monotonic() - start
        assert set(fresh) <= {NEW, CHANGED}
        assert not sink.log(r"spool state=empty") or took < 1
        assert took < 5
        sink.wait_log(r"spool state=empty", seconds=120)
        rows = titles(mortal, conninfo)
        assert len(rows) == 300
        assert {rows[f"k{i}"] for i in range(100)} == {str(last)}
        assert {rows[f"k{i}"] for i in range(100, 300)} == {str(T0 + 149 * MINUTE)}
        assert mortal.value(conninfo, "SELECT count(*) FROM items WHERE title::bigint <> content_hash") == 0


def test_a_version_in_the_spool_of_a_sink_that_is_gone_does_not_come_over_the_one_that_came_back(mortal, spool):
    conninfo = mortal.create()
    with Sink(conninfo, "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        miner.store(batch([item("k", 1, title="as it was")]))
        mortal.stop("immediate")
        miner.store(batch([item("k", 2, title="for a while")], due=T0 + MINUTE))
        sink.kill()
    mortal.start()
    with Sink(conninfo) as other, Miner("m1", incarnation=7) as miner:
        miner.connect(other)
        miner.store(batch([item("new")], due=T0 + 2 * MINUTE))
        assert miner.store(batch([item("k", 1, title="as it was")], due=T0 + 3 * MINUTE, again=True)) == [KNOWN]
        with Sink(conninfo, "--spool", spool) as sink:
            sink.wait_log(r"spool state=empty")
        assert titles(mortal, conninfo)["k"] == "as it was"


def test_what_a_spool_says_of_a_template_does_not_undo_what_came_since(mortal, spool):
    """Retention would go by it, and nobody would say the newer definition again: the other sink has written it."""
    conninfo = mortal.create()
    kept = "SELECT extract(epoch FROM keep_age)::bigint, keep_items FROM templates"
    with Sink(conninfo, "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        mortal.stop("immediate")
        miner.store(batch([item("old")], keep_items=1000))
        miner.store(batch([item("later")], due=T0 + MINUTE, keep_items=2000))
        sink.kill()
    mortal.start()
    with Sink(conninfo) as other, Miner("m2") as miner:
        miner.connect(other)
        assert miner.store(batch([item("new")], due=T0 + 2 * MINUTE)) == [NEW]
        with Sink(conninfo, "--spool", spool) as sink:
            sink.wait_log(r"spool state=empty")
        assert set(titles(mortal, conninfo)) == {"old", "later", "new"}
        assert mortal.rows(conninfo, kept) == [(None, None)]


def test_the_last_that_a_spool_says_of_a_template_counts(mortal, spool):
    conninfo = mortal.create()
    with Sink(conninfo, "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        miner.store(batch([item("a")]))
        mortal.stop("immediate")
        for n in (3, 2, 1):
            miner.store(batch([item(f"k{n}")], due=T0 + (5 - n) * MINUTE, keep_items=n * 1000))
        mortal.start()
        sink.wait_log(r"spool state=empty")
        assert mortal.rows(conninfo, "SELECT keep_items FROM templates") == [(1000,)]
        miner.store(batch([item("z")], due=T0 + 9 * MINUTE))
        assert mortal.rows(conninfo, "SELECT keep_items FROM templates") == [(None,)]


def test_details_that_overtake_their_row(mortal, spool):
    """A row waits in the spool of one sink, its details come to another: they must not keep the row out."""
    conninfo = mortal.create()
    with Miner() as miner, Miner("m2") as other:
        mortal.stop()
        with Sink(conninfo, "--spool", spool) as sink:
            miner.connect(sink)
            assert miner.store(batch([item("a", 1, title="title")], has_detail=True)) == [NEW]
            sink.kill()
        mortal.start()
        with Sink(conninfo) as sink:
            other.connect(sink)
            detail = batch([item("a", 1, DETAIL, content="content")], has_detail=True)
            assert other.store(detail) == [LACKS_DETAIL]
        with Sink(conninfo, "--spool", spool) as sink:
            sink.wait_log(r"spool state=empty")
            other.connect(sink)
            assert other.store(detail) == [KNOWN]
    assert mortal.rows(conninfo, "SELECT title, content FROM items") == [("title", "content")]


def test_sink_killed_with_a_full_spool(mortal, spool):
    conninfo = mortal.create()
    mortal.stop()
    with Miner() as miner:
        with Sink(conninfo, "--spool", spool) as sink:
            miner.connect(sink)
            for n in range(20):
                miner.ship(batch([item(f"k{n}-{i}", title="t") for i in range(50)]))
            miner.settle()
            sink.kill()
        mortal.start()
        with Sink(conninfo, "--spool", spool) as sink:
            sink.wait_log(r"spool state=found")
            sink.wait_log(r"spool state=empty")
        assert mortal.value(conninfo, "SELECT count(*) FROM items") == 1000


def test_sink_killed_between_spool_and_ack(mortal, spool):
    conninfo = mortal.create()
    mortal.stop()
    with Miner() as miner:
        with Sink(conninfo, "--spool", spool, RTM_FAILPOINT="sink_after_spool") as sink:
            miner.connect(sink)
            miner.ship(batch([item("a", title="t")]))
            wait_until(lambda: sink.process.poll() is not None)
            assert sink.process.returncode == 66 and not miner.acked
        with Sink(conninfo, "--spool", spool) as sink:
            miner.connect(sink)
            assert miner.settle() == [NEW]
            mortal.start()
            sink.wait_log(r"spool state=empty")
        assert mortal.rows(conninfo, "SELECT key, revision FROM items") == [("a", 1)]


def test_damage_is_reported_and_kept(mortal, spool):
    conninfo = mortal.create()
    mortal.stop()
    with Miner() as miner, Sink(conninfo, "--spool", spool) as sink:
        miner.connect(sink)
        for n in range(9):
            miner.store(batch([item(f"k{n}", title="t" * 100)]))
        sink.kill()
    path, = segments(spool)
    with open(path, "r+b") as f:
        data = f.read()
        f.seek(data.index(b"k4") + 20)
        f.write(b"\0\0\0")
    mortal.start()
    with Sink(conninfo, "--spool", spool) as sink:
        sink.wait_log(r"spool segment=\S+ offset=\d+ unreadable_bytes=\d+")
        sink.wait_log(r"spool state=empty")
        wait_until(lambda: mortal.value(conninfo, "SELECT count(*) FROM items") == 8)
    assert [os.path.basename(p) for p in glob.glob(spool + "/0*")] == [os.path.basename(path)[:16] + ".damaged"]


def test_full_spool_stops_credit_and_loses_nothing(mortal, spool):
    conninfo = mortal.create()
    mortal.stop()
    with Sink(conninfo, "--spool", spool, "--spool-max", "32M") as sink, Miner() as miner:
        miner.connect(sink)
        for n in range(400):
            miner.ship(batch([item(f"k{n}", content="x" * 100_000)]))
        miner.pump_until(lambda: sink.log(r'spool state=stuck .*reason="the spool is full"'))
        miner.pump(1500)
        assert 200 <= miner.acked < 400
        assert sum(os.path.getsize(p) for p in segments(spool)) <= 32 << 20
        mortal.start()
        miner.settle()
        sink.wait_log(r"spool state=empty")
        assert mortal.value(conninfo, "SELECT count(*) FROM items") == 400


def test_disk_full(mortal, tmp_path):
    conninfo = mortal.create()
    mortal.stop()
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small tmpfs")
    try:
        with Sink(conninfo, "--spool", str(folder / "spool")) as sink, Miner() as miner:
            miner.connect(sink)
            for n in range(20):
                miner.ship(batch([item(f"k{n}", content="x" * 100_000)]))
            sink.wait_log(r'spool state=stuck .*reason="No space left')
            mortal.start()
            miner.settle()
            sink.wait_log(r"spool state=empty")
            assert mortal.value(conninfo, "SELECT count(*) FROM items") == 20
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_slow_postgres(cluster, spool):
    """A backend that hangs in a statement: the batch is on disk and acknowledged long before it answers."""
    conninfo = cluster.create()
    with Sink(conninfo, "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        miner.store(batch([item("a")]))
        backend = cluster.value(conninfo, "SELECT pid FROM pg_stat_activity WHERE application_name = 'rtm-sink'")
        cluster.freeze(backend)
        try:
            assert miner.store(batch([item("b", title="t")])) == [NEW]
            assert miner.store(batch([item("c", title="t")])) == [NEW]
            sink.wait_log(r"spool state=filling")
        finally:
            cluster.thaw(backend)
        sink.wait_log(r"spool state=empty")
        assert cluster.rows(conninfo, "SELECT key, revision FROM items ORDER BY key") == [("a", 1), ("b", 1), ("c", 1)]


def test_read_only_database(cluster, spool):
    conninfo = cluster.create()
    name = conninfo.rsplit("=", 1)[1]
    with Sink(conninfo, "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        miner.store(batch([item("a")]))
        cluster.execute("postgres", f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        cluster.execute("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                    " WHERE application_name = 'rtm-sink'")
        assert miner.store(batch([item("b")])) == [NEW]
        assert sink.wait_log(r'state=down reason="(.*)"')
        sink.wait_log(r"spool state=filling")
        cluster.execute("postgres", f"ALTER DATABASE {name} RESET default_transaction_read_only")
        sink.wait_log(r"spool state=empty")
        assert cluster.value(conninfo, "SELECT count(*) FROM items") == 2


def test_out_of_connections(cluster, spool):
    conninfo = cluster.create()
    name = conninfo.rsplit("=", 1)[1]
    cluster.execute("postgres", f"CREATE ROLE only_{name} LOGIN CONNECTION LIMIT 3")
    cluster.execute("postgres", f"ALTER DATABASE {name} OWNER TO only_{name}")
    cluster.execute(conninfo, f"GRANT CREATE ON SCHEMA public TO only_{name}")
    with Sink(conninfo.replace("user=postgres", f"user=only_{name}"), "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        miner.store(batch([item("a")]))
        cluster.execute("postgres", f"ALTER ROLE only_{name} CONNECTION LIMIT 0")
        cluster.execute("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", f"only_{name}")
        assert miner.store(batch([item("b"), item("c")])) == [NEW, NEW]
        sink.wait_log(r"spool state=filling")
        sink.stop()
    with Sink(conninfo.replace("user=postgres", f"user=only_{name}"), "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        assert miner.store(batch([item("d")])) == [NEW]
        sink.wait_log(r'state=down reason=".*too many connections')
        cluster.execute("postgres", f"ALTER ROLE only_{name} CONNECTION LIMIT 3")
        sink.wait_log(r"spool state=empty")
        assert cluster.value(conninfo, "SELECT count(*) FROM items") == 4


def test_postgres_disk_full(cluster, tmp_path, spool):
    """Its rows are not refused for that: they wait until there is room."""
    folder = os.path.join(cluster.folder, "small-disk")
    os.mkdir(folder)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small tmpfs")
    try:
        subprocess.run(["chown", "--reference", cluster.data, folder], check=True)
        cluster.execute("postgres", f"CREATE TABLESPACE small LOCATION '{folder}'")
        conninfo = cluster.create()
        name = conninfo.rsplit("=", 1)[1]
        cluster.execute("postgres", f"ALTER DATABASE {name} SET TABLESPACE small")
        with Sink(conninfo, "--spool", spool) as sink, Miner() as miner:
            miner.connect(sink)
            miner.store(batch([item("a")]))
            ballast = os.path.join(folder, "ballast")
            with open(ballast, "wb") as f:
                with pytest.raises(OSError):
                    for _ in range(20000):
                        f.write(b"x" * 8192)
                        f.flush()
            noise = random.Random(1)
            for n in range(40):
                miner.ship(batch([item(f"k{n}-{i}", content=noise.randbytes(3000).hex()) for i in range(20)]))
            miner.settle(60)
            sink.wait_log(r'state=down reason="53100')
            sink.wait_log(r"spool state=filling")
            os.unlink(ballast)
            sink.wait_log(r"spool state=empty", seconds=60)
            assert cluster.value(conninfo, "SELECT count(*) FROM items") == 801
            assert cluster.value(conninfo, "SELECT count(*) FROM rejects") == 0
        cluster.execute("postgres", f"DROP DATABASE {name}")
        cluster.execute("postgres", "DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_sigterm_while_postgres_is_away_spools_what_waits(mortal, spool):
    conninfo = mortal.create()
    mortal.stop()
    with Miner() as miner:
        with Sink(conninfo, "--spool", spool) as sink:
            miner.connect(sink)
            for n in range(50):
                miner.ship(batch([item(f"k{n}")]))
            miner.pump_until(lambda: miner.acked)
            assert sink.stop() == 0
            miner.pump(300)
        mortal.start()
        with Sink(conninfo, "--spool", spool) as sink:
            sink.wait_log(r"spool state=empty")
    assert mortal.value(conninfo, "SELECT count(*) FROM items") >= miner.acked


def test_one_folder_one_sink(database, spool):
    with Sink(database, "--spool", spool):
        second = Sink(database, "--spool", spool)
        done = subprocess.run(second.command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 2 and "another sink" in done.stderr


@pytest.mark.parametrize("seed", range(3))
def test_faults(mortal, spool, seed):
    """Two miners, a sink with a spool, Postgres; each is killed at random. At the end the rows equal the truth."""
    rng = random.Random(seed)
    conninfo = mortal.create()
    truth = {}
    miners = [Miner(f"m{n}") for n in range(2)]
    now = T0
    try:
        for _ in range(6):
            with Sink(conninfo, "--spool", spool) as sink:
                for miner in miners:
                    miner.connect(sink)
                for _ in range(rng.randrange(2, 5)):
                    for miner in rng.choices(miners, k=rng.randrange(5, 25)):
                        now += rng.choice([0, 500, 1000])
                        due = now - rng.choice([0, 0, 0, 3000])
                        items = []
                        for key in rng.sample(range(200), 30):
                            if truth.get(key, 0) != due:  # one version for one due
                                truth[key] = max(truth.get(key, 0), due)
                                items.append(item(f"k{key}", due, title=str(due)))
                        miner.ship(batch(items, due=due))
                    miners[0].pump(rng.randrange(200))
                    miners[1].pump(rng.randrange(20))
                    fault = rng.random()
                    if fault < 0.3 and mortal.process:
                        rng.choice([mortal.kill, lambda: mortal.stop("immediate")])()
                    elif not mortal.process:
                        mortal.start()
                if rng.random() < 0.7:
                    sink.kill()
        if not mortal.process:
            mortal.start()
        with Sink(conninfo, "--spool", spool) as sink:
            for miner in miners:
                miner.connect(sink)
            for miner in miners:
                miner.settle(60)
            wait_until(lambda: not segments(spool), 60)
        rows = titles(mortal, conninfo)
        assert rows == {f"k{k}": str(due) for k, due in truth.items()}
        assert mortal.value(conninfo, "SELECT count(*) FROM items WHERE title::bigint <> content_hash") == 0
    finally:
        for miner in miners:
            miner.close()
