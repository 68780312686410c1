"""rtm-ctl as a user meets it: against a real cluster, against nobody, and against files without any broker."""
import fcntl
import http.server
import json
import os
import pty
import struct
import subprocess
import termios
import threading
import time

import msgpack
import pytest
import zmq

from cluster import ROOT, Cluster, build_dir, wait_until
from simsite import Site

CTL = os.path.join(build_dir(), "rtm-ctl")
FEED = {"name": "feed", "kind": "feed", "urls": ["http://127.0.0.1:9/rss"]}


def ctl(*args, broker="tcp://127.0.0.1:9", input=None, env=None, timeout=30):
    return subprocess.run([CTL, *map(str, args)], env=dict(os.environ, RTM_BROKER=broker, **(env or {})), input=input,
                          capture_output=True, text=True, timeout=timeout)


def write(folder, name, template):
    path = folder / name
    path.write_text(template if isinstance(template, str) else json.dumps(template))
    return path


@pytest.fixture(scope="module")
def quiet(cluster):
    """A broker, a sink and no miner: for what is about templates."""
    with Cluster(miners=0, postgres=cluster) as c:
        yield c


@pytest.fixture
def empty(quiet):
    for row in quiet.ctl_json("list"):
        quiet.ctl("remove", row["name"], check=True)
    return quiet


# -- without a broker ------------------------------------------------------------------------------


def test_help_names_every_command_and_each_has_its_own():
    general = ctl("--help")
    assert general.returncode == 0 and "Exit status" in general.stdout
    commands = [line.split()[0] for line in general.stdout.split("Commands:")[1].split("\n\n")[0].strip().splitlines()]
    assert {"add", "list", "show", "remove", "enable", "disable", "miners", "sources", "status", "wait", "try",
            "help", "version", "health"} <= set(commands)
    for command in set(commands) - {"help", "version"}:
        own = ctl(command, "--help")
        assert own.returncode == 0 and own.stdout.startswith(f"Usage: rtm-ctl {command} "), command
        assert own.stdout == ctl("help", command).stdout
    assert ctl("version").stdout == ctl("--version").stdout != ""


@pytest.mark.parametrize("args", [(), ("nonsense",), ("add",), ("list", "surplus"), ("list", "--nonsense"), ("show",),
                                  ("wait", "x", "--timeout", "soon"), ("--broker", "nonsense", "list"),
                                  ("help", "nonsense"), ("--json",)])
def test_wrong_usage_is_told_in_one_line(args):
    done = ctl(*args)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("rtm-ctl")


@pytest.mark.parametrize("broker", ["tcp://127.0.0.1:9", "tcp://no-such-host.invalid:7440",
                                    "tcp://127.0.0.1:9,tcp://127.0.0.1:10"])
def test_says_within_seconds_that_no_broker_is_there(broker):
    start = time.monotonic()
    done = ctl("list", broker=broker)
    assert done.returncode == 3
    assert time.monotonic() - start < 4
    assert broker in done.stderr and "RTM_BROKER" in done.stderr and len(done.stderr.splitlines()) == 1


class FakeBroker:
    """Answers every request with what it is given: for answers that a real broker does not make."""

    def __init__(self, answer):
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 1000
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.answer, self.requests = answer, []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.ending = False

    def _run(self):
        while not self.ending:
            if not self.socket.poll(50):
                continue
            peer, frame = self.socket.recv_multipart()
            kind, request = msgpack.unpackb(frame, strict_map_key=False)
            assert kind == "REQUEST"
            self.requests.append(request)
            for reply in self.answer(request):
                self.socket.send_multipart([peer, reply if isinstance(reply, bytes) else
                                            msgpack.packb(["REPLY", {"id": request["id"], **reply}])])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join()
        self.socket.close()


def test_hostile_text_never_reaches_the_terminal_as_it_is():
    evil = "\x1b]0;owned\x07\x9b2J\u202egnp.exe\r\n\u2028"
    row = {"name": evil, "kind": "html", "last_error": evil}
    with FakeBroker(lambda r: [{"json": json.dumps([row])}]) as fake:
        table, as_json = ctl("list", broker=fake.endpoint), ctl("list", "--json", broker=fake.endpoint)
    with FakeBroker(lambda r: [{"code": 400, "message": evil, "field": "x"}]) as fake:
        refused = ctl("list", broker=fake.endpoint)
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    for text in (table.stdout, as_json.stdout, refused.stderr):
        assert not [c for c in text if c != "\n" and not c.isprintable()], repr(text)
    assert json.loads(as_json.stdout) == [row]


