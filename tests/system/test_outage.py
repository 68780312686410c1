"""Long outages of Postgres: nothing is lost, and while the spool is drained fresh items are there at once.

RTM_OUTAGE_ITEMS: items that come while Postgres is away; 3600000 are an hour at 1,000 items a second.
"""
import os
import subprocess
import time

import pytest

from cluster import Cluster, wait_until
from pg import Cluster as Postgres
from scripted_miner import NEW, T0, Miner, Sink, batch, item
from truth import differences, settled

pytestmark = pytest.mark.alone

ITEMS = int(os.environ.get("RTM_OUTAGE_ITEMS", "120000"))
PER_BATCH = 500
SOURCES = 50
SECOND = 1000


def test_an_hour_of_items(tmp_path):
    """As fast as the sink takes them instead of within an hour: more is asked of it, not less."""
    n_batches = ITEMS // PER_BATCH
    summary = "a summary of the length that summaries have, more or less, which is some eighty bytes"
    with Postgres() as postgres:
        conninfo = postgres.create()
        with Sink(conninfo, "--spool", str(tmp_path / "spool"), "--spool-max", "16G") as sink, Miner() as miner:
            miner.connect(sink)
            miner.store(batch([item("before")], source=SOURCES + 1))
            postgres.stop("immediate")
            start = time.monotonic()
            for n in range(n_batches):
                due = T0 + n * PER_BATCH  # 1,000 a second
                items = [item(f"k{n}-{i}", n + 1, title="a title of some length", url=f"http://site/{n}/{i}", summary=summary)
                         for i in range(PER_BATCH)]
                miner.ship(batch(items, due=due, source=n % SOURCES))
                if n % 50 == 49:
                    miner.settle(60)
            miner.settle(60)
            spooled = time.monotonic() - start
            size = sum(e.stat().st_size for e in os.scandir(tmp_path / "spool"))
            postgres.start()
            sink.wait_log(r"postgres state=up", 2, 60)
            start, fresh = time.monotonic(), []
            while not sink.log(r"spool state=empty"):
                begun = time.monotonic()
                due = T0 + ITEMS + int((begun - start) * SECOND)
                assert miner.store(batch([item(f"fresh-{len(fresh)}")], source=SOURCES + 2, due=due)) == [NEW]
                seen = "SELECT count(*) FROM items WHERE key = %s"  # at once, but where a commit is slow it is spooled
                wait_until(lambda: postgres.value(conninfo, seen, f"fresh-{len(fresh)}"), 30, "a fresh item", every=0.01)
                fresh.append(time.monotonic() - begun)
                assert time.monotonic() - start < 600
                time.sleep(0.05)  # the pace of a miner that has little to tell
            drained = time.monotonic() - start
            print(f"{ITEMS} items spooled in {spooled:.1f} s ({size / 2**20:.0f} MiB), drained in {drained:.1f} s"
                  f" ({ITEMS / drained:.0f}/s); {len(fresh)} fresh items meanwhile, the slowest visible after {max(fresh):.2f} s")
            assert max(fresh) < 5
            assert postgres.value(conninfo, "SELECT count(*) FROM items") == n_batches * PER_BATCH + 1 + len(fresh)
            assert postgres.value(conninfo, "SELECT count(*) FROM items WHERE revision <> 1") == 0
            assert postgres.value(conninfo, "SELECT count(*) FROM rejects") == 0


@pytest.fixture(scope="module")
def rtm():
    site = dict(sources=400, hosts=40, rate=100, updates=0.3, pinned=1, backlog=2, min_stay="600s", seed=9)
    with Cluster(miners=2, slot="1s", site=site, sink=dict(spool="spool", spool_max="32M", memory="1M"),
                 miner=dict(buffer="64K")) as c:
        c.add_site()
        c.wait_rows("select count(*) from items", 800)
        yield c


def test_a_full_spool_stops_the_miners(rtm):
    """Credit stops, miners poll no more and say why; when Postgres is back all is there."""
    rtm.sink.term()
    limit = os.path.join(rtm.folder, "small")
    os.mkdir(limit)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", limit], capture_output=True).returncode:
        pytest.skip("no right to mount a small tmpfs")
    try:
        rtm.postgres.stop("immediate")
        rtm.sink.start(spool=os.path.join(limit, "spool"))
        rtm.sink.wait_log(r"spool state=stuck", 60)

        def skipped():
            return sum(int(m["skipped"]) for miner in rtm.miners for m in miner.log_lines("miner")[-1:])
        for miner in rtm.miners:
            miner.wait_log(r"backpressure on=1", 60)
        before = skipped()
        wait_until(lambda: skipped() > before, 30, "skipped dues")
        states = {m["state"] for m in rtm.ctl_json("miners")}
        assert "sink_backpressure" in states, states
        rtm.broker.wait_log(r"skipped\.sink_backpressure=\d+")
        rtm.postgres.start()
        rtm.sink.wait_log(r"spool state=empty", 60)
        for miner in rtm.miners:
            wait_until(lambda: miner.log_lines("backpressure")[-1]["on"] == "0", 30, "polling goes on")
        rtm.site.stop_posting()
        wait_until(lambda: settled(rtm), 60, "rows equal the ground truth", every=0.3)
        assert not differences(rtm)
    finally:
        if rtm.postgres.process is None:
            rtm.postgres.start()
        rtm.sink.term()
        subprocess.run(["umount", limit], check=True)
        rtm.sink.start(spool=None)  # miners end when a sink has all
