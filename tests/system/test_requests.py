"""What a miner asks of the web and how: politeness, requests, validators; between a scripted broker, sink and web."""
import gzip
import json
import subprocess
import time

import pytest

from packed import brotli, zstd
from scripted_peers import DETAIL, Web, World, closed_port, error, listing, result
from simsite import build_dir


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
    ((404, {"Retry-After": "9"}, b""), None), ((403, {}, b""), None), ((429, {}, b""), ("rate_limited", 429)), ((500, {}, b""), ("robots", 500)), ((503, {}, b""), ("http_5xx", 503)),
    ((302, {"Location": "/elsewhere.txt"}, b""), ("robots", 0)), ((302, {"Location": "/robots.txt"}, b""), None),
    ((200, {}, b"User-agent: *\nDisallow: /b\n" + b"# " + b"x" * 600000 + b"\nDisallow: /a\n"), None),
], ids="404 403 429 500 503 redirected loop long".split())
def test_robots_txt_that_cannot_be_had(world, page, wanted):
    world.start()
    world.web.pages["/robots.txt"] = page
    world.web.pages["/elsewhere.txt"] = (200, {}, "User-agent: *\nDisallow: /a")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    o = world.poll(world.add(world.template(), "/a"))[-1]
    assert (wanted and (error(o), o["status"])) == wanted
    assert bool(world.web.asked("/a")) == (wanted is None)


def test_a_429_for_robots_txt_backs_off_and_forbids_nothing(world):
    world.start()
    world.web.pages["/robots.txt"] = (429, {"Retry-After": "1"}, b"")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    source = world.add(world.template(), "/a")
    o = world.poll(source)[-1]
    assert (error(o), o["retry_after_s"]) == ("rate_limited", 1) and not world.web.asked("/a")
    back_off(world, 0)
    assert result(world.poll(source)[-1]) == "changed" and len(world.web.robots) == 1


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


# -- what is sent --


@pytest.fixture
def secrets(tmp_path):
    (tmp_path / "login").write_text("me:p w\n")
    (tmp_path / "token").write_text("t0k3n-of-mine\n")
    return tmp_path


def noted(web, path, answer=None):
    """Makes a page of path; the list of (method, path, headers, body) of the requests for it."""
    seen = []

    def page(request):
        length = int(request.headers.get("Content-Length") or 0)
        seen.append((request.command, request.path, dict(request.headers), request.rfile.read(length)))
        return answer or (200, {}, listing((len(seen), "/1", "one")))

    web.pages[path] = page
    return seen


def test_method_query_and_body(world):
    world.start()
    detail = noted(world.web, "/1")
    posted = noted(world.web, "/api?x=1&q=a%20b%26c&n=3&t=true&l=1&l=2")
    template = world.template(query={"q": "a b&c", "n": 3, "t": True, "l": [1, "2"]}, body={"find": ["äö", 1]},
                              headers={"X-Mine": "yes"}, detail={"follow": "url", "fields": {"summary": "a"}})
    assert result(world.poll(world.add(template, "/api?x=1"))[-1]) == "changed"
    method, _, headers, body = posted[0]
    assert (method, headers["Content-Type"], headers["X-Mine"]) == ("POST", "application/json", "yes")
    assert json.loads(body) == {"find": ["äö", 1]} and "Expect" not in headers
    assert detail[0][0] == "GET" and "Content-Type" not in detail[0][2] and detail[0][2]["X-Mine"] == "yes"
    put = noted(world.web, "/put")
    template = world.template(method="PUT", body="<x/>", headers={"Content-Type": "text/xml"})
    o = world.poll(world.add(template, "/put", etag='"1"'))[-1]
    assert (put[0][0], put[0][2]["Content-Type"], put[0][3]) == ("PUT", "text/xml", b"<x/>") and result(o) == "changed"
    assert "If-None-Match" not in put[0][2]  # only a GET is conditional