def test_pages_are_joined_and_replies_to_others_ignored():
    def answer(request):
        at = next((int(value) for name, value in request.get("args", []) if name == "cursor"), 0)
        rows = [{"name": f"t{i}", "sources": i} for i in range(at, min(at + 10, 25))]
        return [b"junk", msgpack.packb(["REPLY", {"id": 1, "json": "[]"}]),
                {"json": json.dumps(rows), "cursor": str(at + 10) if at + 10 < 25 else ""}]
    with FakeBroker(answer) as fake:
        assert [r["sources"] for r in json.loads(ctl("list", "--json", broker=fake.endpoint).stdout)] == [*range(25)]
        lines = ctl("list", broker=fake.endpoint).stdout.splitlines()
    assert len(lines) == 26 and lines[0].split() == ["NAME", "SOURCES"]


@pytest.mark.parametrize("reply", [{"json": "{}"}, {"json": "nonsense"}, {"json": "[1]"}, {}, {"json": "[[]]"},
                                   {"json": "[]", "cursor": "again"}])
def test_answers_that_make_no_sense_are_refused(reply):
    with FakeBroker(lambda r: [reply]) as fake:
        done = ctl("list", broker=fake.endpoint)
    assert done.returncode == 1 and "not" in done.stderr


def test_the_second_broker_is_asked_when_the_first_is_away_or_only_stands_by():
    with FakeBroker(lambda r: [{"code": 503, "message": "standby"}]) as standby, \
            FakeBroker(lambda r: [{"json": "[]"}]) as active:
        for first in ("tcp://127.0.0.1:9", standby.endpoint):
            done = ctl("list", "--json", broker=f"{first},{active.endpoint}")
            assert (done.returncode, done.stdout) == (0, "[]\n")
        done = ctl("list", broker=standby.endpoint)
        assert done.returncode == 1 and "standby" in done.stderr


# -- with a broker ---------------------------------------------------------------------------------


def test_a_template_lives_from_add_to_remove(empty, tmp_path):
    path = write(tmp_path, "feed.json", FEED)
    first = empty.ctl("add", path, check=True).stdout
    assert first.startswith("feed: added, 1 source")
    assert empty.ctl("add", path, check=True).stdout.startswith("feed: unchanged")
    assert empty.ctl_json("show", "feed")["template"] == FEED
    assert json.loads(empty.ctl("show", "feed", check=True).stdout) == FEED
    assert [r["name"] for r in empty.ctl_json("list")] == ["feed"]
    assert "feed" in empty.ctl("list", check=True).stdout
    assert [r["url"] for r in empty.ctl_json("sources", "feed")] == FEED["urls"]
    empty.ctl("disable", "feed", check=True)
    assert empty.ctl_json("list")[0]["enabled"] is False
    waited = empty.ctl("wait", "feed", "--timeout", "1s")
    assert waited.returncode == 1 and "no enabled source" in waited.stderr
    empty.ctl("enable", "feed", check=True)
    assert empty.ctl_json("list")[0]["enabled"] is True
    empty.ctl("remove", "feed", check=True)
    assert empty.ctl_json("list") == []
    assert "No templates yet" in empty.ctl("list", check=True).stderr


def test_a_name_that_is_taken_needs_replace(empty, tmp_path):
    path = write(tmp_path, "feed.json", FEED)
    empty.ctl("add", path, check=True)
    write(tmp_path, "feed.json", {**FEED, "urls": ["http://127.0.0.1:9/a", "http://127.0.0.1:9/b"]})
    refused = empty.ctl("add", path)
    assert refused.returncode == 1 and "feed" in refused.stderr
    assert len(empty.ctl_json("sources")) == 1
    assert empty.ctl("add", "--replace", path, check=True).stdout.startswith("feed: replaced, 2 sources")
    assert len(empty.ctl_json("sources")) == 2


def test_dry_run_changes_nothing(empty, tmp_path):
    path = write(tmp_path, "feed.json", FEED)
    assert "could be added" in empty.ctl("add", "--dry-run", path, check=True).stdout
    assert empty.ctl_json("list") == []


def test_standard_input(empty):
    assert empty.ctl("add", "-", input=json.dumps(FEED), check=True).stdout.startswith("feed: added")


@pytest.mark.parametrize("text, words", [
    ("{\n\"name\": \"x\",\n oops}", "line 3"),
    ("", "empty"),
    ("\x00", "NUL"),
    (json.dumps({**FEED, "nonsense": 1}), "nonsense"),
    (json.dumps({"name": "x", "kind": "html", "urls": ["http://a/"], "items": "a[", "fields": {"title": "b"}}), "items"),
    (json.dumps({**FEED, "urls": ["ftp://a/"]}), "urls"),
    ("x" * (1000 << 10), "KiB"),
], ids=["syntax", "empty", "binary", "member", "selector", "scheme", "huge"])
def test_a_bad_template_is_refused_with_its_place(empty, tmp_path, text, words):
    path = write(tmp_path, "bad.json", text)
    done = empty.ctl("add", path)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and str(path) in done.stderr and words in done.stderr, done.stderr
    assert empty.ctl_json("list") == []


