"""The lists that a miner reads: further pages, feeds that a page names, rot, and what proves that nothing was missed.
Between a scripted broker, sink and web."""
import collections
import json
import random
import threading

import pytest

from scripted_peers import CONTINUITY, DETAIL, GAP_REASONS, LIST, POLL, POLLED, STORED, World, error, listing, polls, result, row


@pytest.fixture
def world():
    with World() as w:
        w.start()
        yield w


def last(outcomes):
    return outcomes[-1]


def told(outcomes):
    """(result, error) of a poll's last outcome."""
    return result(outcomes[-1]), error(outcomes[-1])


def continuity(outcomes):
    o = outcomes[-1]
    return CONTINUITY[o["continuity"]], GAP_REASONS[o["gap_reason"]], o["gap_found"]


def page(first, n, more=None, step=-1):
    """A page that lists n items from number `first` down, and a link to where it goes on."""
    body = listing(*[(i, f"/item/{i}", f"title {i}") for i in range(first, first + step * n, step)])
    link = f'<a rel="next" href="{more}">older</a>' if more else ""
    return 200, {}, body.replace("</ul>", f"</ul>{link}")


def keys(world, since=0):
    return [i["key"] for i in world.items()[since:]]


def rows(world):
    """key -> (backfill, absent) of each item that was sent."""
    found = {}
    for b in world.batches:
        for cells in b.get("items", []):
            poll = row(POLL, b["polls"][cells[0]])
            found[cells[2]] = (bool(poll["backfill"]), poll["absent"])
    return found


def proofs(world):
    """Polls' rows that tell something of continuity."""
    return [p for p in polls(world) if p["continuity"] or p["gap_since"]]


def again(world, template, path, outcome, **state):
    """A new owner's first poll of the source: it knows what the broker keeps."""
    world.process.kill()
    world.wait_exit()
    world.messages.clear()
    world.outcomes.clear()
    world.start()
    kept = {n: outcome[n] for n in ("last_ok", "memory", "generation")}
    if outcome["has_state"]:
        kept |= {n: outcome[n] for n in ("etag", "last_modified", "body_hash", "fetch_url")}
    return world.add(template, path, **{**kept, **state})


# -- further pages --


def test_further_pages_are_part_of_the_poll(world):
    world.web.pages.update({"/a": page(9, 3, "/a?p=2"), "/a?p=2": page(6, 3, "/a?p=3"), "/a?p=3": page(3, 3, "/a?p=4")})
    source = world.add(world.template(pages=3), "/a")
    polled, stored = world.poll(source)
    assert told([stored]) == ("changed", "none") and stored["items"] == 9 and stored["fresh"] == 9
    assert polled["kind"] == POLLED and polled["items"] == 3
    assert keys(world) == [str(i) for i in range(9, 0, -1)]
    assert not world.web.asked("/a?p=4"), "more than `pages` were read"
    # the next poll stops where nothing is new
    world.web.pages["/a"] = page(10, 3, "/a?p=2")
    asked = len(world.web.requests)
    assert told(world.poll(source)) == ("changed", "none")
    assert keys(world)[9:] == ["10"]
    assert [r[1] for r in world.web.requests[asked:]] == ["/a", "/a?p=2"]  # a page with news is followed once
    # an unchanged first page is no reason to read on
    world.web.pages["/a"] = (200, {}, world.web.pages["/a"][2] + "<!-- 2 -->")
    asked = len(world.web.requests)
    assert told(world.poll(source)) == ("unchanged", "none")
    assert [r[1] for r in world.web.requests[asked:]] == ["/a"]


def test_a_new_owner_reads_no_further_than_what_the_sink_knows(world):
    world.web.pages.update({"/a": page(6, 3, "/a?p=2"), "/a?p=2": page(3, 3)})
    template = world.template(pages=5)
    source = world.add(template, "/a")
    stored = last(world.poll(source))
    source = again(world, template, "/a", {**stored, "has_state": False})
    world.stored = {(source, str(i)): {LIST} for i in range(1, 7)}
    asked = len(world.web.requests)
    assert told(world.poll(source))[0] == "changed"  # everything was sent, the sink knew it
    assert [r[1] for r in world.web.requests[asked:]] == ["/a"]


