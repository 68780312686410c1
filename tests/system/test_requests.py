"""What a miner asks of the web and how: politeness, requests, validators; between a scripted broker, sink and web."""
import pytest

from scripted_peers import ERRORS, RESULTS, World, listing


@pytest.fixture
def world():
    with World() as w:
        yield w


def result(o):
    return RESULTS[o["result"]]


def error(o):
    return ERRORS[o["error"]]


# -- back-off of hosts --


def back_off(world, ms, host="127.0.0.1"):
    """What the broker says of the web's host."""
    world.broker.send("ASSIGN", epoch=world.epoch, slot=1, slot_start=world.now(), hosts=[[f"{host}:{world.web.port}", ms]])


def test_a_host_that_the_broker_backs_off_is_not_asked(world):
    world.start()
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    source = world.add(world.template(), "/a")
    back_off(world, 1000000)
    o, = world.poll(source)
    assert (result(o), error(o), o["status"]) == ("skipped", "host_backoff", 0)
    assert not world.web.requests
    back_off(world, 0)
    assert result(world.poll(source)[-1]) == "changed"


def test_what_waits_for_a_host_is_given_up_when_it_is_backed_off(world):
    world.start()
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    template = world.template(politeness={"gap": "1h"})
    first, second = world.add(template, "/a", "/b")
    world.poll(first)
    due = world.due(second)
    world.settle()
    assert not world.of_source(second)
    back_off(world, 1000000)
    world.pump(lambda: world.of_source(second, due))
    assert error(world.outcomes[-1]) == "host_backoff" and len(world.web.requests) == 1
