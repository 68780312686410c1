"""History, recurring errors, replay, copies of the broker's state, dead miners: with real processes and short slots."""
import os
import shutil
import sqlite3

import pytest

from cluster import Cluster, Program, wait_until


def bad(c, n=2, name="bad"):
    """A template whose pages are not there, and are asked for all the same."""
    return {"name": name, "kind": "feed", "every": "1s", "politeness": {"concurrency": 8, "gap": "0ms"}, "retry": {"max_attempts": 1}, "max_consecutive_failures": 0,
            "urls": [f"{c.site.base(0)}/{name}/{i}" for i in range(n)]}


@pytest.fixture
def rtm(cluster):
    with Cluster(miners=1, slot="1s", site=dict(sources=6, hosts=2, rate=3), postgres=cluster) as c:
        yield c


def history(c, *args):
    return c.ctl_json("history", "--limit", "0", *args)


def settled(c):
    """Dues that the broker has booked since its start."""
    status = c.ctl_json("status")
    return status["stored"] + status["failed"] + status["skipped"]


def db(c):
    return sqlite3.connect(f"file:{c.folder}/state/broker.db?mode=ro", uri=True)


# -- history and errors ----------------------------------------------------------------------------


def test_every_due_is_in_the_history(rtm):
    rtm.add_site()
    rtm.add(bad(rtm))
    wait_until(lambda: settled(rtm) > 60, what="60 dues")
    before = settled(rtm)
    rows = history(rtm)
    assert before <= sum(row["count"] for row in rows) <= settled(rtm)
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert {row["result"] for row in rows} >= {"changed", "not_modified", "failed"}
    changed = next(row for row in rows if row["result"] == "changed" and row["cause"] == "scheduled")
    assert changed["miner"] == "miner-0" and changed["status"] == 200 and changed["items"] > 0
    assert changed["first_ms"] == changed["last_ms"] <= changed["started_ms"] + 2000


def test_what_repeats_is_one_row(rtm):
    rtm.add(bad(rtm))
    url = bad(rtm)["urls"][0]
    wait_until(lambda: any(r["count"] > 4 for r in history(rtm, url, "--failed")), what="a row of repeated failures")
    row, = history(rtm, url, "--failed")
    assert row["error"] == "not_found" and row["detail"] == "HTTP 404" and row["url"] == url
    assert row["first_ms"] < row["last_ms"]
    by_id, = rtm.ctl_json("history", row["source"], "--failed")
    assert by_id["id"] == row["id"] and by_id["count"] >= row["count"]
    assert {r["template"] for r in history(rtm, "bad")} == {"bad"}
    table = rtm.ctl("history", "bad", check=True).stdout
    assert "not_found" in table and "RESULT" in table


def test_errors_are_grouped(rtm):
    rtm.add(bad(rtm))
    rtm.add(bad(rtm, 1, "other"))

    def groups():
        found = {g["template"]: g for g in rtm.ctl_json("errors")}
        return found if len(found) == 2 and found["bad"]["sources"] == 2 else None
    found = wait_until(groups, what="two groups")
    wait_until(lambda: rtm.ctl_json("errors", "bad")[0]["count"] > found["bad"]["count"], what="more of them")
    group, = rtm.ctl_json("errors", "bad")
    assert group["error"] == "not_found" and group["first_ms"] < group["last_ms"]
    assert group["example"] in bad(rtm)["urls"] and group["detail"] == "HTTP 404"
    assert rtm.ctl_json("errors")[0]["count"] >= 1 and "not_found" in rtm.ctl("errors", check=True).stdout


def test_pages_are_put_together(rtm):
    rtm.add(bad(rtm, 1300))
    wait_until(lambda: len(history(rtm, "bad")) >= 1300, timeout=60, what="1300 rows")
    rows = history(rtm, "bad")
    assert len({row["id"] for row in rows}) == len(rows) >= 1300  # more than one page
    assert len(rtm.ctl_json("history", "bad", "--limit", "7")) == 7


def test_what_is_refused(rtm):
    assert rtm.ctl("history", "http://nobody.example/").returncode == 1
    assert "no template has the source" in rtm.ctl("history", "http://nobody.example/").stderr
    assert rtm.ctl("errors", "nobody").returncode == 1
    assert rtm.ctl_json("history", "nobody") == [] == rtm.ctl_json("history", "0123456789abcdef")
    assert rtm.ctl("history", "--limit", "many").returncode == 2
    assert rtm.ctl("replay", "x").returncode == 2
    done = rtm.ctl("replay", "4711")
    assert done.returncode == 1 and "no row 4711" in done.stderr


def test_history_survives_kills(rtm):
    """Whatever was seen once is there after each kill, with the same id and at least the count."""
    rtm.add_site()
    rtm.add(bad(rtm))
    wait_until(lambda: any(r["result"] == "failed" for r in history(rtm)), what="a failure")
    for _ in range(4):
        rows = {row["id"]: row for row in history(rtm)}
        errors = {g["template"]: g["count"] for g in rtm.ctl_json("errors")}
        rtm.broker.kill()
        rtm.broker.start()
        after = {row["id"]: row for row in history(rtm)}
        for number, row in rows.items():
            assert number in after and after[number]["count"] >= row["count"]
            assert after[number]["result"] in (row["result"], "unchanged", "not_modified")
        for group in rtm.ctl_json("errors"):
            assert group["count"] >= errors.pop(group["template"], 0)
        assert not errors
        newest = max(after)
        wait_until(lambda: max(r["id"] for r in history(rtm)) > newest + 3, what="more history")
    with db(rtm) as file:
        assert file.execute("pragma integrity_check").fetchone() == ("ok",)
        # an error's group counts what its rows count
        assert file.execute("select e.count - (select sum(count) from history h where h.fingerprint = e.fingerprint)"
                            " from errors e").fetchall() == [(0,)] * len(rtm.ctl_json("errors"))


