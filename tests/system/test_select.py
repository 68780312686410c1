"""rtm-ctl select and robots: small tools that need no cluster."""
import gzip
import json
import os
import resource
import subprocess

import pytest

from cluster import build_dir

CTL = os.path.join(build_dir(), "rtm-ctl")
PAGE = """<!doctype html><title>T</title><ul><li class=post><a href="/a?b&amp;c">One\x1b[2J</a>
<li class=post><a href="/b"><b>T</b>wo</a></ul><p>5 of 7</p>"""
FEED = """<?xml version="1.0"?><rss xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
<item id="x"><title>One</title><dc:creator>ann</dc:creator></item><item><title>Two</title></item></channel></rss>"""
DOCUMENT = '{"posts": [{"id": 12345678901234567890, "title": "One"}, {"id": 1.50, "title": "Two"}]}'
ROBOTS = """User-agent: *
Disallow: /private/
Allow: /private/open

User-agent: other
Disallow: /
"""


def ctl(*args, input=None):
    return subprocess.run([CTL, *map(str, args)], input=input, capture_output=True, text=True, timeout=30)


def lines(*args, input):
    done = ctl("select", *args, input=input)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("selector, matches", [
    ("li.post > a::attr(href)", ["/a?b&c", "/b"]),
    ("li.post b::text", ["T"]),
    ("xpath://a/@href", ["/a?b&c", "/b"]),
    ("xpath:count(//li)", ["2"]),
    ("xpath:substring-before(//p, ' ')", ["5"]),
    ("table", []),
])
def test_values_of_pages(selector, matches):
    assert lines(selector, input=PAGE) == matches


def test_elements_of_pages():
    for selector in ("li.post > a", "xpath://li[@class='post']/a"):
        first, second = lines(selector, input=PAGE)
        assert second == {"element": "a", "attributes": {"href": "/b"}, "text": "Two", "html": "<b>T</b>wo"}
        assert first["attributes"]["href"] == "/a?b&c"
    assert "\x1b" not in ctl("select", "li", input=PAGE).stdout


@pytest.mark.parametrize("selector, matches", [
    ("$.posts[*].title", ["One", "Two"]),
    ("posts[?@.title == 'Two'].title", ["Two"]),
    ("$..nothing", []),
])
def test_values_of_json(selector, matches):
    assert lines(selector, input=DOCUMENT) == matches


def test_numbers_keep_their_digits():
    assert ctl("select", "$..id", input=DOCUMENT).stdout == "12345678901234567890\n1.50\n"


def test_xml():
    assert lines("xpath://item/title/text()", input=FEED) == ["One", "Two"]
    assert lines("//dc:creator", input=FEED) == [{"element": "dc:creator", "attributes": {}, "text": "ann"}]
    assert lines("//item/@id", input=FEED) == ["x"]
    nested = '<r><e xmlns:p="urn:p"><p:x>1</p:x></e><q:x xmlns:q="urn:q">2</q:x></r>'
    assert lines("--kind", "xml", "//p:x/text() | //q:x/text()", input=nested) == ["1", "2"]
    assert lines("--kind", "xml", "xpath:count(//x)", input="<r><x/><x/></r>") == ["2"]
    atom = '<feed xmlns="http://www.w3.org/2005/Atom"><entry xml:base="/b" a="1"><id>7</id></entry></feed>'
    assert lines("//_:id/text()", input=atom) == ["7"]
    assert "_:name" in ctl("select", "--kind", "xml", "//id", input=atom).stderr
    assert lines("//_:entry", input=atom) == [{"element": "entry", "attributes": {"xml:base": "/b", "a": "1"}, "text": "7"}]


def test_xml_that_is_none():
    broken = '<!DOCTYPE r [<!ENTITY a "A"><!ENTITY f SYSTEM "file:///etc/passwd">]><rss><item>&a;&eacute;&f; & <b>x</item></rss><x/>'
    assert lines("--kind", "xml", "/rss/item/text()", input=broken) == ["Aé&f; & "]
    assert lines("--kind", "xml", "count(/*)", input=broken) == ["2"]
    assert ctl("select", "--kind", "xml", "//a", input="no markup").returncode == 1


HURTS = {
    "spans": "<div>" + "<span>" * 3000,
    "entities": "<!DOCTYPE r [<!ENTITY a '" + "x" * 100000 + "'>]><rss><title>" + "&a;" * 50000 + "</title></rss>",
    "attributes": "<rss " + " ".join(f"a{i}='v'" for i in range(200000)) + "/>", "comments": "<rss>" + "<!--" * 500000,
    "numbers": "[" + ",".join(map(str, range(300000))) + "]", "brackets": "[" * 1000000,
}


