"""The whole pipeline, from a template to rows in Postgres."""
import time

import psycopg2
import pytest

from cluster import Cluster, wait_until
from truth import differences, settled

NOT_YET = (psycopg2.OperationalError, psycopg2.errors.UndefinedTable)


@pytest.fixture(scope="module")
def rtm(cluster):
    with Cluster(miners=2, postgres=cluster, site=dict(sources=40, hosts=8, rate=5, updates=0.2, pinned=1)) as c:
        c.add_site()
        yield c


def test_rows_equal_the_ground_truth(rtm):
    wait_until(lambda: len(rtm.site.truth()) > 40 * 20 + 30, what="some posts")
    rtm.site.stop_posting()
    wait_until(lambda: settled(rtm), 60, "rows equal ground truth", ignore=NOT_YET)
    assert not differences(rtm)
    lacking = ("select count(*) from items join sources using (source_id)"
               " where template like 'site-html%%' and detail_at is null")
    wait_until(lambda: rtm.sql(lacking)[0][0] == 0, 30, "all details")
    assert rtm.sql("select count(*) from items where detail_at is not null and author is not null")[0][0] > 100
    rtm.site.start_posting()


def test_unchanged_pages_cost_nothing(rtm):
    before = rtm.site.status()["not_modified"]
    wait_until(lambda: rtm.site.status()["not_modified"] > before + 20, what="answers 304")


def test_first_row_within_two_seconds_of_add(rtm):
    rtm.site.post(source=0)
    url = rtm.site.url(1)
    started = time.monotonic()
    rtm.add({"name": "quick", "kind": "feed", "url": url, "every": "1h"})
    wait_until(lambda: rtm.sql("select count(*) from items join sources using (source_id) where template = 'quick'")
               [0][0] > 0, 10, "first row")
    took = time.monotonic() - started
    print(f"first row after {took:.2f} s")
    assert took < 2.0
    rtm.ctl("remove", "quick", check=True)


def test_log_is_worth_watching(rtm):
    line = wait_until(lambda: rtm.broker.log_lines("heartbeat"), 15, "a heartbeat line")[-1]
    assert line["live"] == "2" and "miner-0" in line["miners"]
    slots = wait_until(lambda: rtm.broker.log_lines("slot"), 15, "a slot line")
    assert all(int(s["due"]) >= int(s["stored"]) for s in slots)
    assert {"joined"} <= {ln.split()[2] for ln in rtm.broker.log_text().splitlines()}


def test_the_work_of_a_killed_miner_moves(rtm):
    rtm.miners[0].kill()
    wait_until(lambda: not [s for s in rtm.ctl_json("sources") if s["miner"] != "miner-1"], 5.5, "all at miner-1",
               every=0.2)
    rtm.miners[0].start()
    wait_until(lambda: len({s["miner"] for s in rtm.ctl_json("sources")}) == 2, 10, "miner-0 has work again")


def owners(rtm):
    return {s["source"]: s["miner"] for s in rtm.ctl_json("sources")}


def owners_at_rest(rtm):
    """Once loads are levelled: that takes some steps."""
    seen = [owners(rtm)]

    def at_rest():
        seen.append(owners(rtm))
        return seen[-1] == seen[-2]
    wait_until(at_rest, 15, "nothing moves", every=1)
    return seen[-1]


def test_the_broker_goes_on_after_kill_9(rtm):
    before = owners_at_rest(rtm)
    rtm.broker.kill()
    rtm.broker.start()
    wait_until(lambda: all(m["state"] == "live" for m in rtm.ctl_json("miners")) and len(rtm.ctl_json("miners")) == 2,
               5, "both miners are back", every=0.1)
    time_left = time.monotonic() + 5
    wait_until(lambda: all(s["miner"] for s in rtm.ctl_json("sources")), max(0.1, time_left - time.monotonic()), "owners")
    assert owners(rtm) == before


def test_malformed_messages_disturb_nobody(rtm):
    import zmq
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(rtm.broker.endpoint)
    for bad in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\xdd\xff\xff\xff\xff", b"\x92\xa5READY\x81\xa5miner\x05", b"x" * (1 << 20) + b"y"):
        socket.send(bad)
        assert socket.poll(3000), f"no answer to {bad[:20]!r}"
        assert b"ERROR" in socket.recv()
    socket.send_multipart([b"a", b"b"])
    assert socket.poll(3000) and b"ERROR" in socket.recv()
    socket.close()
    assert rtm.ctl("status").returncode == 0


def test_a_replaced_template_reads_its_pages_anew(rtm):
    url = rtm.site.url(2)
    rtm.add({"name": "again", "kind": "feed", "url": url, "every": "2s"})
    wait_until(lambda: rtm.sql("select count(*) from items join sources using (source_id) where template = 'again'")
               [0][0] > 0, 10, "first rows")
    done = rtm.ctl("add", "-", input='{"name": "again", "kind": "feed", "url": "%s", "every": "3s"}' % url)
    assert done.returncode == 1 and "--replace" in done.stderr
    rtm.add({"name": "again", "kind": "feed", "url": url, "every": "3s"}, "--replace")
    assert rtm.ctl_json("show", "again")["version"] == 2
    rtm.ctl("wait", "again", "--timeout", "20s", check=True)
    rtm.ctl("remove", "again", check=True)
    assert rtm.ctl("remove", "again").returncode == 1
