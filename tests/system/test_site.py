"""The simulated web must itself be trusted: what its pages show and what its ground truth says are the same."""
import html
import http.client
import json
import os
import re
import socket
import struct
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ET
import zlib

import pytest

from simsite import Site

CLOCK_MS = 3  # the site counts whole milliseconds from its start
ATOM = "{http://www.w3.org/2005/Atom}"
DC = "{http://purl.org/dc/elements/1.1/}"
ROW = re.compile(r'<tr class="athing[^"]*" id="([^"]*)">.*?class="titleline"><a href="([^"]*)">(.*?)</a>'
                 r'.*?class="byline">(.*?)</a>', re.S)


def fetch(url, connection=None, **headers):
    """(status, headers, body); header names with _ for -."""
    parts = urllib.parse.urlsplit(url)
    own = connection or http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        path = parts.path + ("?" + parts.query if parts.query else "")
        own.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = own.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        if connection is None:
            own.close()


def rows(kind, url, body):
    """[(key, item_url, title, author)] from the top."""
    text = body.decode("utf-8")
    if kind == "html":
        return [(key, urllib.parse.urljoin(url, href), html.unescape(title), html.unescape(author))
                for key, href, title, author in ROW.findall(text)]
    if kind == "json":
        return [(i["id"], i["url"], i["title"], i["author"]) for i in json.loads(text)["items"]]
    root = ET.fromstring(text)
    if kind == "rss":
        return [(i.findtext("guid"), i.findtext("link"), i.findtext("title"), i.findtext(DC + "creator"))
                for i in root.iter("item")]
    return [(e.findtext(ATOM + "id"), e.find(ATOM + "link").get("href"), e.findtext(ATOM + "title"),
             e.findtext(f"{ATOM}author/{ATOM}name")) for e in root.iter(ATOM + "entry")]


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def reader(sources, seen, stop):
    """Fetches all lists again and again: (source, began ms, ended ms, {key: title}, [keys])."""
    connections = {}
    while not stop.is_set():
        for source in sources:
            began = time.time() * 1000
            where = urllib.parse.urlsplit(source["url"]).netloc
            connection = connections.setdefault(where, http.client.HTTPConnection(where, timeout=30))
            status, _, body = fetch(source["url"], connection)
            ended = time.time() * 1000
            assert status == 200
            found = rows(source["kind"], source["url"], body)
            seen.append((source, began, ended, {row[0]: row[2] for row in found}, [row[0] for row in found]))
    for connection in connections.values():
        connection.close()


def check_page(began, ended, titles, history):
    """What had happened when the request began is on the page, and nothing that happened after it ended."""
    for key, events in history.items():
        before = [line for line in events if line["t_ms"] <= began - CLOCK_MS]
        until = [line for line in events if line["t_ms"] <= ended + CLOCK_MS]
        allowed = {line["title"] for line in until[max(0, len(before) - 1):]}
        if before:
            assert titles.get(key) in allowed
        elif key in titles:
            assert titles[key] in allowed
    assert set(titles) <= set(history)


@pytest.mark.parametrize("options", [{"etag": "on"}, {"etag": "off", "threads": 2, "latency_ms": 3, "jitter_ms": 5}])
def test_truth_and_pages_agree_under_load(options):
    with Site(sources=12, hosts=3, rate=100, updates=0.5, update_after="200ms", pinned=2, backlog=5, window=10,
              **options) as site:
        seen, stop, failures = [], threading.Event(), []

        def run(turn):
            try:
                reader(site.sources()[turn:] + site.sources()[:turn], seen, stop)
            except BaseException as error:  # a thread's assertion must not get lost
                failures.append(error)

        threads = [threading.Thread(target=run, args=(turn * 3,)) for turn in range(4)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: failures or (site.status()["posts"] >= 250 and len(seen) >= 500))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not failures
        stopped = site.stop_posting()
        truth = site.truth()
        assert len([line for line in truth if not line["backlog"] and line["event"] == "post"]) == stopped["posts"]
        assert len([line for line in truth if line["event"] == "update"]) == stopped["updates"] > 50

        histories = {}
        for line in truth:
            histories.setdefault(line["source"], {}).setdefault(line["key"], []).append(line)
        for source, began, ended, titles, keys in seen:
            assert len(titles) == len(keys)
            assert [int(key.rsplit("-")[-1]) for key in keys[:2]] == [0, 1]  # pinned
            numbers = [int(key.rsplit("-")[-1]) for key in keys[2:]]
            assert numbers == sorted(numbers, reverse=True)
            check_page(began, ended, titles, histories[source["source"]])

        # at rest, lists and truth are equal in every field (all posts are younger than min-stay)
        for source in site.sources():
            found = rows(source["kind"], source["url"], fetch(source["url"])[2])
            expected = {key: lines[-1] for key, lines in histories[source["source"]].items()}
            assert {row[0]: row[1:] for row in found} == {
                key: (line["item_url"], line["title"], line["author"]) for key, line in expected.items()}


