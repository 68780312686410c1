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
import threading
from urllib.parse import urljoin

import psycopg2
import pytest

from cluster import Cluster, wait_until
from simsite import ROOT

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


def test_every_template_has_its_document():
    assert len(glob.glob(os.path.join(TEMPLATES, "*.json"))) >= len(manifest())