@pytest.mark.parametrize("status,after", [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_post_that_is_redirected(world, status, after):
    world.start()
    world.web.pages["/a"] = lambda request: (request.rfile.read(3), (status, {"Location": "/b"}, b""))[1]
    seen = noted(world.web, "/b")
    assert result(world.poll(world.add(world.template(body="a=b"), "/a"))[-1]) == "changed"
    assert [(method, body) for method, _, _, body in seen] == [(after, b"a=b" if after == "POST" else b"")]


@pytest.mark.parametrize("auth,sent", [({"basic": "login"}, "Basic bWU6cCB3"), ({"bearer": "token"}, "Bearer t0k3n-of-mine")])
def test_auth_goes_to_its_origin_only(world, secrets, auth, sent):
    world.start("--secrets", str(secrets))
    with World() as other:
        there = noted(other.web, "/there")
        here, page = noted(world.web, "/here"), noted(world.web, "/page")
        world.web.pages["/list"] = (200, {}, listing((1, "/page", "a"), (2, other.web.url("/there"), "b")))
        world.web.pages["/away"] = (302, {"Location": other.web.url("/there")}, b"")
        template = world.template(auth=auth, detail={"follow": "url", "fields": {"summary": "a"}})
        world.poll(world.add(template, "/list"))
        assert page[0][2]["Authorization"] == sent and "Authorization" not in there[0][2]
        world.poll(world.add(world.template(auth=auth), "/here"))
        assert here[0][2]["Authorization"] == sent
        assert result(world.poll(world.add(world.template(auth=auth), "/away"))[-1]) == "changed"
        assert len(there) == 2 and "Authorization" not in there[1][2]
        assert all("Authorization" not in r[2] for r in world.web.robots)
        # nor to an origin that was adopted
        world.poll(world.add(world.template(auth=auth), url=world.web.url("/x"), fetch_url=other.web.url("/there")))
        assert len(there) == 3 and "Authorization" not in there[2][2]
    assert not [line for line in world.log if "t0k3n" in line or "bWU6" in line]


def test_a_secret_that_is_missing_is_named(world, secrets):
    world.start("--secrets", str(secrets))
    source = world.add(world.template(auth={"bearer": "new-one"}), "/a")
    seen = noted(world.web, "/a")
    o, = world.poll(source)
    assert error(o) == "no_secret" and "new-one" in o["detail"] and "file" in o["detail"] and not seen
    (secrets / "new-one").write_text("abc")  # put there while the miner runs
    assert result(world.poll(source)[-1]) == "changed" and seen[0][2]["Authorization"] == "Bearer abc"
    (secrets / "new-one").write_text("a\nX-Evil: 1")
    assert error(world.poll(source)[-1]) == "no_secret"


def test_without_secrets_none_is_there(world):
    world.start()
    o, = world.poll(world.add(world.template(auth={"basic": "login"}), "/a"))
    assert error(o) == "no_secret" and "--secrets" in o["detail"]


def test_cookies_are_the_sources_own(world):
    world.start("--workers", "1")
    answer = (200, {"Set-Cookie": "session=1; Path=/"}, listing((1, "/1", "one")))
    seen = noted(world.web, "/a", answer)
    template = world.template(cookies=True)
    first, second = world.add(template, "/a", "/a#2")
    plain = world.add(world.template(), "/a")
    for source in (first, first, second, plain, plain, first):
        world.poll(source)
    assert [h.get("Cookie") for _, _, h, _ in seen] == [None, "session=1", None, None, None, "session=1"]


def test_cookies_are_bounded(world):
    world.start()
    seen = []

    def page(request):
        seen.append(len((request.headers.get("Cookie") or "").split(";")))
        request.send_response(200)
        for i in range(40):
            request.send_header("Set-Cookie", f"c{len(seen)}-{i}={'x' * 20}; Path=/")
        body = listing((len(seen), "/1", "one")).encode()
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    world.web.pages["/a"] = page
    source = world.add(world.template(cookies=True), "/a")
    for _ in range(6):
        assert result(world.poll(source)[-1]) == "changed"
    assert seen == [1, 40, 80, 1, 40, 80]  # beyond a hundred it starts anew


def test_encodings_are_offered_alike_and_decoded(world):
    world.start()
    page = listing((1, "/1", "one")).encode()
    seen = noted(world.web, "/a", (200, {"Content-Encoding": "gzip"}, gzip.compress(page)))
    source = world.add(world.template(), "/a")
    assert world.poll(source)[-1]["items"] == 1
    noted(world.web, "/a", (200, {}, page))
    world.poll(source)
    offers = {r[2]["Accept-Encoding"] for r in world.web.requests + world.web.robots}
    assert len(seen) == 1 and len(offers) == 1
    assert {"gzip", "br", "zstd"} <= {e.strip() for e in offers.pop().split(",")}


@pytest.mark.parametrize("encoding, pack", [("gzip", gzip.compress), ("br", brotli), ("zstd", zstd)])
def test_packed_bodies_are_read(world, encoding, pack):
    world.start()
    body = pack(listing(*[(i, f"/{i}", f"title {i}") for i in range(50)]).encode())
    world.web.pages["/a"] = (200, {"Content-Encoding": encoding}, body)
    o = world.poll(world.add(world.template(), "/a"))[-1]
    assert (result(o), o["items"]) == ("changed", 50)


# -- proxy --


def test_the_environment_sets_no_proxy(world):
    url = f"http://127.0.0.1:{closed_port()}"
    world.start(env={"http_proxy": url, "HTTP_PROXY": url, "all_proxy": url, "ALL_PROXY": url})
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    assert result(world.poll(world.add(world.template(), "/a"))[-1]) == "changed"


def test_proxy_of_the_operator(world):
    with World() as proxy:  # its web sees absolute URLs
        world.start("--proxy", f"http://127.0.0.1:{proxy.web.port}", "--no-proxy", "127.0.0.1, .local.example")
        proxy.web.pages["http://some.example/a"] = (200, {}, listing((1, "/1", "one")))
        assert result(world.poll(world.add(world.template(), url="http://some.example/a"))[-1]) == "changed"
        assert [r[1] for r in proxy.web.requests] == ["http://some.example/robots.txt", "http://some.example/a"]
        world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
        assert result(world.poll(world.add(world.template(), "/a"))[-1]) == "changed"
        assert error(world.poll(world.add(world.template(), url="http://x.local.example/a"))[-1]) == "dns"
        assert len(proxy.web.requests) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "[::1]", "[::ffff:10.0.0.1]", "2130706433", "a.localhost"])
