"""A worker that hangs in a document: its source is named and blamed, the miner starts anew, and the others go on."""
import os

from cluster import Cluster, wait_until


def test_stuck_worker(cluster):
    with Cluster(miners=1, postgres=cluster, site=dict(sources=4, hosts=2, rate=0), start=False,
                 miner=dict(workers=1, stuck_after="1500ms")) as rtm:
        rtm.broker.start()
        rtm.sink.start()
        miner = rtm.add_miner(start=False)
        miner.start(failpoint="read@poison")
        rtm.add_site()
        wait_until(lambda: all(s["last_result"] for s in rtm.ctl_json("sources")), 30, "polls of all good sources")
        pid, incarnation = miner.pid, miner.wait_log(r"started")
        rtm.add({"name": "poison", "kind": "html", "url": f"{rtm.site.base(0)}/_bad/utf8?poison", "items": "body",
                 "fields": {"title": "body"}, "every": "1h"})
        line = wait_until(lambda: miner.log_lines("worker_stuck"), 20, "the watchdog")[0]
        assert line["template"] == "poison" and line["url"].endswith("?poison") and int(line["ms"]) >= 1500
        miner.wait_log(r"restarting reason=worker_stuck[\s\S]* welcome")
        assert miner.pid == pid and miner.running and os.path.exists(f"/proc/{pid}")
        poison = wait_until(lambda: (lambda s: s if s["last_error"] else None)(rtm.ctl_json("sources", "poison")[0]), 10,
                            "blame")
        assert poison["last_error"] == "too_complex" and poison["last_result"] == "failed" and poison["failures"] == 1
        posts = [rtm.site.post(source=s) for s in range(4)]
        keys = tuple(p["key"] for p in posts)
        wait_until(lambda: rtm.sql("select count(distinct key) from items where key in %s", (keys,))[0][0] == 4, 20,
                   "posts of the good sources")
        good = [s for s in rtm.ctl_json("sources") if s["template"] != "poison"]
        assert all(s["failures"] == 0 for s in good), good
        assert len(rtm.ctl_json("miners")) == 1
