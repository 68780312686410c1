"""What a miner tells the sink beyond what is new: once a day all that a source lists, and why items may be late."""
import pytest

from scripted_peers import ERRORS, World, listing, polls

DAY = 86_400_000
CAUSE_TROUBLE = 200


@pytest.fixture
def world():
    with World() as world:
        yield world.start()


def page(world, etag='"1"'):
    body = listing((1, "/1", "one"), (2, "/2", "two"))
    return lambda r: (304, {}, b"") if r.headers.get("If-None-Match") == etag else (200, {"ETag": etag}, body)


def test_once_a_day_all_that_is_listed_is_sent(world):
    """To the sink that remembers what retention removed: as long as it is listed, it must not be forgotten."""
    template = world.template(retention={"age": "90d", "items": 1000})
    source = world.add(template, "/a", last_ok=world.now())
    world.web.pages["/a"] = page(world)
    world.poll(source)
    assert world.batches[0]["templates"] == [[template[0], "t", False, 60000, 90 * DAY, 1000]]
    assert [i["key"] for i in world.items()] == ["1", "2"]
    world.poll(source)
    assert "If-None-Match" in world.web.requests[-1][2] and len(world.items()) == 2
    # the same state a day later: neither validators nor what was seen keep it from being sent
    o = world.outcomes[-1]
    cells = [source, template[0], world.web.url("/a"), "", '"1"', "", o["body_hash"], world.now() - DAY, 0]
    world.broker.send("ASSIGN", epoch=world.epoch, slot=1, slot_start=1, sources=[cells])
    assert world.poll(source)[-1]["has_state"]
    assert "If-None-Match" not in world.web.requests[-1][2]
    assert [i["key"] for i in world.items()] == ["1", "2"] * 2
    world.poll(source)
    assert "If-None-Match" in world.web.requests[-1][2] and len(world.items()) == 4


def test_without_retention_nothing_is_sent_twice(world):
    template = world.template()
    source = world.add(template, "/a", last_ok=world.now())
    world.web.pages["/a"] = page(world)
    world.poll(source)
    cells = [source, template[0], world.web.url("/a"), "", '"1"', "", 0, world.now() - DAY, 0]
    world.broker.send("ASSIGN", epoch=world.epoch, slot=1, slot_start=1, sources=[cells])
    world.poll(source)
    assert "If-None-Match" in world.web.requests[-1][2] and len(world.items()) == 2


def test_what_went_wrong_before_is_the_cause(world):
    source = world.add(world.template(), "/a", last_ok=world.now())
    world.web.pages["/a"] = (404, {}, b"not now")
    world.poll(source)
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    world.poll(source)
    world.web.pages["/a"] = (200, {}, listing((2, "/2", "two"), (1, "/1", "one")))
    world.poll(source)
    assert [p["cause"] for p in polls(world)] == [CAUSE_TROUBLE + ERRORS.index("not_found"), 0]


def test_the_cause_of_the_due_comes_first(world):
    source = world.add(world.template(), "/a", last_ok=world.now())
    world.web.pages["/a"] = (404, {}, b"not now")
    world.poll(source)
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    world.poll(source, cause=2)
    assert [p["cause"] for p in polls(world)] == [2]


def test_a_poll_that_waited_long_for_its_turn_says_so(world):
    source = world.add(world.template(fresh_within="2s"), "/a", last_ok=world.now())
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    world.poll(source, offset=-1500, at=world.now())
    assert [p["cause"] for p in polls(world)] == [8]  # overloaded


def test_what_is_changed_back_is_sent_again(world):
    source = world.add(world.template(), "/a", last_ok=world.now())
    for title in ("one", "two", "one", "two", "two"):
        world.web.pages["/a"] = (200, {}, listing((1, "/1", title), (2, "/2", "other")))
        world.poll(source)
    assert [i["title"] for i in world.items()] == ["one", "other", "two", "one", "two"]