def test_a_proxy_is_no_way_to_private_addresses(world, host):
    del world.options["allow_private"]
    with World() as proxy:
        world.start("--proxy", f"http://127.0.0.1:{proxy.web.port}")
        target = f"http://{host}/secret"
        proxy.web.pages["http://some.example/away"] = (302, {"Location": target}, b"")
        o = world.poll(world.add(world.template(), url="http://some.example/away"))[-1]
        assert error(o) == "refused_address"
        assert error(world.poll(world.add(world.template(), url=target))[-1]) == "refused_address"
        assert not [r for r in proxy.web.requests if host in r[1]]


def test_private_addresses_are_refused(world):
    del world.options["allow_private"]
    world.start()
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "2130706433", "0x7f.1", "0.0.0.0"):
        o = world.poll(world.add(world.template(politeness={"robots": False}), url=world.web.url("/a", host=host)))[-1]
        assert error(o) in ("refused_address", "bad_url"), host
    assert not world.web.requests and not world.web.robots


# -- validators --


def test_validators_of_a_temporary_redirect_belong_to_its_target(world):
    world.start()
    target = ["/b"]
    world.web.pages["/a"] = lambda request: (302, {"Location": target[0]}, b"")
    seen = {}

    def page(request):
        seen.setdefault(request.path, []).append(request.headers.get("If-None-Match"))
        if request.headers.get("If-None-Match") == '"same"':
            return 304, {}, b""
        return 200, {"ETag": '"same"'}, listing((request.path, "/1", request.path))

    world.web.pages["/b"] = world.web.pages["/c"] = page
    source = world.add(world.template(), "/a")
    o = world.poll(source)[-1]
    assert result(o) == "changed" and o["has_state"] and not o["etag"] and not o["fetch_url"]
    assert result(world.poll(source)[-1]) == "not_modified"
    target[0] = "/c"
    o = world.poll(source)[-1]
    assert result(o) == "changed" and world.items()[-1]["title"] == "/c"
    assert seen == {"/b": [None, '"same"'], "/c": [None]}
    assert all("If-None-Match" not in r[2] for r in world.web.asked("/a"))


def test_a_304_that_nobody_asked_for_is_no_success(world):
    world.start()
    world.web.pages["/a"] = (304, {"ETag": '"1"'}, b"")
    o, = world.poll(world.add(world.template(), "/a"))
    assert result(o) == "failed" and not o["has_state"] and o["status"] == 304