@pytest.mark.parametrize("more,wanted", [
    ({"next": {"format": "?p={page}"}}, ["/a", "/a?p=2", "/a?p=3", "/a?p=4"]),
    ({"next": {"format": "/a?from={offset}"}}, ["/a", "/a?from=3", "/a?from=6", "/a?from=9"]),
    ({"next": {"format": "?p={page}"}, "query": {"key": "x", "p": 1}},
     ["/a?key=x&p=1", "/a?p=2&key=x", "/a?p=3&key=x", "/a?p=4&key=x"]),
])
def test_pages_that_are_counted(world, more, wanted):
    for i, path in enumerate(wanted):
        world.web.pages[path] = page(9 - 3 * i, 3) if i < 3 else (404, {}, "no more")
    source = world.add(world.template(pages=10, **more), "/a")
    assert told(world.poll(source)) == ("changed", "none")
    assert [r[1] for r in world.web.requests] == wanted
    assert keys(world) == [str(i) for i in range(9, 0, -1)]


def test_endless_pages_end(world):
    def endless(handler):  # each page names another one
        n = int(handler.path.partition("=")[2] or 1)
        return page(10, 3, f"/a?p={n + 1}")
    for n in range(1, 40):
        world.web.pages["/a" if n == 1 else f"/a?p={n}"] = endless
    source = world.add(world.template(pages=30), "/a")
    assert told(world.poll(source)) == ("changed", "none")
    assert [r[1] for r in world.web.requests] == ["/a", "/a?p=2"]  # which showed nothing that the first had not
    world.web.pages.update({"/b": page(10, 3, "/b?p=2"), "/b?p=2": page(7, 3, "/b")})
    source = world.add(world.template("b", pages=30), "/b")
    assert told(world.poll(source)) == ("changed", "none")
    assert len(world.web.asked("/b")) == 1 and len(world.web.asked("/b?p=2")) == 1
    for n in range(1, 9):
        world.web.pages[f"/c?p={n}"] = page(100 - 3 * n, 3, f"/c?p={n + 1}")
    source = world.add(world.template("c", pages=4), "/c?p=1")
    assert told(world.poll(source)) == ("changed", "none")
    assert [len(world.web.asked(f"/c?p={n}")) for n in range(1, 6)] == [1, 1, 1, 1, 0]


def test_pages_keep_the_gap_between_requests(world):
    world.web.pages.update({f"/a?p={n}": page(100 - 3 * n, 3, f"/a?p={n + 1}") for n in range(1, 5)})
    source = world.add(world.template(pages=3, politeness={"gap": "150ms", "concurrency": 1}), "/a?p=1")
    world.poll(source)
    times = [r[0] for r in world.web.requests]
    assert len(times) == 3 and all(b - a >= 0.14 for a, b in zip(times, times[1:]))


def test_a_further_page_that_fails_fails_the_poll(world):
    world.web.pages.update({"/a": page(9, 3, "/a?p=2"), "/a?p=2": (500, {}, "out of order")})
    world.web.pages["/a"] = (200, {"ETag": '"1"'}, page(9, 3, "/a?p=2")[2])
    source = world.add(world.template(pages=3), "/a", etag='"old"')
    polls = world.poll(source)
    assert told(polls) == ("failed", "http_5xx") and not last(polls)["has_state"] and not last(polls)["memory"]
    assert last(polls)["last_ok"] == 0
    assert keys(world) == ["9", "8", "7"]  # these are stored all the same
    world.web.pages["/a?p=2"] = page(6, 3)
    assert told(world.poll(source)) == ("changed", "none")
    assert "If-None-Match" not in world.web.asked("/a")[1][2]  # of what was stored in part
    assert keys(world)[3:] == ["9", "8", "7", "6", "5", "4"]  # though the sink knows the first three


def test_what_a_failed_poll_has_changed_is_changed_back(world):
    first, newer = page(9, 3, "/a?p=2"), page(10, 4, "/a?p=2")
    world.web.pages.update({"/a": first, "/a?p=2": page(6, 3)})
    source = world.add(world.template(pages=3), "/a")
    assert told(world.poll(source)) == ("changed", "none")
    world.web.pages.update({"/a": (200, {}, newer[2].replace("title 9", "for a while")), "/a?p=2": (500, {}, "out of order")})
    assert told(world.poll(source))[0] == "failed"
    world.web.pages.update({"/a": first, "/a?p=2": page(6, 3)})
    world.poll(source)
    assert [i["title"] for i in world.items() if i["key"] == "9"] == ["title 9", "for a while", "title 9"]
    assert [p["again"] for p in polls(world)].count(True) == 1  # of the row with what was listed otherwise


