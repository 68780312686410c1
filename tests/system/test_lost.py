"""What was refused can be replayed; a database that lost commits is noticed."""
import os
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

from cluster import Cluster as Rtm
from pg import Cluster
from scripted_miner import CHANGED, DETAIL, NEW, REJECTED, T0, Miner, Sink, batch, item, wait_until
from simsite import build_dir
from truth import differences, settled

MINUTE = 60_000


# -- rejects ------------------------------------------------------------------------------------------------


def replay(conninfo):
    return subprocess.run([os.path.join(build_dir(), "rtm-sink"), "replay-rejects", "--postgres", conninfo],
                          capture_output=True, text=True, timeout=60)


def test_replay(cluster, database):
    with Sink(database) as sink, Miner() as miner:
        miner.connect(sink)
        sink.wait_log(r"postgres state=up")
        assert replay(database).stdout == "replayed=0 left=0\n"
        for bad in ("poison", "worse"):
            cluster.execute(database, f"ALTER TABLE items ADD CONSTRAINT no_{bad} CHECK (content <> '{bad}')")
        rows = [item(f"k{n}", 1, content="poison" if n % 3 == 0 else "worse" if n == 1 else "fine") for n in range(10)]
        assert miner.store(batch(rows, has_detail=True)).count(REJECTED) == 5
        assert miner.store(batch([item("k2", 1, DETAIL, content="poison")], has_detail=True)) == [REJECTED]
        assert miner.store(batch([item("k3", 2, content="newer")], due=T0 + MINUTE, has_detail=True)) == [NEW]
        # the reason stands: all stay
        done = replay(database)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "replayed=0 left=6"), done
        assert 'key="k1" part=0 refused: 23514' in done.stdout
        cluster.execute(database, "ALTER TABLE items DROP CONSTRAINT no_poison")
        done = replay(database)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "replayed=5 left=1"), done
        assert cluster.rows(database, "SELECT key FROM rejects") == [("k1",)]
        cluster.execute(database, "ALTER TABLE items DROP CONSTRAINT no_worse")
        done = replay(database)
        assert (done.returncode, done.stdout) == (0, "replayed=1 left=0\n"), done
    rows = dict(cluster.rows(database, "SELECT key, content FROM items"))
    assert rows == {f"k{n}": "poison" if n in (0, 2, 6, 9) else "worse" if n == 1 else "newer" if n == 3 else "fine"
                    for n in range(10)}
    assert cluster.rows(database, "SELECT DISTINCT rtm_cause(cause) FROM items WHERE key IN ('k0', 'k1')") == [("replayed",)]


def test_replay_without_a_database():
    done = replay("host=127.0.0.1 port=1 user=x")
    assert done.returncode == 3 and "rtm-sink:" in done.stderr


# -- a database that comes back as it was -------------------------------------------------------------------


@pytest.fixture
def mortal():
    with Cluster() as cluster:
        yield cluster


def restore(cluster, backup):
    cluster.stop()
    shutil.rmtree(cluster.data)
    subprocess.run(["cp", "-a", backup, cluster.data], check=True)
    cluster.start()