def test_validators_are_echoed_as_they_came_and_replaced_on_every_200(world):
    world.start()
    tags = ['W/"a b"', "unquoted", '"ü"'.encode().decode("latin-1"), '"' + "x" * 1000 + '"', '"' + "x" * 2000 + '"', ""]
    seen = []

    def page(request):
        seen.append(request.headers.get("If-None-Match"))
        n = len(seen) - 1
        return 200, {"ETag": tags[n]} if n < len(tags) and tags[n] else {}, listing((n, "/1", "one"))

    world.web.pages["/a"] = page
    source = world.add(world.template(), "/a")
    for _ in range(len(tags) + 1):
        world.poll(source)
    assert seen == [None] + tags[:4] + [None, None]


def test_validators_are_kept_only_after_parse_and_commit(world):
    world.start()
    source = world.add(world.template(), "/a")
    pages = [(200, {"ETag": '"1"'}, listing((1, "/1", "one"))), (200, {"ETag": '"bad"'}, "<p>nothing here"),
             (500, {"ETag": '"err"'}, b""), (200, {"ETag": '"2"'}, listing((2, "/2", "two")))]
    seen = []

    def page(request):
        seen.append(request.headers.get("If-None-Match"))
        return pages[min(len(seen), len(pages)) - 1]

    world.web.pages["/a"] = page
    for _ in range(3):
        world.poll(source)
    world.ack_batches = False
    due = world.due(source)
    world.pump(lambda: world.of_source(source, due) and len(world.batches) == 2)
    assert seen == [None, '"1"', '"1"', '"1"'] and world.of_source(source, due)[-1]["kind"] == 1
    assert not world.of_source(source, due)[-1]["has_state"]  # not committed
    world.ack(world.batches[-1])
    world.pump(lambda: world.of_source(source, due)[-1]["kind"] == 2)
    assert world.of_source(source, due)[-1]["etag"] == '"2"'
    world.ack_batches = True
    world.poll(source)
    assert seen[-1] == '"2"'


def test_an_adopted_url_has_its_own_validators(world):
    world.start()
    world.web.pages["/old"] = (301, {"Location": "/new", "ETag": '"old"'}, b"")
    seen = noted(world.web, "/new", (200, {"ETag": '"new"'}, listing((1, "/1", "one"))))
    source = world.add(world.template(), "/old", etag='"old"')
    o = world.poll(source)[-1]
    assert (o["fetch_url"], o["etag"]) == (world.web.url("/new"), '"new"')
    world.poll(source)
    assert [h.get("If-None-Match") for _, _, h, _ in seen] == [None, '"new"']
    world.web.pages["/new"] = (410, {}, b"")
    o, = world.poll(source)
    assert error(o) == "gone"
    world.web.pages["/old"] = (200, {}, listing((2, "/2", "two")))
    assert result(world.poll(source)[-1]) == "changed"
    assert "If-None-Match" not in world.web.asked("/old")[-1][2]


def test_a_redirect_is_not_adopted_when_its_target_is_no_such_page(world):
    world.start()
    world.web.pages["/a"] = (301, {"Location": "/login"}, b"")
    world.web.pages["/login"] = (200, {}, "<form>please log in</form>")
    source = world.add(world.template(), "/a")
    assert error(world.poll(source)[-1]) == "rotted"
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    assert result(world.poll(source)[-1]) == "changed" and world.web.requests[-1][1] == "/a"


# -- rtm-ctl try asks in the same way --


def test_try_asks_as_a_miner_does(secrets, tmp_path):
    web = Web()
    try:
        seen = noted(web, "/api?q=1")
        document = {"name": "t", "kind": "html", "url": web.url("/old"), "items": "li", "fields": {"title": "a"},
                    "query": {"q": 1}, "body": {"x": 1}, "auth": {"bearer": "token"}, "politeness": {"gap": "0ms"}}
        web.pages["/old?q=1"] = lambda r: (r.rfile.read(7), (308, {"Location": "/api?q=1"}, b""))[1]
        path = tmp_path / "t.json"
        path.write_text(json.dumps(document))

        def run(*args):
            return subprocess.run([f"{build_dir()}/rtm-ctl", "try", str(path), "--allow-private", *args], text=True,
                                  capture_output=True, timeout=30)

        done = run("--secrets", str(secrets))
        assert done.returncode == 0 and "one" in done.stdout, done.stderr
        method, _, headers, body = seen[0]
        assert (method, headers["Authorization"], body) == ("POST", "Bearer t0k3n-of-mine", b'{"x":1}')
        assert len(web.robots) == 2 and "t0k3n" not in done.stdout + done.stderr
        done = run()
        assert done.returncode == 1 and "token" in done.stderr and "--secrets" in done.stderr and len(seen) == 1
    finally:
        web.close()