def test_a_post_on_demand_is_there_at_once():
    with Site(sources=8, hosts=2, rate=0, pad=True) as site:
        for source in site.sources() * 3:
            line = site.post(source["source"])
            assert site.truth()[-1] == line
            found = rows(source["kind"], source["url"], fetch(source["url"])[2])
            assert found[0] == (line["key"], line["item_url"], line["title"], line["author"])
            status, _, body = fetch(line["item_url"])
            assert status == 200
            for name, value in (("description", line["body"]), ("image", line["image"]), ("title", line["title"])):
                assert f'<meta property="og:{name}" content="{html.escape(value, quote=False)}">' in \
                    body.decode().replace("&quot;", '"')
        assert len(fetch(site.url(0))[2]) >= 29000
        assert fetch(line["item_url"] + "9")[0] == 404
        assert site.status()["requests"]["detail"] == 25


def test_sources_live_on_their_host_only():
    with Site(sources=4, hosts=2, rate=0) as site:
        other = site.url(0).replace("127.1.0.1", "127.1.0.2")
        assert fetch(other)[0] == 404
        assert b"Allow: /" in fetch(site.base(1) + "/robots.txt")[2]
        assert fetch(site.base(1) + "/nothing")[0] == 404
        status = site.status(host=1)
        assert status["requests"]["all"] == 3 and status["min_gap_ms"] > 0


def test_strong_etags():
    with Site(sources=4, hosts=1, rate=0) as site:
        for source in range(4):
            status, headers, body = fetch(site.url(source))
            etag = headers["ETag"]
            assert status == 200 and etag.startswith('"')
            assert fetch(site.url(source))[2] == body
            status, again, nothing = fetch(site.url(source), If_None_Match='"other", ' + etag)
            assert (status, again["ETag"], nothing) == (304, etag, b"")
            site.post(source)
            status, new, _ = fetch(site.url(source), If_None_Match=etag)
            assert status == 200 and new["ETag"] != etag
        assert site.status()["not_modified"] == 4


def test_weak_etags_ignore_points():
    with Site(sources=4, hosts=1, rate=0, etag="weak") as site:
        for source in range(4):
            _, headers, body = fetch(site.url(source))
            _, again, other = fetch(site.url(source))
            assert headers["ETag"] == again["ETag"] and headers["ETag"].startswith('W/"')
            assert body != other and len(body) == len(other)
            assert fetch(site.url(source), If_None_Match=headers["ETag"])[0] == 304
            assert fetch(site.url(source), If_None_Match=headers["ETag"][2:])[0] == 304


def test_dates_never_hide_a_change():
    with Site(sources=1, hosts=1, rate=0, kinds="rss", etag="date") as site:
        site.post(0)
        assert fetch(site.url(0))[1]["ETag"] is None
        wait_until(lambda: fetch(site.url(0))[1]["Last-Modified"])
        since = fetch(site.url(0))[1]["Last-Modified"]
        assert fetch(site.url(0), If_Modified_Since=since)[0] == 304
        for _ in range(50):  # many changes in one second
            site.post(0)
            assert fetch(site.url(0), If_Modified_Since=since)[0] == 200
            since = fetch(site.url(0))[1]["Last-Modified"] or since