def test_history_is_bounded(rtm):
    rtm.broker.term()
    rtm.broker.start(history_rows=100)
    rtm.add(bad(rtm, 150))

    def bounded():
        with db(rtm) as file:
            dropped = file.execute("select value from numbers where name = 'history_dropped'").fetchone()
            return dropped and file.execute("select count(*) from history").fetchone()[0] <= 100 and dropped[0]
    dropped = wait_until(bounded, timeout=60, what="at most 100 rows")
    note = rtm.ctl("history", "--limit", "1", check=True).stderr
    assert "older rows have left" in note and int(note.split()[1]) >= dropped


# -- replay ----------------------------------------------------------------------------------------


def test_a_replay_reads_the_document_again(rtm):
    rtm.add_site()
    rtm.wait_rows("select count(*) from items", 20)

    def quiet_source():
        rows = history(rtm)
        return next((r for r in rows if r["result"] == "not_modified" and r["template"] == "site-rss"), None)
    row = wait_until(quiet_source, what="a source that did not change")
    lost = "delete from items where source_id = %s returning key"
    keys = {key for key, in rtm.sql(lost, (to_signed(int(row["source"], 16)),))}
    assert keys

    def replayed():
        done = rtm.ctl("replay", row["id"])
        assert done.returncode == 0 or "waits or runs already" in done.stderr, done.stderr
        return done.returncode == 0 and done
    wait_until(replayed, what="an accepted replay")
    found = wait_until(lambda: [r for r in history(rtm, row["source"]) if r["cause"] == "replay"], what="the replay")
    assert found[0]["result"] == "changed" and found[0]["fresh"] > 0
    again = "select key from items where source_id = %s"
    wait_until(lambda: keys & {key for key, in rtm.sql(again, (to_signed(int(row["source"], 16)),))},
               what="rows that were lost")


def to_signed(number):
    return number - (1 << 64) if number >= 1 << 63 else number


# -- copies ----------------------------------------------------------------------------------------


def test_a_copy_under_load_makes_a_broker(rtm, tmp_path):
    rtm.add_site()
    rtm.add(bad(rtm, 300))
    wait_until(lambda: settled(rtm) > 400, what="load")
    copy = str(tmp_path / "copy.db")
    rtm.add({"name": "last", "kind": "feed", "urls": ["http://127.0.0.1:9/last"]})  # acknowledged before the request
    rows = {row["id"] for row in history(rtm)}
    answer = rtm.ctl_json("backup", copy)
    assert answer["file"] == copy and answer["bytes"] == os.path.getsize(copy)
    again = rtm.ctl("backup", copy)
    assert again.returncode == 1 and "not overwritten" in again.stderr
    rtm.ctl("backup", "beside.db", check=True)
    assert os.path.exists(f"{rtm.folder}/state/beside.db")
    templates = [(t["name"], t["sources"]) for t in rtm.ctl_json("list")]
    sources = {s["source"] for s in rtm.ctl_json("sources")}
    assert not rtm.broker.log_lines("stalled")

    # the machine is lost; miners that saw the old broker go on with the one from the copy
    rtm.broker.kill()
    rtm.broker.start()  # once more, so that its epoch is higher than the copy's
    rtm.broker.kill()
    shutil.rmtree(f"{rtm.folder}/state")
    rtm.broker.start(restore=copy)
    assert [(t["name"], t["sources"]) for t in rtm.ctl_json("list")] == templates
    assert {s["source"] for s in rtm.ctl_json("sources")} == sources
    assert rows <= {row["id"] for row in history(rtm)}
    at = max(r["id"] for r in history(rtm))
    wait_until(lambda: any(r["id"] > at and r["result"] == "changed" for r in history(rtm)), what="polls go on")
    assert "stale_epoch" not in rtm.miners[0].log_text()

    # a folder that has a state is left alone
    rtm.broker.kill()
    rtm.broker.start(wait=False)
    assert rtm.broker.wait() == 1 and "exists already" in rtm.broker.log_text()
    rtm.broker.start(restore=None)


def test_a_broker_does_not_start_from_nonsense(rtm, tmp_path):
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nothing of the kind\n" * 1000)
    other = Program(rtm, "other", "rtm-broker", {"listen": "tcp://127.0.0.1:0", "state": str(tmp_path / "state"),
                                                 "restore": str(nonsense)})
    other.start()
    assert other.wait() == 1 and "no copy of a broker's state" in other.log_text()
    assert not os.path.exists(tmp_path / "state" / "broker.db")


# -- dead miners -----------------------------------------------------------------------------------


def test_a_dead_miner_stays_visible(rtm):
    rtm.add_miner()
    wait_until(lambda: len(rtm.ctl_json("miners")) == 2, what="two miners")
    rtm.miners[1].kill()

    def states():
        return {m["miner"]: (m["state"], m["reason"]) for m in rtm.ctl_json("miners")}
    wait_until(lambda: states()["miner-1"] == ("dead", "silent"), what="a dead miner")
    assert "dead" in rtm.ctl("miners", check=True).stdout
    assert rtm.ctl_json("status")["miners"] == 1
    rtm.miners[1].start()
    wait_until(lambda: states() == {"miner-0": ("live", ""), "miner-1": ("live", "")}, what="it is back")
    assert rtm.miners[1].term() == 0
    wait_until(lambda: states()["miner-1"] == ("gone", "drained"), what="it drained")