def test_a_poll_that_dies_between_two_pages(world):
    """What it has stored of the first page does not keep the next one from reading the second."""
    template = world.template(pages=3)
    world.web.pages["/a"] = page(3, 3)
    source = world.add(template, "/a")
    stored = last(world.poll(source))
    dead = threading.Event()
    world.web.pages.update({"/a": page(9, 3, "/a?p=2"), "/a?p=2": lambda handler: dead.wait(20) and None})
    world.due(source)
    world.pump(lambda: world.web.asked("/a?p=2") and (source, "9") in world.stored, what="the first page is stored")
    world.process.kill()
    dead.set()
    world.web.pages["/a?p=2"] = page(6, 3, "/a?p=3")
    source = again(world, template, "/a", stored)
    world.stored.update({(source, str(i)): {LIST} for i in (1, 2, 3, 7, 8, 9)})
    assert told(world.poll(source)) == ("changed", "none")
    assert {(source, str(i)) for i in range(1, 10)} == {k for k in world.stored if k[0] == source}


def test_details_on_further_pages(world):
    world.web.pages.update({"/a": page(4, 2, "/a?p=2"), "/a?p=2": page(2, 2)})
    for i in range(1, 5):
        world.web.pages[f"/item/{i}"] = (200, {}, f"<p>text {i}</p>")
    world.web.pages["/item/1"] = (503, {}, "later")
    source = world.add(world.template(pages=2, detail={"fields": {"content": "p"}}), "/a")
    stored = last(world.poll(source))
    assert not stored["has_state"] and "pages=2" in stored["memory"]
    details = [i["key"] for i in world.items() if i["part"] == DETAIL]
    assert sorted(details) == ["2", "3", "4"]
    # the page on which something is left is read again, though nothing is new
    world.web.pages["/item/1"] = (200, {}, "<p>text 1</p>")
    world.broker.send("ASSIGN", epoch=world.epoch, slot=1, slot_start=world.now(), hosts=[[f"127.0.0.1:{world.web.port}", 0]])
    stored = last(world.poll(source))
    assert stored["has_state"] and "pages=" not in stored["memory"]
    assert sorted(i["key"] for i in world.items() if i["part"] == DETAIL) == ["1", "2", "3", "4"]
    assert [len(world.web.asked(f"/item/{i}")) for i in range(1, 5)] == [2, 1, 1, 1]


# -- feeds that a page names --


FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>f</title>{}</channel></rss>"""


def rss(first, n):
    items = "".join(f"<item><guid>{i}</guid><title>t{i}</title><link>http://x.example/{i}</link></item>"
                    for i in range(first, first - n, -1))
    return 200, {"Content-Type": "application/rss+xml"}, FEED.format(items)


def feed_template(world, name="f", **members):
    return world.template(name, **{"kind": "feed", "items": None, "key": None, "fields": None, **members})


HOME = """<!doctype html><html><head><title>home</title>
<link rel="alternate" type="application/rss+xml" href="{}"></head><body>hello</body></html>"""


@pytest.mark.parametrize("kind", ["feed", "auto"])
def test_a_page_that_names_its_feed(world, kind):
    world.web.pages.update({"/": (200, {}, HOME.format("/rss?a=1&amp;b=2")), "/rss?a=1&b=2": rss(3, 3)})
    template = feed_template(world, kind=kind)
    source = world.add(template, "/")
    stored = last(world.poll(source))
    assert told([stored]) == ("changed", "none") and stored["items"] == 3
    assert stored["fetch_url"] == world.web.url("/rss?a=1&b=2") and "found=1" in stored["memory"]
    world.web.pages["/rss?a=1&b=2"] = rss(4, 4)
    assert told(world.poll(source)) == ("changed", "none")
    source = again(world, template, "/", stored)
    world.poll(source)
    assert len(world.web.asked("/")) == 1, "the feed was looked for again"
    # the feed has moved: its page says where
    world.web.pages.update({"/": (200, {}, HOME.format("/atom")), "/rss?a=1&b=2": (404, {}, "gone"), "/atom": rss(5, 4)})
    assert told(world.poll(source)) == ("failed", "not_found")
    stored = last(world.poll(source))
    assert told([stored])[0] == "changed" and stored["fetch_url"] == world.web.url("/atom")


def test_a_page_without_a_feed(world):
    world.web.pages["/"] = (200, {}, "<!doctype html><html><head></head><body>hello</body></html>")
    outcomes = world.poll(world.add(feed_template(world), "/"))
    assert told(outcomes) == ("failed", "not_this_kind")
    assert "HTML page" in last(outcomes)["detail"]
    # a page that names a page, and one that names itself
    world.web.pages.update({"/b": (200, {}, HOME.format("/")), "/c": (200, {}, HOME.format("/c"))})
    assert told(world.poll(world.add(feed_template(world, "b"), "/b"))) == ("failed", "not_this_kind")
    assert told(world.poll(world.add(feed_template(world, "c"), "/c"))) == ("failed", "not_this_kind")
    assert len(world.web.asked("/c")) == 1


def test_a_feed_that_becomes_a_page_is_not_replaced_by_another(world):
    """A site's error page names the site's own feed, which is not the one that was asked for."""
    world.web.pages.update({"/tag.rss": rss(9, 9), "/rss": rss(99, 3)})
    source = world.add(feed_template(world), "/tag.rss")
    world.poll(source)
    world.web.pages["/tag.rss"] = (200, {}, HOME.format("/rss"))
    assert told(world.poll(source)) == ("failed", "not_this_kind")
    assert not world.web.asked("/rss")


# -- rot --


def test_an_empty_list_where_there_were_many(world):
    world.web.pages["/a"] = rss(30, 20)
    template = feed_template(world)
    source = world.add(template, "/a")
    stored = last(world.poll(source))
    world.web.pages["/a"] = (200, {"ETag": '"empty"'}, FEED.format(""))
    for owner in (1, 2):
        if owner == 2:
            source = again(world, template, "/a", stored)
        outcomes = world.poll(source)
        assert told(outcomes) == ("failed", "rotted") and not last(outcomes)["has_state"]
        assert last(outcomes)["detail"] == "lists nothing, where 20 items are usual"
    assert "If-None-Match" not in world.web.requests[-1][2]  # it is read again
    # what has been empty for a day is believed
    old = {**stored, "last_ok": stored["last_ok"] - 25 * 3600 * 1000}
    source = again(world, template, "/a", old)
    assert told(world.poll(source)) == ("unchanged", "none")
    world.web.pages["/a"] = (200, {}, FEED.format("") + "\n")
    assert told(world.poll(source)) == ("unchanged", "none")


@pytest.mark.parametrize("members", [{"may_be_empty": True}, {"keep": {"title": "t9"}}])
def test_a_list_that_may_be_empty(world, members):
    world.web.pages["/a"] = rss(9, 9)
    source = world.add(feed_template(world, **members), "/a")
    assert told(world.poll(source))[0] == "changed"
    empty = "may_be_empty" in members
    world.web.pages["/a"] = (200, {}, FEED.format("")) if empty else rss(8, 8)
    assert told(world.poll(source)) == ("unchanged", "none")
    if not empty:
        return
    source = world.add(world.template("html", may_be_empty=True), "/b")
    world.web.pages["/b"] = page(9, 9)
    assert told(world.poll(source))[0] == "changed"
    world.web.pages["/b"] = (200, {}, "<!doctype html><p>nothing today</p>")
    assert told(world.poll(source)) == ("unchanged", "none")


def test_a_field_that_is_gone(world):
    template = world.template(fields={"title": "a::text", "url": "a::attr(href)", "score": "b::text"})
    body = "".join(f'<li id="{i}"><a href="/{i}">t{i}</a><b>{i}</b></li>' for i in range(20))
    world.web.pages["/a"] = (200, {"ETag": '"1"'}, f"<!doctype html><ul>{body}</ul>")
    source = world.add(template, "/a")
    stored = last(world.poll(source))
    assert "fills=100,100,100" in stored["memory"]
    for gone, field in (("<b>", "score"), ("</a>", "title")):
        changed = body.replace("<b>", "<i>").replace("</b>", "</i>") if gone == "<b>" else body.replace("a href", "p href")
        world.web.pages["/a"] = (200, {"ETag": '"2"'}, f"<!doctype html><ul>{changed}</ul>")
        outcomes = world.poll(source)
        assert told(outcomes) == ("failed", "rotted"), field
        assert last(outcomes)["detail"] == f"`{field}` is in 0 % of 20 items, where 100 % are usual"
    source = again(world, template, "/a", stored)
    assert told(world.poll(source)) == ("failed", "rotted")
    assert world.web.requests[-1][2]["If-None-Match"] == '"1"'
    # some items without it are no rot
    world.web.pages["/a"] = (200, {}, f"<!doctype html><ul>{body.replace('<b>', '<i>', 15)}</ul>")
    assert told(world.poll(source))[0] == "changed"


def test_a_redirect_to_another_page(world):
    links = lambda n: "<!doctype html>" + "".join(f'<a href="/{i}">link {i}</a>' for i in range(n))
    template = world.template(items="a", key=None, fields={"title": "::text", "url": "::attr(href)"})
    world.web.pages["/a"] = (200, {}, links(60))
    source = world.add(template, "/a")
    world.poll(source)
    world.web.pages.update({"/a": (302, {"Location": "/login"}, ""), "/login": (200, {}, links(4))})
    outcomes = world.poll(source)
    assert told(outcomes) == ("failed", "rotted") and "/login" in last(outcomes)["detail"]
    world.web.pages["/a"] = (200, {}, links(40))
    assert told(world.poll(source)) == ("unchanged", "none")


def test_detail_pages_that_lost_what_they_had(world):
    """The prototype's items are kept only if their page has a title: when the site changes, none would be."""
    document = {"source": "old", "config": {"uri": "http://x.example/", "homepageLinksPath": "li a", "title": "h1",
                                            "description": "p"}}
    world.next_id += 1
    template = [world.next_id, 1, "old", json.dumps(document)]
    world.web.pages.update({f"/item/{i}": (200, {}, f"<h1>title {i}</h1>") for i in range(1, 5)})
    world.web.pages["/a"] = page(4, 4)
    source = world.add(template, "/a")
    stored = last(world.poll(source))
    assert stored["fresh"] == 4 and "details=100" in stored["memory"]
    world.web.pages.update({f"/item/{i}": (200, {}, f"<h2>title {i}</h2><p>text</p>") for i in range(5, 9)})
    world.web.pages["/a"] = page(8, 8)
    outcomes = world.poll(source)
    assert told(outcomes) == ("failed", "rotted") and not last(outcomes)["has_state"] and not last(outcomes)["memory"]
    assert last(outcomes)["detail"] == "4 detail pages in a row have none of their fields, which 100 % of them had"
    world.web.pages.update({f"/item/{i}": (200, {}, f"<h1>title {i}</h1>") for i in range(5, 9)})
    stored = last(world.poll(source))
    assert told([stored])[0] == "changed" and {k[1] for k in world.stored if k[0] == source} == {
        world.web.url(f"/item/{i}") for i in range(1, 9)}
    assert len(world.web.asked("/item/1")) == 1
    # some pages are simply no items, and one at a time goes unnoticed twice
    world.web.pages.update({"/item/9": (200, {}, "<p>no title</p>"), "/a": page(9, 9)})
    assert told(world.poll(source))[0] == "changed"
    assert len(world.web.asked("/item/9")) == 1