def test_of_a_folder_all_or_none(empty, tmp_path):
    for name in "ab":
        write(tmp_path, f"{name}.json", {**FEED, "name": name})
    write(tmp_path, "ignored.txt", "{")
    bad = write(tmp_path, "z.json", {**FEED, "name": "z", "urls": []})
    done = empty.ctl("add", tmp_path)
    assert done.returncode == 1 and str(bad) in done.stderr and "nothing was changed" in done.stderr
    assert empty.ctl_json("list") == []
    write(tmp_path, "z.json", {**FEED, "name": "a"})
    done = empty.ctl("add", tmp_path)
    assert done.returncode == 1 and "both name their template \"a\"" in done.stderr
    assert empty.ctl_json("list") == []
    bad.unlink()
    assert [a["name"] for a in empty.add(tmp_path)] == ["a", "b"]
    assert empty.ctl("add", tmp_path / "none").returncode == 1


def test_unknown_names_are_refused(empty):
    for command in ("show", "remove", "enable", "disable", "wait"):
        done = empty.ctl(command, "nobody")
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, command


def test_what_is_not_utf8_is_refused(empty, tmp_path):
    path = tmp_path / "latin.json"
    path.write_bytes(json.dumps({**FEED, "name": "caf_"}).replace("_", "\xe9").encode("latin-1"))
    done = empty.ctl("add", path)
    assert done.returncode == 1 and str(path) in done.stderr