def test_without_validators_points_change():
    with Site(sources=4, hosts=1, rate=0, etag="off") as site:
        for source in range(4):
            _, headers, body = fetch(site.url(source))
            assert headers["ETag"] is None and headers["Last-Modified"] is None
            assert fetch(site.url(source), If_None_Match="*")[0] == 200
            assert fetch(site.url(source))[2] != body


def test_errors_as_many_as_asked_for():
    with Site(sources=4, hosts=2, rate=0, error_rate=1) as site:
        statuses = set()
        for _ in range(40):
            status, headers, _ = fetch(site.url(0))
            statuses.add(status)
            assert (status == 503) == (headers["Retry-After"] == "1")
        assert statuses == {500, 503}
        site.set(host=1, error_rate=0)
        assert fetch(site.url(1))[0] == 200
        assert fetch(site.url(0))[0] in statuses
        site.set(error_rate=0.5)
        failed = sum(fetch(site.url(1))[0] >= 500 for _ in range(200))
        assert 60 < failed < 140
        assert fetch(site.base(0) + "/robots.txt")[0] == 200


def read_raw(url):
    """(bytes before the end, how it ended: "eof" or "reset")."""
    parts = urllib.parse.urlsplit(url)
    got = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        while True:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                return got, "reset"
            if not part:
                return got, "eof"
            got += part