# -- what proves that nothing was missed --


def newest(world, name="n", **members):
    return world.template(name, **{"order": "newest", **members})


def test_a_list_that_reaches_back_is_continuous(world):
    world.web.pages["/a"] = page(20, 10)
    template = newest(world)
    source = world.add(template, "/a")
    stored = last(world.poll(source))
    assert continuity([stored]) == ("unknown", "none", 0) and not proofs(world)
    world.web.pages["/a"] = page(25, 10)
    assert continuity(world.poll(source)) == ("continuous", "none", 0)
    proof, = proofs(world)
    assert CONTINUITY[proof["continuity"]] == "continuous" and not proof["gap_since"]
    world.web.pages["/a"] = page(26, 10)
    stored = last(world.poll(source))
    assert continuity([stored]) == ("continuous", "none", 0) and len(proofs(world)) == 1  # the sink knows it
    world.web.pages["/a"] = page(34, 10)
    source = again(world, template, "/a", stored)
    assert continuity(world.poll(source)) == ("continuous", "none", 0) and len(proofs(world)) == 1


def test_a_list_that_does_not_reach_back_leaves_a_gap(world):
    world.web.pages["/a"] = page(20, 10)
    template = newest(world)
    source = world.add(template, "/a")
    first = last(world.poll(source))
    for owner in (1, 2):
        if owner == 2:
            source = again(world, template, "/a", first)
        batches = len(world.batches)
        world.web.pages["/a"] = page(29, 10)  # one item that was there before: it may be pinned
        outcomes = world.poll(source)
        stored = last(outcomes)
        assert continuity(outcomes) == ("gap", "no_next_page", 0)
        assert stored["gap_since"] == first["last_ok"] and stored["has_state"]
        proof = [p for b in world.batches[batches:] for p in (row(POLL, c) for c in b["polls"]) if p["gap_since"]]
        assert [CONTINUITY[p["continuity"]] for p in proof] == ["gap"] and proof[0]["gap_since"] == first["last_ok"]
    world.web.pages["/a"] = page(31, 10)
    assert continuity(world.poll(source)) == ("continuous", "none", 0)  # since the poll before