def on_terminal(command, env, columns=80):
    """What a command writes to a terminal of so many columns, standard error included."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(command, stdout=child, stderr=child, env=env)
    os.close(child)
    out = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    os.close(parent)
    return process.wait(30), out.decode()


def test_on_a_terminal_lines_fit_and_headings_are_bold(empty):
    empty.add({**FEED, "urls": [f"http://127.0.0.1:9/{'x' * 200}/{i}" for i in range(3)]})
    env = {**os.environ, "RTM_BROKER": empty.broker.endpoint}
    status, out = on_terminal([CTL, "sources"], env)
    assert status == 0 and "\x1b[1m" in out and "…" in out
    plain_status, plain = on_terminal([CTL, "sources"], {**env, "NO_COLOR": "1"})
    assert plain_status == 0 and "\x1b" not in plain
    for line in plain.splitlines():
        assert len(line) <= 80 or line.startswith("(too narrow"), line


# -- a whole cluster -------------------------------------------------------------------------------


def test_wait_and_what_the_cluster_tells(cluster):
    with Cluster(miners=2, postgres=cluster, slot="2s",
                 site=dict(sources=8, hosts=4, rate=2)) as c:
        c.add_site()
        for name in [row["name"] for row in c.ctl_json("list")]:
            done = c.ctl("wait", name, "--timeout", "30s")
            assert done.returncode == 0, done.stderr
            assert c.ctl_json("wait", name)["sources"] == 2
        assert c.wait_rows("select count(*) from items", 8 * 20) >= 160
        miners = c.ctl_json("miners")
        assert sorted(m["miner"] for m in miners) == ["miner-0", "miner-1"]
        assert "miner-1" in c.ctl("miners", check=True).stdout
        assert sum(m["sources"] for m in miners) == 8
        status = c.ctl_json("status")
        assert status["sources"] == 8 and status["miners"] == 2
        assert "sources" in c.ctl("status", check=True).stdout
        c.broker.freeze()
        start = time.monotonic()
        assert c.ctl("list").returncode == 3
        assert time.monotonic() - start < 4
        c.broker.thaw()
        wait_until(lambda: c.ctl("status").returncode == 0, what="broker answers again")


def test_health_of_each_process(cluster):
    with Cluster(miners=1, postgres=cluster, broker={"health": "127.0.0.1:0"}, sink={"health": "127.0.0.1:0"},
                 miner={"health": "127.0.0.1:0"}) as c:
        for program in (c.broker, c.sink, c.miners[0]):
            at = program.wait_log(r"http endpoint=\"?http://([\d.:]+)").group(1)
            wait_until(lambda: c.ctl("health", at).returncode == 0, what=f"{program.name} is healthy")
            assert c.ctl("health", at).stdout.strip()
        c.miners[0].term()
        assert c.ctl("health", at).returncode == 3


# -- try -------------------------------------------------------------------------------------------

LIST = """<title>x</title><ul><li id=1><a href=/a>Ein <b>Titel</b></a> <i>7 points</i></li>
<li id=2><a href=/b>Second \x1b[31m</a></li><li>no key</li></ul>"""
PAGE = {"name": "p", "kind": "html", "urls": ["http://example.org/x/"], "items": "li", "key": "::attr(id)",
        "fields": {"title": "a::text", "url": "a::attr(href)",
                   "points": {"select": "i::text", "match": "(\\d+)", "type": "integer"}}}


def test_try_reads_a_saved_document(tmp_path):
    template, page = write(tmp_path, "t.json", PAGE), write(tmp_path, "page.html", LIST)
    done = ctl("try", "--json", "--file", page, "--content-type", "text/html", template)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["result"] == "ok" and len(found["items"]) >= 2
    assert found["items"][0]["key"] == "1" and found["items"][0]["url"] == "http://example.org/a"
    assert found["items"][0]["points"] == 7
    matches = {(s["field"], s["selector"]): s["matches"] for s in found["selectors"]}
    assert matches[("items", "li")] == 3 and matches[("title", "a::text")] >= 2
    table = ctl("try", "--file", page, template)
    assert "Second" in table.stdout and "\x1b" not in table.stdout and "a::text" in table.stdout
    elsewhere = ctl("try", "--json", "--file", page, "--url", "https://b.example/", template)
    assert json.loads(elsewhere.stdout)["items"][0]["url"] == "https://b.example/a"


def test_numbers_keep_their_digits(tmp_path):
    template = {"name": "n", "kind": "json", "url": "https://a.example/", "fields": {"n": "n", "f": "f"}}
    for options in ([], ["--json"]):
        said = ctl("try", *options, "--file", write(tmp_path, "d.json", '[{"n": 12345678901234567890123, "f": 1.50}]'),
                   write(tmp_path, "t.json", template)).stdout
        assert "12345678901234567890123" in said and "1.50" in said


def test_try_says_what_is_wrong(tmp_path):
    page = write(tmp_path, "page.html", "<p>nothing here</p>")
    done = ctl("try", "--json", "--file", page, write(tmp_path, "t.json", PAGE))
    assert done.returncode == 1 and json.loads(done.stdout)["result"] == "rotted"
    bad = write(tmp_path, "bad.json", {**PAGE, "items": "li["})
    done = ctl("try", "--file", page, bad)
    assert done.returncode == 1 and str(bad) in done.stderr and "items" in done.stderr
    assert ctl("try", "--file", tmp_path / "none", tmp_path / "t.json").returncode == 1
    assert ctl("try", tmp_path / "none").returncode == 1


def test_try_fetches_politely(tmp_path):
    with Site(sources=2, hosts=1, kinds=["html"], rate=0.001, backlog=5, write_templates=str(tmp_path / "t")) as site:
        template = tmp_path / "t" / "site-html.json"
        refused = ctl("try", template)
        assert refused.returncode == 1 and "--allow-private" in refused.stderr
        done = ctl("try", "--json", "--allow-private", "--details", "1", "--url", site.url(0), template)
        assert done.returncode == 0, done.stderr
        listed, detail = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(listed["items"]) == 5 and listed["status"] == 200 and not listed["detail"]
        assert detail["detail"] and detail["items"][0]["image"]
        missing = ctl("try", "--allow-private", "--url", site.base(0) + "/_bad/404", template)
        assert missing.returncode == 1 and "404" in missing.stderr
        huge = ctl("try", "--allow-private", "--url", site.base(0) + "/_bad/huge?endless=1", template)
        assert huge.returncode == 1 and "too_big" in huge.stderr


class Pages(http.server.BaseHTTPRequestHandler):
    """Two posts, in an encoding that only the header tells, and their own pages; no robots.txt."""
    def do_GET(self):
        links = "".join(f'<li><a href="/post/{i}">\u043f\u043e\u0441\u0442 {i}</a> <b>{i}</b></li>' for i in (1, 2))
        page = {"/list": f"<ul>{links}</ul>", "/home": "<html><link rel=alternate type=application/rss+xml href=/rss>",
                "/rss": "<rss><channel><item><title>a</title></item></channel></rss>"}.get(self.path) or (f"<p>{self.path}" if "post" in self.path else None)
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=windows-1251")
        self.end_headers()
        self.wfile.write((page or "").encode("windows-1251"))

    def log_message(self, *args):
        pass


@pytest.fixture
def pages():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def posts(base, **more):
    return {"name": "posts", "kind": "html", "url": base + "/list", "items": "li", "politeness": {"gap": "0ms"},
            "fields": {"title": "a::text", "url": "a::attr(href)"}, "detail": {"fields": {"summary": "p::text"}}, **more}


def test_what_try_saves_reads_the_same(pages, tmp_path):
    template = write(tmp_path, "t.json", posts(pages))
    done = ctl("try", "--json", "--allow-private", "--details", "1", "--save", tmp_path / "kept", template)
    assert done.returncode == 0 and "saved" in done.stderr, done.stderr
    assert sorted(os.listdir(tmp_path / "kept")) == [
        "detail-1.html", "detail-1.html.meta.json", "list-1.html", "list-1.html.meta.json"]
    for line, name in zip(done.stdout.splitlines(), ("list-1.html", "detail-1.html")):
        fresh, kept = json.loads(line), json.loads(
            ctl("try", "--json", "--file", tmp_path / "kept" / name, template).stdout)
        for member in ("url", "content_type", "detail", "items", "bytes", "result"):
            assert fresh[member] == kept[member]
    assert fresh["items"][0]["summary"] == "/post/1"
    assert json.loads(ctl("select", "li:first-child a::text", tmp_path / "kept" / "list-1.html").stdout) == "\u043f\u043e\u0441\u0442 1"
    refused = ctl("try", "--allow-private", "--save", template, template)
    assert refused.returncode == 1 and str(template) in refused.stderr


def test_try_goes_to_the_feed_that_a_page_names(pages, tmp_path):
    template = write(tmp_path, "t.json", {"name": "f", "url": pages + "/home", "politeness": {"gap": "0ms"}})
    done = ctl("try", "--json", "--allow-private", template)
    assert done.returncode == 0, done.stderr
    page, feed = [json.loads(line) for line in done.stdout.splitlines()]
    assert page["result"] == "not_this_kind" and page["next_url"] == feed["url"] == pages + "/rss"
    assert [item["title"] for item in feed["items"]] == ["a"]


def test_a_replacing_template_is_compared_first(empty, pages, tmp_path):
    path = write(tmp_path, "t.json", posts(pages))
    empty.ctl("add", path, check=True)

    def replace(*options, **more):
        write(tmp_path, "t.json", posts(pages, **more))
        return empty.ctl("add", "--replace", *options, path)

    # what does not change how lists are read needs no look, and so no web
    assert "replaced" in replace(every="1h").stdout
    # one item would be lost, the other is changed
    fields = {"title": "b::text", "url": "a::attr(href)"}
    unseen = replace(items="li:first-child", fields=fields)
    assert unseen.returncode == 1 and "--allow-private" in unseen.stderr and "--force" in unseen.stderr
    lost = replace("--allow-private", items="li:first-child", fields=fields)
    assert lost.returncode == 1 and "2 items before, 1 now (0 added, 1 lost, 1 changed)" in lost.stderr
    assert f"lost    {pages}/post/2" in lost.stderr and "--force" in lost.stderr
    assert empty.ctl_json("show", "posts")["template"]["items"] == "li"
    assert "replaced" in replace("--force", items="li:first-child", fields=fields).stdout
    # more than before is fine
    more = replace("--allow-private", fields=fields)
    assert more.returncode == 0 and "1 added, 0 lost" in more.stderr and "replaced" in more.stdout
    # the same once more needs no look either, in whatever language
    old = {"source": "Old", "config": {"uri": "http://127.0.0.1:9/", "homepageLinksPath": ["a"], "title": "h1"}}
    for wanted in ("added", "unchanged"):
        assert wanted in empty.ctl("add", "--replace", write(tmp_path, "old.json", old), check=True).stdout
        bare = write(tmp_path, "bare.json", {**old["config"], "uri": "http://127.0.0.2:9/"})
        assert wanted in empty.ctl("add", "--replace", bare, check=True).stdout
    # another script is another document
    for script, code in (("#a", 0), ("#b", 1)):
        within = {"name": "within", "kind": "json", "url": pages + "/posts", "script": script, "items": "$.posts[*]",
                  "fields": {"title": "title"}}
        assert empty.ctl("add", "--replace", write(tmp_path, "within.json", within)).returncode == code
    # what finds nothing loses all
    rotted = replace("--allow-private", items="li.gone")
    assert rotted.returncode == 1 and "rotted" in rotted.stderr


@pytest.mark.parametrize("name", sorted(os.listdir(os.path.join(ROOT, "templates"))))
def test_the_templates_that_come_along_are_right(quiet, name):
    quiet.ctl("add", "--dry-run", os.path.join(ROOT, "templates", name), check=True)
