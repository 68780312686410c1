"""Several sinks on one database: sources are spread over them, and move when one is gone or comes back."""
import contextlib
import random
import re

import pytest

from cluster import Cluster, wait_until
from truth import differences, settled


@pytest.fixture
def rtm():
    site = dict(sources=60, hosts=12, rate=20, updates=0.3, pinned=1, backlog=3, min_stay="600s", seed=3)
    with Cluster(miners=2, sinks=3, slot="1s", site=site, sink=dict(health="127.0.0.1:0")) as c:
        c.add_site()
        c.wait_rows("select count(*) from items", 180)
        yield c


def batches(sink):
    return sum(int(line["batches"]) for line in sink.log_lines("sink"))


@contextlib.contextmanager
def seen_by_all(rtm, event, sink):
    """Waits until each miner has said so once more than before."""
    def times(miner):
        return sum(line["endpoint"] == sink.endpoint for line in miner.log_lines(event))
    before = [times(m) for m in rtm.miners]
    yield
    wait_until(lambda: all(times(m) > n for m, n in zip(rtm.miners, before)), 25, f"{event} {sink.name}")


def goes_on(rtm, what):
    """Rows keep coming."""
    before = rtm.sql("select count(*) from items")[0][0]
    rtm.wait_rows("select count(*) from items", before + 30, timeout=20)
    assert all(m.running for m in rtm.miners), what


def all_equal(rtm):
    rtm.site.stop_posting()
    wait_until(lambda: settled(rtm), 60, "rows equal the ground truth", every=0.3)
    wrong = differences(rtm)
    assert not wrong, "\n".join(wrong)
    rtm.site.start_posting()


def test_sources_are_spread_and_move(rtm):
    for sink in rtm.sinks:
        wait_until(lambda: batches(sink) > 0, 15, f"batches at {sink.name}")
        sink.wait_log(r" join miner=miner-0 ")
    rtm.sinks[1].kill()
    goes_on(rtm, "one of three is gone")
    for miner in rtm.miners:
        miner.wait_log(r"sink_gone endpoint=" + re.escape(rtm.sinks[1].endpoint))
    all_equal(rtm)
    rtm.sinks[0].kill()
    rtm.sinks[2].kill()
    rtm.sinks[1].start()
    goes_on(rtm, "another one is there")
    all_equal(rtm)
    rtm.sinks[0].start()
    rtm.sinks[2].start()
    for sink in rtm.sinks:
        wait_until(lambda: batches(sink) > 0, 20, f"batches at {sink.name}")
    all_equal(rtm)


def test_frozen_and_killed_sinks(rtm):
    """A frozen sink still commits what others have long been given, with acknowledgements of a former life."""
    rng = random.Random(1)
    for _ in range(3):
        sink, freezes = rng.choice(rtm.sinks), rng.random() < 0.7
        with seen_by_all(rtm, "sink_gone", sink):
            sink.freeze() if freezes else sink.kill()
        goes_on(rtm, "one is frozen" if freezes else "one is gone")
        with seen_by_all(rtm, "sink_back", sink):
            sink.thaw() if freezes else sink.start()
    all_equal(rtm)
    for sink in rtm.sinks:
        refused = [line for line in sink.log_lines("refused", all_runs=True) if line.get("code") == "409"]
        assert not refused, refused