def test_pinned_items_prove_nothing(world):
    def board(first, n):
        pinned = [(f"p{i}", f"/p{i}", "rules") for i in range(1)]
        return 200, {}, listing(*pinned, *[(i, f"/{i}", f"t{i}") for i in range(first, first - n, -1)])
    world.web.pages["/a"] = board(20, 10)
    source = world.add(newest(world), "/a")
    world.poll(source)
    world.web.pages["/a"] = board(25, 10)
    assert continuity(world.poll(source))[0] == "continuous"
    world.web.pages["/a"] = board(40, 10)
    assert continuity(world.poll(source))[0] == "gap"
    # an item that was deleted makes room for an older one at the end, which is no sign of a gap
    world.web.pages["/a"] = (200, {}, listing(("p0", "/p0", "rules"), *[(i, f"/{i}", "t") for i in (40, 39, 37, 36, 35, 34, 33, 32, 31, 30)]))
    assert continuity(world.poll(source))[0] == "continuous"


def test_what_comes_up_at_the_end_of_a_list_is_older(world):
    """Nobody knows how late it is: the poll before could not see it."""
    world.web.pages["/a"] = page(20, 10)
    source = world.add(newest(world), "/a")
    first = last(world.poll(source))
    world.web.pages["/a"] = (200, {}, listing(*[(i, f"/item/{i}", "t") for i in (21, 20, 19, 17, 16, 15, 14, 13, 12, 11, 10)]))
    assert continuity(world.poll(source)) == ("continuous", "none", 0)
    assert rows(world)["21"] == (False, first["last_ok"]) and rows(world)["10"] == (False, 0)


def test_paging_back_closes_a_gap(world):
    world.web.pages["/a"] = page(20, 10, "/a?p=2")
    template = newest(world, fresh_within="1h")
    source = world.add(template, "/a")
    first = last(world.poll(source))
    assert not world.web.asked("/a?p=2")  # `pages` is 1
    world.web.pages.update({"/a": page(45, 10, "/a?p=2"), "/a?p=2": page(35, 10, "/a?p=3"), "/a?p=3": page(25, 10, "/a?p=4")})
    stored = last(world.poll(source))
    assert continuity([stored]) == ("continuous", "paged_back", 15) and stored["gap_since"] == first["last_ok"]
    assert not world.web.asked("/a?p=4") and keys(world)[10:] == [str(i) for i in range(45, 20, -1)]
    assert {rows(world)[str(i)] for i in range(21, 46)} == {(False, first["last_ok"])}  # within the promise
    # later than promised: what paging back finds is backfill; older than what was known, nobody knows how old
    late = {**stored, "last_ok": stored["last_ok"] - 2 * 3600 * 1000}
    source = again(world, template, "/a", late)
    world.stored = {(source, str(i)): {LIST} for i in range(11, 46)}
    world.web.pages.update({"/a": page(60, 10, "/a?p=2"), "/a?p=2": (200, {}, page(50, 7, "/a?p=3")[2].replace("</ul>", '<li id="5"><a href="/5">old</a></li></ul>'))})
    assert continuity(world.poll(source)) == ("continuous", "paged_back", 5)
    found = rows(world)
    assert found["60"] == (False, late["last_ok"]) and found["50"] == (True, late["last_ok"]) and found["5"] == (True, 0)


