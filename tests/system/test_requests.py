"""What a miner asks of the web and how: politeness, requests, validators; between a scripted broker, sink and web."""
import time

import pytest

from scripted_peers import DETAIL, ERRORS, RESULTS, World, closed_port, listing


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


def test_429_and_503_back_the_host_off_by_what_they_say(world):
    world.start("--log-level", "info")
    template = world.template(politeness={"gap": "1h", "concurrency": 1})
    limited, waiting = world.add(template, "/429", "/b")
    world.web.pages["/429"] = (429, {"Retry-After": "7"}, b"")
    due = world.due(limited)
    behind = world.due(waiting, offset=50)
    world.pump(lambda: world.of_source(limited, due) and world.of_source(waiting, behind))
    o, = world.of_source(limited)
    assert (result(o), error(o), o["status"], o["retry_after_s"]) == ("failed", "rate_limited", 429, 7)
    assert error(world.of_source(waiting)[0]) == "host_backoff"
    assert error(world.poll(waiting)[-1]) == "host_backoff"
    other = world.add(template, url=world.web.url("/b", host="localhost"))
    assert error(world.poll(other)[-1]) == "not_found"


def test_retry_after_as_a_date_and_at_most_a_day(world):
    world.start()
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 500))
    for host, retry, least, most in (("127.0.0.1", at, 480, 500), ("localhost", "9999999", 86400, 86400)):
        source = world.add(world.template(), url=world.web.url("/503", host=host))
        world.web.pages["/503"] = (503, {"Retry-After": retry}, b"")
        o, = world.poll(source)
        assert error(o) == "rate_limited" and least <= o["retry_after_s"] <= most


def test_without_retry_after_a_minute_and_403_is_no_rate_limit(world):
    world.start()
    source, forbidden, challenged = world.add(world.template(), "/503", "/403", "/challenge")
    world.web.pages["/403"] = (403, {}, b"")
    world.web.pages["/challenge"] = (403, {"cf-mitigated": "challenge"}, b"")
    world.web.pages["/503"] = (503, {}, b"")
    o, = world.poll(forbidden)
    assert (error(o), o["retry_after_s"]) == ("http_4xx", 0)
    o, = world.poll(challenged)
    assert (error(o), o["retry_after_s"]) == ("challenge", 0)
    o, = world.poll(source)
    assert (error(o), o["status"]) == ("http_5xx", 503) and 60 <= o["retry_after_s"] <= 75


# -- robots.txt --


def test_robots_txt_is_fetched_once_and_obeyed(world):
    world.start()
    world.web.pages["/robots.txt"] = (200, {}, "User-agent: *\nDisallow: /\n\nUser-agent: RTM\nAllow: /\nDisallow: /private\n")
    world.web.pages["/a"] = world.web.pages["/private/a"] = (200, {}, listing((1, "/1", "one")))
    allowed, forbidden, more = world.add(world.template(), "/a", "/private/a", "/a?2")
    dues = [(s, world.due(s)) for s in (allowed, forbidden, more)]
    world.pump(lambda: all(world.of_source(s, d) for s, d in dues))
    o, = world.of_source(forbidden)
    assert (result(o), error(o), o["status"]) == ("failed", "robots", 0) and "robots.txt" in o["detail"]
    assert result(world.of_source(allowed)[-1]) == "changed"
    assert error(world.poll(forbidden)[-1]) == "robots"
    assert len(world.web.robots) == 1 and not world.web.asked("/private/a")
    assert world.web.robots[0][0] < world.web.requests[0][0]


def test_a_template_can_ignore_robots_txt(world):
    world.start()
    world.web.pages["/robots.txt"] = (200, {}, "User-agent: *\nDisallow: /")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    source = world.add(world.template(politeness={"robots": False}), "/a")
    assert result(world.poll(source)[-1]) == "changed" and not world.web.robots


@pytest.mark.parametrize("page,wanted", [
    ((404, {}, b""), None), ((403, {}, b""), None), ((500, {}, b""), ("robots", 500)), ((503, {}, b""), ("http_5xx", 503)),
    ((302, {"Location": "/elsewhere.txt"}, b""), ("robots", 0)), ((302, {"Location": "/robots.txt"}, b""), None),
    ((200, {}, b"User-agent: *\nDisallow: /b\n" + b"# " + b"x" * 600000 + b"\nDisallow: /a\n"), None),
], ids="404 403 500 503 redirected loop long".split())
def test_robots_txt_that_cannot_be_had(world, page, wanted):
    world.start()
    world.web.pages["/robots.txt"] = page
    world.web.pages["/elsewhere.txt"] = (200, {}, "User-agent: *\nDisallow: /a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    o = world.poll(world.add(world.template(), "/a"))[-1]
    assert (wanted and (error(o), o["status"])) == wanted
    assert bool(world.web.asked("/a")) == (wanted is None)


def test_robots_txt_of_a_host_that_is_down_is_no_robots(world):
    world.start()
    source = world.add(world.template(), url=f"http://127.0.0.1:{closed_port()}/a")
    assert error(world.poll(source)[-1]) == "connect"
    assert error(world.poll(source)[-1]) == "connect"  # by what is remembered


def test_crawl_delay_is_the_gap(world):
    world.start()
    world.web.pages["/robots.txt"] = (200, {}, "User-agent: *\nCrawl-delay: 1\n")
    sources = world.add(world.template(), "/a", "/b", "/c")
    dues = [(s, world.due(s)) for s in sources]
    world.pump(lambda: all(world.of_source(s, d) for s, d in dues))
    times = sorted(r[0] for r in world.web.requests)
    assert all(b - a > 0.95 for a, b in zip(times, times[1:]))


def test_details_and_redirects_ask_robots_txt_too(world):
    world.start()
    world.web.pages["/robots.txt"] = (200, {}, "User-agent: *\nDisallow: /secret\n")
    world.web.pages["/a"] = (200, {}, listing((1, "/secret/1", "one"), (2, "/open", "two"), (3, "/lead", "three")))
    world.web.pages["/open"] = (200, {}, "<h1>two</h1>")
    world.web.pages["/lead"] = world.web.pages["/moved"] = (301, {"Location": "/secret/2"}, b"")
    template = world.template(detail={"follow": "url", "fields": {"summary": "h1"}})
    o = world.poll(world.add(template, "/a"))[-1]
    assert result(o) == "changed" and o["has_state"]
    assert sorted(i["summary"] for i in world.items() if i["part"] == DETAIL) == ["", "", "two"]
    o, = world.poll(world.add(template, "/moved"))
    assert error(o) == "robots"
    assert not [r for r in world.web.requests if "secret" in r[1]] and len(world.web.robots) == 1


def test_a_redirect_asks_the_robots_txt_of_its_target(world):
    world.start()
    with World() as other:
        other.web.pages["/robots.txt"] = (200, {}, "User-agent: *\nDisallow: /b")
        other.web.pages["/c"] = (200, {}, listing((1, "/1", "one")))
        world.web.pages["/a"] = (302, {"Location": other.web.url("/b")}, b"")
        world.web.pages["/a2"] = (308, {"Location": other.web.url("/c")}, b"")
        first, second = world.add(world.template(), "/a", "/a2")
        assert error(world.poll(first)[-1]) == "robots" and not other.web.requests
        o = world.poll(second)[-1]
        assert result(o) == "changed" and o["fetch_url"] == other.web.url("/c")
        assert len(other.web.robots) == 1