@pytest.mark.parametrize("kind, selector, document", [
    ("html", "xpath://*//*//*//*//*//*", "spans"), ("html", ":not(:has(x)) :not(:has(y))", "spans"), ("xml", "//title", "entities"),
    ("xml", "count(//*)", "attributes"), ("xml", "count(//*)", "comments"), ("json", "$..*..*..*..*", "numbers"),
    ("json", "$..*", "brackets"),
])
def test_select_ends(tmp_path, kind, selector, document):
    """Within a second of CPU time, whatever it is given."""
    (tmp_path / "document").write_text(HURTS[document])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = ctl("select", "--kind", kind, selector, tmp_path / "document")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (0, 1) and (done.returncode == 0) == (not done.stderr or "nothing" in done.stderr), done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.2


def test_a_file(tmp_path):
    (tmp_path / "feed.gz").write_bytes(gzip.compress(FEED.encode()))
    assert json.loads(ctl("select", "--kind", "xml", "//item/@id", tmp_path / "feed.gz").stdout) == "x"
    page = tmp_path / "page.html"
    page.write_text(PAGE)
    assert json.loads(ctl("select", "p::text", page).stdout) == "5 of 7"
    assert ctl("select", "p", tmp_path / "none").returncode == 1


@pytest.mark.parametrize("args, document, words", [
    (["a["], PAGE, "CSS"), (["xpath://a["], PAGE, "XPath"), (["$.a["], DOCUMENT, "JSONPath"), (["$.a"], "<p>", "JSON"),
    (["--kind", "xml", "//a["], FEED, "XPath"), (["--kind", "pdf", "a"], PAGE, "html, xml or json"), ([""], PAGE, "empty"),
])
def test_what_is_wrong_is_told(args, document, words):
    done = ctl("select", *args, input=document)
    assert done.returncode in (1, 2) and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("url, agent, allowed, line", [
    ("https://a.example/", "rtm", True, 0), ("https://a.example/private/x", "rtm", False, 2),
    ("/private/open/y?z", "rtm", True, 3), ("https://a.example/x", "other", False, 6),
])
def test_robots(tmp_path, url, agent, allowed, line):
    (tmp_path / "robots.txt").write_text(ROBOTS)
    done = ctl("robots", "--json", "--file", tmp_path / "robots.txt", "--agent", agent, url)
    said = json.loads(done.stdout)
    assert done.returncode == (0 if allowed else 1) and said["allowed"] is allowed and said["line"] == line
    assert not line or said["rule"] == ROBOTS.splitlines()[line - 1]
    told = ctl("robots", "--file", "-", "--agent", agent, url, input=ROBOTS)
    assert told.stdout.startswith("allowed" if allowed else "forbidden") and (not line or f"line {line}: " in told.stdout)


def test_robots_tells_of_delays_and_sitemaps(tmp_path):
    robots = "Sitemap: https://a.example/s.xml\n" + ROBOTS + "Crawl-delay: 2.5\nSitemap: /news.xml # a comment\n"
    told = ctl("robots", "--file", "-", "--agent", "other", "/x", input=robots)
    assert told.stdout == "forbidden by line 7: Disallow: /\ncrawl delay: 2.5 s\nsitemap: https://a.example/s.xml\nsitemap: /news.xml\n"
    said = json.loads(ctl("robots", "--json", "--file", "-", "--agent", "other", "/x", input=robots).stdout)
    assert said["crawl_delay_ms"] == 2500 and said["sitemaps"] == ["https://a.example/s.xml", "/news.xml"]
    said = json.loads(ctl("robots", "--json", "--file", "-", "/x", input=ROBOTS).stdout)
    assert "crawl_delay_ms" not in said and "sitemaps" not in said


def test_robots_refuses_what_is_no_url(tmp_path):
    (tmp_path / "robots.txt").write_text(ROBOTS)
    assert ctl("robots", "ftp://a.example/").returncode == 1
    assert ctl("robots", "--file", tmp_path / "none", "https://a.example/").returncode == 1


@pytest.mark.parametrize("args, url, norm", [
    (["HTTP://www.A.example:80/x/../y/?utm_source=f&b=2&a=1#top"], "http://www.a.example/y/?utm_source=f&b=2&a=1#top",
     "https://a.example/y?a=1&b=2"),
    (["../b", "https://a.example/x/y/z"], "https://a.example/x/b", "https://a.example/x/b"),
    (["//b.example", "http://a.example"], "http://b.example/", "https://b.example"),
    (["https://a.example/x/y/%2E.?q"], "https://a.example/x/?q", "https://a.example/x?q"),
    (["..?page=2#n", "https://a.example/x/y/z"], "https://a.example/x/?page=2#n", "https://a.example/x?page=2"),
    ([".#n", "https://a.example/x/y"], "https://a.example/x/#n", "https://a.example/x"),
    (["http://www.@a.example/"], "http://www.@a.example/", "https://www.@a.example"),
    (["/x/...?q", "https://a.example/"], "https://a.example/x/...?q", "https://a.example/x/...?q"),
])
def test_url(args, url, norm):
    assert json.loads(ctl("url", *args).stdout) == {"url": url, "url_norm": norm}