def test_paging_back_has_an_end(world):
    world.web.pages["/a"] = page(20, 10)
    source = world.add(newest(world), "/a")
    world.poll(source)
    world.web.pages["/a"] = page(1000, 10, "/a?p=2")
    world.web.pages.update({f"/a?p={n}": page(1010 - 10 * n, 10, f"/a?p={n + 1}") for n in range(2, 40)})
    assert continuity(world.poll(source)) == ("gap", "page_limit", 190)
    assert world.web.asked("/a?p=20") and not world.web.asked("/a?p=21")
    world.web.pages["/b"] = page(20, 10)
    source = world.add(newest(world, "b"), "/b")
    world.poll(source)
    world.web.pages.update({"/b": page(50, 10, "/b?p=2"), "/b?p=2": (404, {}, "")})
    assert continuity(world.poll(source)) == ("gap", "list_ended", 0)


def test_pages_that_cannot_be_had_do_not_hold_up_a_source(world):
    for name, status, fails in (("a", 403, 0), ("b", 500, 4)):
        world.web.pages[f"/{name}"] = page(20, 10)
        source = world.add(newest(world, name), f"/{name}")
        world.poll(source)
        world.web.pages.update({f"/{name}": page(50, 10, f"/{name}?p=2"), f"/{name}?p=2": (status, {}, "")})
        for _ in range(fails):
            assert told(world.poll(source))[0] == "failed"
        outcomes = world.poll(source)
        assert told(outcomes)[0] == "changed" and continuity(outcomes) == ("gap", "page_failed", 0)
        assert last(outcomes)["has_state"]
        assert continuity(world.poll(source)) == ("unknown", "none", 0)  # unchanged


def test_within_pages_nothing_was_missed(world):
    world.web.pages["/a"] = page(20, 10)
    source = world.add(newest(world, pages=3), "/a")
    world.poll(source)
    world.web.pages.update({"/a": page(35, 10, "/a?p=2"), "/a?p=2": page(25, 10, "/a?p=3")})
    stored = last(world.poll(source))
    assert continuity([stored]) == ("continuous", "none", 0) and not stored["gap_since"]


def test_lists_that_can_prove_nothing(world):
    for name, order, n in (("ranked", "ranked", 10), ("none", None, 10), ("short", "newest", 2)):
        world.web.pages[f"/{name}"] = page(20, n)
        source = world.add(world.template(name, **({"order": order} if order else {})), f"/{name}")
        before = len(proofs(world))
        assert continuity(world.poll(source)) == ("unprovable", "none", 0), name
        world.web.pages[f"/{name}"] = page(90, n)
        assert continuity(world.poll(source)) == ("unprovable", "none", 0), name
        assert {CONTINUITY[p["continuity"]] for p in proofs(world)[before:]} == {"unprovable"}


def test_a_sitemap_of_kind_auto_is_in_no_order(world):
    def urls(first, n):
        return 200, {}, "<urlset>" + "".join(f"<url><loc>http://x.example/{i}</loc></url>" for i in range(first, first + n)) + "</urlset>"
    world.web.pages["/a"] = urls(1, 10)
    source = world.add(feed_template(world, kind="auto"), "/a")
    assert continuity(world.poll(source)) == ("unprovable", "none", 0)
    world.web.pages["/a"] = urls(50, 10)
    assert continuity(world.poll(source)) == ("unprovable", "none", 0)


def test_a_gap_is_told_before_the_poll_counts_as_stored(world):
    """Nobody may believe the next poll to be continuous before the gap is on record."""
    world.web.pages["/a"] = page(20, 10)
    source = world.add(newest(world), "/a")
    world.poll(source)
    world.web.pages["/a"] = page(90, 10)
    world.ack_batches = False
    batches = len(world.batches)
    due = world.due(source)
    world.pump(lambda: proofs(world), what="the gap is told")
    world.settle()
    assert not any(o["kind"] & STORED for o in world.of_source(source, due))
    for b in world.batches[batches:]:
        world.ack(b)
    world.pump(lambda: any(o["kind"] & STORED for o in world.of_source(source, due)))


def as_kept(before, outcome):
    """What the broker keeps: an outcome without memory leaves it as it was."""
    return {**outcome, "memory": outcome["memory"] or before["memory"]}


