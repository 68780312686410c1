"""Real pages, feeds and JSON documents, served by a plain web server, become the rows that the manifest expects.

The documents are not part of the project: the test looks for them in RTM_CORPUS, or in shared/corpus/visible beside the
checkout, and is skipped where they are not. The templates are in tests/data/corpus.
"""
import csv
import functools
import glob
import html
import http.server
import json
import os
import re
import subprocess
import threading
from urllib.parse import urljoin

import psycopg2
import pytest

from cluster import Cluster, wait_until
from simsite import ROOT, build_dir

CORPUS = os.environ.get("RTM_CORPUS") or os.path.join(os.path.dirname(ROOT), "shared", "corpus", "visible")
TEMPLATES = os.path.join(ROOT, "tests", "data", "corpus")
TYPES = {".rss": "application/rss+xml", ".atom": "application/atom+xml", ".rdf": "application/rdf+xml", ".xml": "text/xml",
         ".json": "application/json", ".html": "text/html", ".gz": "application/rss+xml"}
NOT_PLAIN = {"json/mastodon-streaming-user.sse.txt"}  # an event stream, not a document

pytestmark = pytest.mark.skipif(not os.path.isdir(CORPUS), reason="the corpus of real documents is not here")


def manifest():
    if not os.path.isdir(CORPUS):
        return []
    with open(os.path.join(CORPUS, "manifest.tsv"), encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [r for r in rows if r["kind"] != "robots" and r["entries"] and r["file"] not in NOT_PLAIN]


def template_of(row):
    name = os.path.basename(row["file"])
    for candidate in (name, os.path.splitext(name)[0]):
        path = os.path.join(TEMPLATES, candidate + ".json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                return f.read()
    return None


class Handler(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path):
        return TYPES.get(os.path.splitext(path)[1], "application/octet-stream")

    def end_headers(self):
        if self.path.endswith(".gz"):
            self.send_header("Content-Encoding", "gzip")
        super().end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def rtm(cluster):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=CORPUS))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with Cluster(miners=1, postgres=cluster) as c:
            c.base = base
            for row in manifest():
                text = template_of(row)
                if text:
                    c.add({**json.loads(text), "url": f"{base}/{row['file']}"})
            names = [t["name"] for t in c.ctl_json("list")]
            wait_until(lambda: all(t["polled"] > 0 for t in c.ctl_json("list")), 60, f"polls of all {len(names)}")
            yield c
    finally:
        server.shutdown()


def plain(text):
    """As a title is read: markup gone, entities decoded, white space folded."""
    text = html.unescape(re.sub(r"<[^>]*>", "", html.unescape(text or "")))
    return " ".join(text.split())


@pytest.mark.parametrize("row", manifest(), ids=[row["file"] for row in manifest()])
def test_document(rtm, row):
    assert template_of(row), f"there is no template for {row['file']}"
    url = f"{rtm.base}/{row['file']}"
    query = "select i.title, i.url from items i join sources s using (source_id) where s.url = %s"
    try:
        wait_until(lambda: len(rtm.sql(query, (url,))) >= int(row["entries"]), 10, "rows", ignore=(psycopg2.Error,))
    except AssertionError:
        pass
    rows = rtm.sql(query, (url,))
    assert len(rows) == int(row["entries"]), [s for s in rtm.ctl_json("sources") if s["url"] == url]
    titles, links = {plain(t) for t, _ in rows}, {u for _, u in rows}
    if row["first_title"]:
        assert plain(row["first_title"]) in titles
    if row["first_link"]:
        wanted = html.unescape(row["first_link"])
        assert any(u in (wanted, urljoin(url, wanted)) or (u or "").endswith(wanted.lstrip("./")) for u in links), sorted(
            str(u) for u in links)[:5]


