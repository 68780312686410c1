"""Feeds of all versions and with the usual faults, as `rtm-ctl try --file` reads them: tests/data/feeds/cases.json has
[what, document, what its first item is, the document's encoding if it is not UTF-8]."""
import json
import os
import subprocess

import pytest

from cluster import ROOT, build_dir

with open(os.path.join(ROOT, "tests", "data", "feeds", "cases.json"), encoding="utf-8") as file:
    CASES = json.load(file)


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_feed(tmp_path, case):
    _, document, wanted, encoding = case + ["utf-8"] * (4 - len(case))
    (tmp_path / "t.json").write_text(json.dumps({"name": "f", "kind": "feed", "url": "https://a.example/dir/feed.xml"}))
    (tmp_path / "feed").write_bytes(document.encode(encoding))
    done = subprocess.run([os.path.join(build_dir(), "rtm-ctl"), "try", "--json", "--file", tmp_path / "feed",
                           tmp_path / "t.json"], capture_output=True, text=True, timeout=30, check=True)
    found = json.loads(done.stdout)["items"][0]
    assert {name: found.get(name) for name in wanted} == wanted


def test_a_template_may_distrust_guids(tmp_path):
    """Two guids of one story, and one guid of two."""
    story = "<item><title>T</title><link>http://x/{}</link><guid>{}</guid></item>"
    (tmp_path / "feed").write_text("<rss><channel>" + story.format(1, "a") + story.format(1, "b") + story.format(2, "a")
                                   + "</channel></rss>")
    template = {"name": "f", "kind": "feed", "url": "https://a.example/"}
    for key, keys in ((None, ["a", "b", "a|http://x/2"]), ("url", ["http://x/1", "http://x/2"]),
                      (["title", "url"], ["T", "T|http://x/2"])):
        (tmp_path / "t.json").write_text(json.dumps({**template, "key": key} if key else template))
        done = subprocess.run([os.path.join(build_dir(), "rtm-ctl"), "try", "--json", "--file", tmp_path / "feed",
                               tmp_path / "t.json"], capture_output=True, text=True, timeout=30, check=True)
        assert [item["key"] for item in json.loads(done.stdout)["items"]] == keys


@pytest.mark.parametrize("before, after, revised", [
    ("<slash:comments>3</slash:comments>", "<slash:comments>4</slash:comments>", False),
    ("<updated>2024-01-01T00:00:00Z</updated>", "<updated>2024-01-02T00:00:00Z</updated>", False),
    ('<media:statistics views="1"/>', '<media:statistics views="2"/>', False),
    ("<category>a</category>", "<category>b</category>", True), ("<title>a</title>", "<title>b</title>", True),
    ("<description>a</description>", "<description>b</description>", True), ("<pubDate>now</pubDate>", "<pubDate>then</pubDate>", True),
    ("<pubDate>Thu, 01 Jan 2004 19:48:21 GMT</pubDate>", "<pubDate>Thu, 01 Jan 2004 20:48:21 GMT</pubDate>", False),
])
def test_what_makes_a_revision(tmp_path, before, after, revised):
    """Counters and times are no news; `add --replace` and the sink go by the same hash."""
    hashes = []
    (tmp_path / "t.json").write_text(json.dumps({"name": "f", "kind": "feed", "url": "https://a.example/"}))
    for inside in (before, after):
        (tmp_path / "feed").write_text(f"<rss><channel><item><guid>g</guid><link>http://x/</link>{inside}</item></channel></rss>")
        done = subprocess.run([os.path.join(build_dir(), "rtm-ctl"), "try", "--json", "--file", tmp_path / "feed",
                               tmp_path / "t.json"], capture_output=True, text=True, timeout=30, check=True)
        hashes.append(json.loads(done.stdout)["items"][0]["content_hash"])
    assert (hashes[0] != hashes[1]) is revised
