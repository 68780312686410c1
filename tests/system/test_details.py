"""The pages behind items: when a miner reads them, and what it makes of those that do not come; between a scripted broker,
sink and web."""
import json
import threading

from scripted_peers import DETAIL, LIST, POLLED, PROBE, STORED, WHOLE, closed_port, error, listing


def follows(world, **more):
    return world.template(detail={"follow": "url", "fields": {"summary": "p::text"}, **more})


def test_details_follow_what_is_new(world):
    world.start()
    source = world.add(follows(world), "/a")
    world.web.pages["/a"] = (200, {"ETag": '"1"'}, listing((1, "/1", "one"), (2, "/gone", "two"), (3, "mailto:x", "three")))
    world.web.pages["/1"] = (200, {}, "<p>more</p>")
    world.web.pages["/gone"] = (404, {}, b"")
    outcomes = world.poll(source)
    assert [o["kind"] for o in outcomes] == [POLLED, STORED] and outcomes[1]["has_state"]
    assert outcomes[1]["fresh"] == 3 and world.batches[0]["templates"][0][2] is True
    details = {i["key"]: i["summary"] for i in world.items() if i["part"] == DETAIL}
    assert details == {"1": "more", "2": "", "3": ""}
    assert all(i["part"] in (LIST, DETAIL) for i in world.items()) and len(world.items()) == 6
    # a known item is not followed again; one whose details the sink lacks is
    world.stored[(source, "4")] = {LIST}
    world.web.pages["/a"] = (200, {}, listing((4, "/4", "four"), (1, "/1", "one")))
    world.web.pages["/4"] = (200, {}, "<p>late</p>")
    world.poll(source)
    assert [(i["key"], i["part"]) for i in world.items()[6:]] == [("4", LIST), ("4", DETAIL)]
    assert len(world.web.asked("/1")) == 1


def test_stored_waits_for_the_details(world):
    world.start()
    source = world.add(follows(world), "/a")
    let = threading.Event()
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    world.web.pages["/1"] = lambda r: (let.wait(10), (200, {}, "<p>more</p>"))[1]
    due = world.due(source)
    world.pump(lambda: world.web.asked("/1"))
    second = world.due(source)  # waits for the first, until a third comes
    third = world.due(source)
    world.pump(lambda: world.of_source(source, second))
    assert error(world.of_source(source, second)[0]) == "still_running"
    assert [o["kind"] for o in world.of_source(source, due)] == [POLLED]
    assert not world.of_source(source, third)
    let.set()
    world.pump(lambda: len(world.of_source(source, due)) == 2 and world.of_source(source, third))
    assert error(world.of_source(source, third)[0]) == "none"


def test_a_document_that_comes_back_after_an_unfinished_one_is_read(world):
    """The one between has changed rows: neither validators nor the hash of the first may hide that they are changed back."""
    world.start()
    source = world.add(follows(world), "/a")
    first = listing((1, "/1", "one"))

    def page(request):
        return (304, {}, b"") if request.headers.get("If-None-Match") == '"1"' else (200, {"ETag": '"1"'}, first)
    world.web.pages["/1"] = (200, {}, "<p>one</p>")
    world.web.pages["/2"] = (500, {}, b"")
    for headers in ({"ETag": '"2"'}, {}):
        world.web.pages["/a"] = page if headers else (200, {}, first)
        assert world.poll(source)[-1]["has_state"]
        world.web.pages["/a"] = (200, headers, listing((2, "/2", "two"), (1, "/1", "another")))
        assert not world.poll(source)[-1]["has_state"]
        world.web.pages["/a"] = page if headers else (200, {}, first)
        world.poll(source)
        assert [i["title"] for i in world.items() if i["key"] == "1" and i["part"] == LIST][-1] == "one"


def test_a_waiting_due_makes_the_poll_leave_details(world):
    world.start()
    source = world.add(follows(world), "/a")
    let = threading.Event()
    world.web.pages["/a"] = (200, {"ETag": '"1"'}, listing(*((n, f"/{n}", f"item {n}") for n in range(1, 31))))
    for n in range(1, 31):
        world.web.pages[f"/{n}"] = lambda r: (let.wait(10), (200, {}, "<p>more</p>"))[1]
    due = world.due(source)
    world.pump(lambda: len(world.web.asked("/1")) == 1)
    second = world.due(source)
    let.set()
    world.pump(lambda: len(world.of_source(source, due)) == 2 and len(world.of_source(source, second)) == 2)
    assert not world.of_source(source, due)[1]["has_state"] and world.of_source(source, second)[1]["has_state"]
    details = [i["key"] for i in world.items() if i["part"] == DETAIL]
    assert sorted(details, key=int) == [str(n) for n in range(1, 31)], "each exactly once"


def test_details_that_fail_for_now_leave_the_poll_without_state(world):
    world.start()
    source = world.add(follows(world), "/a")
    world.web.pages["/a"] = (200, {"ETag": '"1"'}, listing((1, "/1", "one"), (2, "/2", "two")))
    world.web.pages["/1"] = (500, {}, b"")
    world.web.pages["/2"] = (200, {}, "<p>two</p>")
    stored = world.poll(source)[-1]
    assert stored["kind"] == STORED and not stored["has_state"]
    assert not any(i["part"] == DETAIL and i["key"] == "1" for i in world.items())
    world.web.pages["/1"] = (200, {}, "<p>at last</p>")
    stored = world.poll(source)[-1]
    assert stored["has_state"] and "If-None-Match" not in world.web.asked("/a")[1][2]
    assert {i["key"]: i["summary"] for i in world.items() if i["part"] == DETAIL} == {"1": "at last", "2": "two"}
    assert len(world.web.asked("/2")) == 1


def test_details_that_never_come_are_given_up(world):
    world.start()
    source = world.add(follows(world), "/a")
    world.web.pages["/a"] = (200, {}, listing((1, f"http://127.0.0.1:{closed_port()}/", "one")))
    states = [world.poll(source)[-1]["has_state"] for _ in range(5)]
    assert states == [0, 0, 0, 0, True]
    assert [i["part"] for i in world.items()].count(DETAIL) == 1


def prototype(world):
    document = {"source": "old", "config": {
        "uri": "http://x.example/", "homepageLinksPath": "li a", "title": "h1", "description": "p.intro",
        "urlFilters": [], "pageFilters": [{"path": "span.kind", "value": "advert"}]}}
    world.next_id += 1
    return [world.next_id, 1, "old", json.dumps(document)]


def test_items_that_their_page_lets_through(world):
    world.start()
    source = world.add(prototype(world), "/a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one"), (2, "/2", "two"), (3, "/3", "three")))
    world.web.pages["/1"] = (200, {}, "<h1>First</h1><p class=intro>of all</p>")
    world.web.pages["/2"] = (200, {}, "<h1>Buy</h1><span class=kind>advert</span>")
    world.web.pages["/3"] = (404, {}, b"")
    stored = world.poll(source)[-1]
    assert stored["has_state"] and stored["fresh"] == 1
    assert [i["part"] for i in world.items()] == [PROBE] * 3 + [WHOLE]
    whole = world.items()[-1]
    assert whole["title"] == "First" and whole["url"] == world.web.url("/1")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one"), (2, "/2", "two"), (3, "/3", "three"), (4, "/4", "four")))
    world.poll(source)
    assert len(world.web.asked("/2")) == len(world.web.asked("/3")) == 1