def get(address, path):
    try:
        with urllib.request.urlopen(address + path, timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


@pytest.mark.parametrize("when", ["while the sink runs", "while it is down"])
def test_a_restored_database_is_noticed(mortal, tmp_path, when):
    conninfo = mortal.create()
    spool, backup = str(tmp_path / "spool"), os.path.join(mortal.folder, "backup")
    options = (conninfo, "--spool", spool, "--health", "127.0.0.1:0")
    with Miner() as miner:
        with Sink(*options) as sink:
            miner.connect(sink)
            miner.store(batch([item("a")]))
            before = mortal.value(conninfo, "SELECT (extract(epoch FROM marked_at) * 1000)::bigint FROM marks")
            mortal.stop()  # a restart alone is no reason
            subprocess.run(["cp", "-a", mortal.data, backup], check=True)
            mortal.start()
            sink.wait_log(r"postgres state=up", 2)
            assert miner.store(batch([item("a", 2), item("b")], due=T0 + MINUTE)) == [CHANGED, NEW]
            assert not sink.log(r"database_restored")
            if when == "while the sink runs":
                restore(mortal, backup)
                check_noticed(sink, before)
        if when == "while it is down":
            restore(mortal, backup)
        with Sink(*options) as sink:
            if when == "while it is down":
                check_noticed(sink, before)
            miner.connect(sink)
            miner.store(batch([item("c")], due=T0 + 2 * MINUTE))
        with Sink(*options) as sink:  # said once: from here on the database is what it is
            sink.wait_log(r"postgres state=up")
            miner.connect(sink)
            miner.store(batch([item("d")], due=T0 + 3 * MINUTE))
            assert not sink.log(r"database_restored")


def check_noticed(sink, before):
    # what was changed and what was new were a commit each
    line = sink.wait_log(r"database_restored mark=3 found=1 since_ms=(\d+)")
    assert int(line.group(1)) == before
    address = sink.wait_log(r"http endpoint=(\S+)").group(1)
    wait_until(lambda: f"database_restored since_ms={before}" in get(address, "/healthz"))
    assert "rtm_sink_database_restored 1\n" in get(address, "/metrics")


def test_another_database_is_noticed(cluster, tmp_path):
    spool = str(tmp_path / "spool")
    with Sink(cluster.create(), "--spool", spool) as sink, Miner() as miner:
        miner.connect(sink)
        miner.store(batch([item("a")]))
    with Sink(cluster.create(), "--spool", spool) as sink:
        sink.wait_log(r"database_restored mark=1 found=0 since_ms=0")


# -- mining what was lost -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rtm():
    with Rtm(miners=2, slot="1s", site=dict(sources=40, hosts=10, rate=10, pinned=1, backlog=3, min_stay="600s")) as c:
        c.add_site()
        c.wait_rows("select count(*) from items", 130)
        c.site.stop_posting()
        wait_until(lambda: settled(c), 60)
        yield c


def test_refetch(rtm):
    names = [t["name"] for t in rtm.ctl_json("list")]
    lost = rtm.sql("delete from items using sources s where s.source_id = items.source_id and s.template = %s"
                   " returning items.source_id, key", (names[0],))
    rest = rtm.sql("select source_id, key, revision, stored_at from items order by 1, 2")
    assert lost and rest
    done = rtm.ctl("refetch", "--template", names[0], check=True)
    assert "will be mined anew" in done.stdout
    wait_until(lambda: settled(rtm), 30)
    # nobody knows when what came back appeared; what was there stays as it was
    assert rtm.sql("select count(*) from items where (source_id, key) in %s and backfill and last_absent_at is null",
                   (tuple(lost),)) == [(len(lost),)]
    assert rtm.sql("select source_id, key, revision, stored_at from items where (source_id, key) not in %s order by 1, 2",
                   (tuple(lost),)) == rest


@pytest.mark.parametrize("what", [["--all"], ["--since", "1h"]])
def test_refetch_everything_while_processes_die(rtm, what):
    """The command is durable: neither broker nor miners that are killed make anything of it undone."""
    rtm.sql("delete from items")
    assert rtm.ctl_json("refetch", *what)["sources"] == 40
    rtm.broker.restart()
    rtm.miners[0].restart()
    wait_until(lambda: settled(rtm), 60)
    assert not differences(rtm)


def test_refetch_of_what_was_not_stored_since(rtm):
    wait_until(lambda: all(s["last_stored_ms"] for s in rtm.ctl_json("sources")), 30)
    assert rtm.ctl_json("refetch", "--since", "2100-01-01T00:00Z") == {"sources": 0}


@pytest.mark.parametrize("args", [[], ["--all", "--since", "1h"], ["--since", "sometime"], ["--template", "none-such"]])
def test_refetch_says_what_is_wrong(rtm, args):
    done = rtm.ctl("refetch", *args)
    assert done.returncode == (1 if args[:1] == ["--template"] else 2) and done.stderr