@pytest.mark.parametrize("args", [["mailto:a@example.org"], ["/relative"], ["/x", "no-base"], ["http://a b/"], ["http://:1/"]])
def test_url_refuses_what_is_none(args):
    done = ctl("url", *args)
    assert done.returncode == 1 and not done.stdout and done.stderr.count("\n") == 1


def test_try_hints_at_what_matches(tmp_path):
    """A selector that the site has left behind."""
    (tmp_path / "page.html").write_text("".join(
        f"<tr class=athing><td><span class=titleline><a href=/{i}>A title of some length, {i}</a></span>" for i in range(30))
        .join(("<table>", "</table>")))
    (tmp_path / "t.json").write_text(json.dumps(
        {"name": "t", "kind": "html", "url": "https://a.example/", "items": "a.storylink", "fields": {"title": "::text"}}))
    table = ctl("try", "--file", tmp_path / "page.html", tmp_path / "t.json")
    assert table.returncode == 1
    assert "`a.storylink` matched 0; `span.titleline > a` matches 30" in table.stdout
    told = json.loads(ctl("try", "--json", "--file", tmp_path / "page.html", tmp_path / "t.json").stdout)
    assert told["hints"] == [{"field": "items", "selector": "a.storylink", "instead": "span.titleline > a", "matches": 30}]


def test_try_shows_what_each_item_has(tmp_path):
    """Columns that the first item has not, dates to the minute, and how many items each selector gave a value."""
    (tmp_path / "d.json").write_text(json.dumps({"posts": [
        {"id": 1, "at": "2026-07-24T23:30:00+02:00", "tag": None}, {"id": 2, "at": "soon", "tag": "x"}]}))
    (tmp_path / "t.json").write_text(json.dumps(
        {"name": "t", "kind": "json", "url": "https://a.example/", "items": "$.posts", "key": "$.id",
         "fields": {"published": "$.at", "tag": "$.tag", "title": "$.titel"}}))
    shown = [line.split() for line in ctl("try", "--file", tmp_path / "d.json", tmp_path / "t.json").stdout.splitlines()]
    assert ["KEY", "PUBLISHED", "UTC", "PUBLISHED", "TAG"] in shown
    assert ["1", "2026-07-24", "21:30", "-", "-"] in shown and ["2", "-", "soon", "x"] in shown
    assert [["items", "$.posts", "2"], ["published", "$.at", "1"], ["tag", "$.tag", "1"], ["title", "$.titel", "0"]] == \
        [row for row in shown if row[1:2] and row[1].startswith("$")][:4]
    assert "hint: `$.titel` gives no value: an item has \"id, at, tag\"".split() in shown


def test_try_says_what_a_detail_page_gave(tmp_path):
    (tmp_path / "page.html").write_text("<h1>T</h1><p class=post-body>text")
    (tmp_path / "t.json").write_text(json.dumps(
        {"name": "t", "kind": "html", "url": "https://a.example/", "items": "li", "fields": {"url": "a"},
         "detail": {"fields": {"title": "h1", "content": ".postbody"}}}))
    options = "--detail", "--file", tmp_path / "page.html", tmp_path / "t.json"
    assert "hint: `.postbody` matched 0; `p.post-body` matches 1" in ctl("try", *options).stdout
    told = json.loads(ctl("try", "--json", *options).stdout)
    assert [(row["field"], row["matches"]) for row in told["selectors"]] == [("title", 1), ("content", 0)]
    (tmp_path / "page.html").write_text("{}")
    assert "there is no markup in it; it looks like JSON" in ctl("try", *options).stdout


def test_try_hints_at_what_a_script_has(tmp_path):
    (tmp_path / "page.html").write_text('<script>window.s = {"posts": [{"id": 1, "name": "T"}], "n": 1};</script>')
    template = {"name": "t", "url": "https://a.example/", "script": "script", "items": "$.posts[*]", "fields": {"title": "$.title"}}
    for items, hint in ("$.posts[*]", '`$.title` gives no value: an item has "id, name"'), \
                       ("$.post[*]", '`$.post[*]` gives no value: the document has "posts[], n"'):
        (tmp_path / "t.json").write_text(json.dumps({**template, "items": items}))
        assert f"hint: {hint}" in ctl("try", "--file", tmp_path / "page.html", tmp_path / "t.json").stdout


def test_try_hints_at_what_can_be_watched(tmp_path):
    (tmp_path / "page.html").write_text("<title>Keys</title><p class=fingerprint>AB CD")
    (tmp_path / "t.json").write_text('{"name": "t", "kind": "page", "url": "https://a.example/", "items": ".fingerprints"}')
    assert "`.fingerprints` matched 0; `p.fingerprint` matches 1" in \
        ctl("try", "--file", tmp_path / "page.html", tmp_path / "t.json").stdout