def promised(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(re.search(rb"Content-Length: (\d+)", head).group(1)), len(body)


def test_resets_in_the_middle_of_the_body():
    with Site(sources=4, hosts=1, rate=0, reset_rate=1, pad=True) as site:
        for source in range(4):
            raw, how = read_raw(site.url(source))
            assert how == "reset"
            length, got = promised(raw)
            assert got == length // 2
        raw, how = read_raw(site.url(0) + "p/1")
        assert how == "reset"
        site.set(reset_rate=0)
        assert fetch(site.url(0))[0] == 200
        wait_until(lambda: site.status()["active"] == 0)
        assert site.status()["statuses"]["broken"] == 5


def test_latency_holds_no_thread():
    with Site(sources=100, hosts=10, rate=0, latency_ms=300) as site:
        connections = []
        began = time.monotonic()
        for source in site.sources():
            connection = http.client.HTTPConnection(urllib.parse.urlsplit(source["url"]).netloc, timeout=30)
            connection.request("GET", urllib.parse.urlsplit(source["url"]).path)
            connections.append(connection)
        for connection in connections:
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()
            connection.close()
        assert 0.29 < time.monotonic() - began < 5  # one after another they would take 30 s
        assert 2 <= site.status()["max_concurrent"] <= 10
        assert site.clear()["max_concurrent"] == 0


def test_it_stops_while_answers_wait():
    with Site(sources=4, hosts=1, rate=0, latency_ms=60000) as site:
        where = urllib.parse.urlsplit(site.url(0))
        with socket.create_connection((where.hostname, where.port), timeout=30) as connection:
            connection.sendall(f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
            wait_until(lambda: site.status()["active"] == 1)
            began = time.monotonic()
            assert site.stop() == 0
            assert time.monotonic() - began < 5


def test_it_ends_with_its_parent_and_its_time():
    site = Site(sources=4, hosts=1).start()
    site.process.stdout.close()
    assert site.process.wait(10) == 0
    site.stop()
    with Site(sources=4, hosts=1, max_seconds=1) as site:
        assert site.process.wait(10) == 0


def test_posting_can_begin_later():
    with Site(sources=4, hosts=1, rate=500, stopped=True) as site:
        assert site.status()["posts"] == 0
        site.start_posting()
        wait_until(lambda: site.status()["posts"] > 20)
        posts = site.stop_posting()["posts"]
        assert site.status()["posts"] == posts


def test_bad_pages():
    with Site(sources=4, hosts=2, rate=0, huge_mb=2) as site:
        bad = site.base(1) + "/_bad/"
        assert fetch(bad + "empty")[::2] == (200, b"")
        assert len(fetch(bad + "huge")[2]) >= 2 << 20
        raw, how = read_raw(bad + "truncated")
        length, got = promised(raw)
        assert how == "eof" and 0 < got < length
        raw, how = read_raw(bad + "reset")
        assert how == "reset" and b"200 OK" in raw
        assert b"\0" in fetch(bad + "binary")[2]
        assert fetch(bad + "404")[0] == 404
        assert fetch(bad + "no-such-page")[0] == 404
        assert fetch(bad + "slow?ms=1")[0] == 200
        status, headers, _ = fetch(bad + "redirect-loop?n=4")
        assert (status, headers["Location"]) == (302, "/_bad/redirect-loop?n=5")
        status, headers, _ = fetch(bad + "429?after=7")
        assert (status, headers["Retry-After"]) == (429, "7")
        status, headers, body = fetch(bad + "bomb")
        assert headers["Content-Encoding"] == "deflate"
        assert 2 << 20 <= len(zlib.decompress(body)) < (2 << 20) + 1000 and len(body) < 20000
        with pytest.raises(UnicodeDecodeError):
            fetch(bad + "utf8")[2].decode("utf-8")
        assert fetch(bad + "deep?depth=1000&kind=json")[2] == b"[" * 1000 + b"]" * 1000
        assert fetch(bad + "deep")[2].count(b"<div>") == 100000
        assert site.status()["requests"]["bad"] >= 13


def test_an_endless_page_has_no_end():
    with Site(sources=1, hosts=1, rate=0, huge_mb=1) as site:
        where = urllib.parse.urlsplit(site.url(0))
        connection = http.client.HTTPConnection(where.netloc, timeout=30)
        connection.request("GET", "/_bad/huge?endless=1")
        answer = connection.getresponse()
        assert answer.headers["Transfer-Encoding"] == "chunked"
        for _ in range(80):
            assert len(answer.read(1 << 16)) == 1 << 16
        # close with what is unread still there: the site must bear it
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        assert fetch(site.url(0))[0] == 200


def test_templates(tmp_path):
    folder = tmp_path / "templates"
    with Site(sources=5003, hosts=7, rate=0, kinds="json", backlog=0, write_templates=folder, every="2s") as site:
        templates = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
        assert sorted(templates) == ["site-json", "site-json-2"]
        assert [len(templates[name]["urls"]) for name in sorted(templates)] == [5000, 3]
        assert sum((templates[name]["urls"] for name in sorted(templates)), []) == [s["url"] for s in site.sources()]
    folder = tmp_path / "more"
    with Site(sources=12, hosts=2, rate=0, write_templates=folder) as site:
        templates = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
        assert sorted(templates) == ["site-atom", "site-html", "site-json", "site-rss"]
        for name, template in templates.items():
            assert template["name"] == name and "every" not in template
            kind = name[len("site-"):]
            assert template["kind"] == {"rss": "feed", "atom": "feed"}.get(kind, kind)
            assert template["urls"] == [s["url"] for s in site.sources() if s["kind"] == kind]
            for url in template["urls"]:
                assert fetch(url)[0] == 200


def test_host_names():
    with Site(sources=4, hosts=2, rate=0, host_names="site-%d.test") as site:
        url = urllib.parse.urlsplit(site.url(1))
        assert url.netloc == f"site-1.test:{site.port}"
        here = f"http://127.0.0.1:{site.port}{url.path}"
        assert fetch(here, Host=url.netloc)[0] == 200
        assert fetch(here, Host="site-0.test")[0] == 404


def test_wrong_options_are_refused(capfd):
    for options in ({"kinds": "html,pdf"}, {"etag": "perhaps"}, {"rate": "many"}, {"host_names": "no-number"},
                    {"truth": os.path.join(os.sep, "no", "such", "folder", "truth")}):
        with pytest.raises(RuntimeError, match="exit"):
            Site(**options).start()
        assert len(capfd.readouterr().err.strip().splitlines()) == 1
