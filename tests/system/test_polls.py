"""Lists and their details in a real cluster: what is followed again after somebody died, and what is said of gaps."""
import threading

import psycopg2
import pytest

from cluster import Cluster, wait_until
from pg import Cluster as Postgres
from scripted_peers import Web, listing


@pytest.fixture(scope="module")
def postgres():
    with Postgres() as p:
        yield p


@pytest.fixture
def web():
    w = Web()
    yield w
    w.close()


def template(web, name, path, **members):
    document = {"name": name, "kind": "html", "url": web.url(path), "items": "li", "key": "::attr(id)", "every": "1s",
                "fields": {"title": "a::text", "url": "a::attr(href)"}, "politeness": {"gap": "0s", "concurrency": 8}, **members}
    return {k: v for k, v in document.items() if v is not None}


def page(first, n, more=None):
    body = listing(*[(i, f"/item/{i}", f"title {i}") for i in range(first, first - n, -1)])
    return 200, {}, body.replace("</ul>", f'</ul><a rel="next" href="{more}">older</a>' if more else "</ul>")


def owner(c):
    name = next(s["miner"] for s in c.ctl_json("sources") if s["miner"])
    return next(m for m in c.miners if m.name == name)


def wait_complete(c, n, what, timeout=40):
    """Waits until n items have their details."""
    wait_until(lambda: c.sql("select count(*) from items where detail_at is not null")[0][0] == n, timeout, what,
               ignore=(psycopg2.OperationalError, psycopg2.errors.UndefinedTable))


def test_details_are_followed_once_whoever_dies(postgres, web):
    def publish(n):
        web.pages["/list"] = page(n, 6)
        web.pages[f"/item/{n}"] = (200, {}, f"<p>text {n}</p>")
    for i in range(1, 7):
        publish(i)
    with Cluster(miners=2, slot="1s", postgres=postgres) as c:
        c.add(template(web, "board", "/list", detail={"fields": {"content": "p"}}))
        wait_complete(c, 6, "six details")
        owner(c).kill()  # another one takes over, which has seen nothing
        publish(7)
        wait_complete(c, 7, "the seventh, by another miner")
        for m in c.miners:
            if not m.running:
                m.start()
        c.sink.restart()
        publish(8)
        wait_complete(c, 8, "the eighth, after the sink's death")
        c.broker.restart()
        publish(9)
        wait_complete(c, 9, "the ninth, after the broker's death")
        for m in c.miners:
            m.restart()
        publish(10)
        wait_complete(c, 10, "the tenth, after both miners' death")
        assert [len(web.asked(f"/item/{i}")) for i in range(1, 11)] == [1] * 10
        assert c.sql("select count(*), count(distinct key), max(revision) from items") == [(10, 10, 1)]


def test_details_that_were_under_way_are_followed_again_and_no_others(postgres, web):
    stuck = threading.Event()
    web.pages["/list"] = page(6, 6)
    for i in range(1, 7):
        web.pages[f"/item/{i}"] = (200, {}, f"<p>text {i}</p>")
    web.pages["/item/3"] = lambda handler: stuck.wait(20) and (200, {}, "<p>text 3</p>")
    with Cluster(miners=2, slot="1s", postgres=postgres) as c:
        c.add(template(web, "board", "/list", detail={"fields": {"content": "p"}}))
        wait_complete(c, 5, "all details but one")
        wait_until(lambda: web.asked("/item/3"), 10, "the last one is under way")
        owner(c).kill()
        stuck.set()
        wait_complete(c, 6, "the last one, by another miner")
        asked = [len(web.asked(f"/item/{i}")) for i in range(1, 7)]
        assert asked[:2] + asked[3:] == [1] * 5 and asked[2] >= 2


def gaps(c, *args):
    return [(g["state"], g["reason"], g["found"]) for g in c.ctl_json("gaps", *args)]


def test_gaps_are_on_record(postgres, web):
    web.pages["/a"] = page(20, 10, "/a?p=2")
    web.pages["/b"] = page(20, 10)
    web.pages["/c"] = page(20, 10)
    with Cluster(miners=2, slot="1s", postgres=postgres) as c:
        for name, order in (("a", "newest"), ("b", "newest"), ("c", "ranked")):
            c.add(template(web, name, f"/{name}", order=order))
        c.wait_rows("select count(*) from items", 30)
        assert gaps(c) == []
        # nobody polls while the lists move on
        for m in c.miners:
            m.kill()
        web.pages.update({"/a": page(45, 10, "/a?p=2"), "/a?p=2": page(35, 10, "/a?p=3"), "/a?p=3": page(25, 10, "/a?p=4"),
                          "/b": page(45, 10), "/c": page(45, 10)})
        for m in c.miners:
            m.start()
        wait_until(lambda: c.sql("select count(*) from items")[0][0] == 30 + 25 + 10 + 10, 40, "the later items")
        wait_until(lambda: len(gaps(c)) == 2, 20, "two gaps")
        assert sorted(gaps(c)) == [("closed", "paged_back", 15), ("open", "no_next_page", 0)]
        assert gaps(c, "a") == [("closed", "paged_back", 15)] and gaps(c, "c") == [("unprovable", "", 0)]
        row, = c.ctl_json("gaps", "b")
        assert row["template"] == "b" and row["url"] == web.url("/b") and 0 < row["from_ms"] < row["to_ms"]
        assert "no_next_page" in c.ctl("gaps", "b", check=True).stdout
        assert c.ctl("gaps", "nobody").returncode == 1
        known = c.sql("select s.template, g.reason, g.found, g.closed_at is not null, g.since < g.until,"
                      " extract(epoch from g.since)::numeric * 1000 from gaps g join sources s using (source_id) order by 1")
        assert [k[:5] for k in known] == [("a", "paged_back", 15, True, True), ("b", "no_next_page", 0, False, True)]
        assert int(known[1][5]) == row["from_ms"]
        states = "select template, continuity from sources order by 1"
        wait_until(lambda: c.sql(states) == [("a", "continuous"), ("b", "continuous"), ("c", "unprovable")] or
                   c.sql(states) == [("a", "continuous"), ("b", "gap"), ("c", "unprovable")], 20, "the states")
        # the next list reaches back; the gap stays where it was, over a restart of the broker
        web.pages["/b"] = page(47, 10)
        wait_until(lambda: c.sql(states)[1] == ("b", "continuous"), 20, "continuity")
        c.broker.restart()
        wait_until(lambda: sorted(gaps(c)) == [("closed", "paged_back", 15), ("open", "no_next_page", 0)], 20, "the gaps")
        assert c.sql("select count(*) from items where template_id = (select template_id from templates where name = 'a')"
                     " and not backfill")[0][0] >= 10