def ctl(*args):
    done = subprocess.run([os.path.join(build_dir(), "rtm-ctl"), *args], capture_output=True, text=True, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


# What the manifest names no entries for: pages of one article, home pages.
@pytest.mark.parametrize("page, selector, wanted", [
    ("arabic-newspapers-windows-1256", "title::text", "\u0627\u0644\u0635\u062d\u0641 \u0648 \u0627\u0644\u062c\u0631\u0627\u0626\u062f"),
    ("article-campograndenews", "meta[property='og:title']::attr(content)", "confirma irm\u00e3"),
    ("article-campograndenews", "meta[property='og:image']::attr(content)", "https://cdn6.campograndenews.com.br/"),
    ("article-heise-lithium", "article p::text", "nieders\u00e4chsische Firma"),
    ("article-heise-lithium", "xpath://meta[@property='og:title']/@content", "Lithium aus dem Schredder"),
    ("xinhua-home", "title::text", "\u65b0\u534e\u7f51"),
])
def test_other_pages(page, selector, wanted):
    code, found = ctl("select", selector, os.path.join(CORPUS, "html", page + ".html"))
    assert code == 0 and any(wanted in text for text in found), found[:3]


# An HTML page and an empty file forbid nothing; the largest has raw UTF-8 and a byte order mark.
@pytest.mark.parametrize("host, agent, path, allowed, rule", [
    ("103.88.218.109", "rtm", "/", True, ""), ("alight.com", "rtm", "/", True, ""), ("avaaz.org", "rtm", "/", True, ""),
    ("en.wikipedia.org", "rtm", "/wiki/Main_Page", True, ""), ("en.wikipedia.org", "MJ12bot", "/wiki/Main_Page", False, "Disallow: /"),
    ("en.wikipedia.org", "rtm", "/wiki/Special:Random", False, "Disallow: /wiki/Special:"),
    ("en.wikipedia.org", "rtm", "/api/rest_v1/?doc", True, "Allow: /api/rest_v1/?doc"),
    ("he.wikipedia.org", "rtm", "/wiki/Special%3ARandom", False, None),
    ("vimeo.com", "rtm", "/channels/x/format:thumbnail", False, "Disallow: */format:thumbnail"),
    ("vimeo.com", "rtm", "/123/download?x", False, "Disallow: /*/download?"), ("vimeo.com", "rtm", "/123", True, ""),
    ("vimeo.com", "Mediapartners-Google", "/search", True, ""),
])
def test_robots(host, agent, path, allowed, rule):
    code, (said,) = ctl("robots", "--json", "--file", os.path.join(CORPUS, "robots", host + ".txt"), "--agent", agent, path)
    assert said["allowed"] is allowed and code == (0 if allowed else 1)
    assert rule is None or said["rule"] == (rule or said["rule"]) and bool(said["line"]) == bool(rule), said


def test_a_cut_off_document_is_no_empty_one(tmp_path):
    """Two thirds of a JSON Feed are an error that is told, not a feed without news."""
    with open(os.path.join(TEMPLATES, "leancrew-partial.json.json"), encoding="utf-8") as file:
        (tmp_path / "t.json").write_text(file.read().replace("{base}", "https://a.example"))
    code, (said,) = ctl("try", "--json", "--file", os.path.join(CORPUS, "feeds", "leancrew-partial.json"), str(tmp_path / "t.json"))
    assert code == 1 and said["result"] == "parse" and not said["items"]


def test_event_stream():
    """The one document that is no page: three events, the last one cut in two."""
    done = subprocess.run([os.path.join(build_dir(), "rtm-ctl"), "try", "--json", "--file",
                           os.path.join(CORPUS, "json", "mastodon-streaming-user.sse.txt"),
                           os.path.join(TEMPLATES, "mastodon-streaming-user.sse.json")], capture_output=True, text=True, timeout=30)
    assert [i["key"] for i in json.loads(done.stdout)["items"]] == ["1", "2", "3"], done.stderr


def test_every_template_has_its_document():
    assert len(glob.glob(os.path.join(TEMPLATES, "*.json"))) >= len(manifest())