class Board:
    """A list in order of time that publishes, deletes and pins, and knows what a reader must have."""

    SIZE = 8

    def __init__(self, world, path, depth):
        self.world, self.path, self.depth = world, path, depth
        self.items, self.pinned, self.low, self.last = [], [], [], 0  # newest first; low: pinned below all others
        self.publish(20)

    def publish(self, n):
        for _ in range(n):
            self.last += 1
            self.items.insert(0, self.last)

    def show(self):
        """Puts the pages on the web; the ids on the first one."""
        rest = [i for i in self.items if i not in self.pinned + self.low]
        for n in range(1, self.depth + 1):
            ids = (self.pinned if n == 1 else []) + rest[(n - 1) * self.SIZE:n * self.SIZE] + (self.low if n == 1 else [])
            more = f'<a rel="next" href="{self.path}?p={n + 1}">older</a>' if n < self.depth else ""
            body = listing(*[(i, f"/item/{i}", f"title {i}") for i in ids]).replace("</ul>", "</ul>" + more)
            self.world.web.pages[self.path if n == 1 else f"{self.path}?p={n}"] = (200, {}, body)


@pytest.mark.parametrize("seed", range(6))
def test_no_poll_claims_what_is_not_so(world, seed):
    """Seeded rounds of a list that moves fast and slowly, under miners that die: what a poll calls continuous is."""
    random_ = random.Random(seed)
    template = newest(world, fresh_within="1h")
    board = Board(world, "/a", depth=random_.choice((1, 2, 4)))
    board.show()
    source = world.add(template, "/a")
    stored = last(world.poll(source))
    excused = set(board.items) - {int(k) for s, k in world.stored if s == source}  # older than the first poll
    said = collections.Counter()
    for _ in range(40):
        news, before = random_.choice((0, 1, 2, 4, 7, 12, 30)), set(board.items)
        board.publish(news)
        if random_.random() < 0.2:
            board.pinned = random_.sample(board.items[:12], random_.choice((0, 1, 2)))
            board.low = random_.sample([i for i in board.items[:12] if i not in board.pinned], random_.choice((0, 1)))
        deleted = random_.random() < 0.3 and random_.choice(board.items[:10])
        if deleted:
            board.items.remove(deleted)
            board.pinned, board.low = ([i for i in p if i != deleted] for p in (board.pinned, board.low))
        board.show()
        event = random_.choice(("none", "none", "none", "owner", "dies", "fails"))
        if event == "fails" and board.depth > 1:
            good, world.web.pages["/a?p=2"] = world.web.pages["/a?p=2"], (random_.choice((400, 500)), {}, "")
            outcomes = world.poll(source)
            world.web.pages["/a?p=2"] = good
            if told(outcomes)[0] == "failed":
                continue
        elif event == "dies" and board.depth > 1 and news:
            asked, dead = len(world.web.asked("/a?p=2")), threading.Event()
            good, world.web.pages["/a?p=2"] = world.web.pages["/a?p=2"], lambda handler: dead.wait(20) and None
            due = world.due(source)
            world.pump(lambda: len(world.web.asked("/a?p=2")) > asked or
                       any(o["kind"] & STORED for o in world.of_source(source, due)), what="the second page, or none")
            world.settle(0.1)
            done = [o for o in world.of_source(source, due) if o["kind"] & STORED]
            kept = as_kept(stored, done[-1]) if done else stored
            known = dict(world.stored)
            world.process.kill()
            dead.set()
            world.web.pages["/a?p=2"] = good
            old, source = source, again(world, template, "/a", kept)
            world.stored = {(source, k): v for (s, k), v in known.items() if s == old}
            outcomes = [*done, *world.poll(source)]
        else:
            if event == "owner":
                old, source = source, again(world, template, "/a", stored)
                world.stored = {(source, k): v for (s, k), v in world.stored.items() if s == old}
            outcomes = world.poll(source)
        stored = as_kept(stored, last(outcomes))
        claims = [CONTINUITY[o["continuity"]] for o in outcomes if o["kind"] & STORED and told([o])[0] != "failed"]
        said.update(claims)
        missing = set(board.items) - {int(k) for s, k in world.stored if s == source} - excused
        if "gap" in claims:
            excused |= missing
        else:
            assert not missing, f"{claims} in spite of {missing}, {event}, {news} new"
        if news <= Board.SIZE - 2 and not deleted and not board.pinned + board.low and event == "none" and before:
            assert "gap" not in claims or missing or board.depth == 1, f"a gap after {news} new ones"
    print(dict(said))
    assert said["continuous"] > 5
