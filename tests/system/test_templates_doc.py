"""The examples of proto/TEMPLATES.md: templates are taken, and what stands below the two worked ones is what they give.
And templates that were written with nothing else at hand, for documents of some thirty kinds (tests/data/unseen)."""
import glob
import json
import os
import re
import subprocess

import pytest

from cluster import ROOT, build_dir

with open(os.path.join(ROOT, "proto", "TEMPLATES.md"), encoding="utf-8") as file:
    TEXT = file.read()
BLOCKS = re.findall(r"```json\n(.*?)```", TEXT, re.S)
WHOLE = [b for b in BLOCKS if b.startswith("{") and ('"name": "' in b or '"config"' in b) and '"channel"' not in b]
PARTS = [b for b in BLOCKS if not b.startswith("{")]


def read(folder, template, document="", *options):
    """What `try --file` says, or None where the template is refused."""
    (folder / "t.json").write_text(template)
    (folder / "document").write_text(document)
    done = subprocess.run([os.path.join(build_dir(), "rtm-ctl"), "try", "--json", "--file", folder / "document", *options,
                           folder / "t.json"], capture_output=True, text=True, timeout=30)
    return (json.loads(done.stdout), "") if done.stdout else (None, done.stderr)


@pytest.mark.parametrize("template", WHOLE, ids=[re.search('"(?:name|source)": "([^"]+)', b)[1] for b in WHOLE])
def test_templates_are_taken(tmp_path, template):
    assert "{...}" in template or read(tmp_path, template)[0], read(tmp_path, template)[1]


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_taken(tmp_path, part):
    """A part of a template completes a small one, of a page or of an API."""
    members = json.loads("{" + part.replace("{...}", '{"x": "y"}') + "}")
    page = {"name": "t", "kind": "html", "url": "https://a.example/", "items": "li", "fields": {
        "url": "a", "title": "a::text", "points": "b::text"}}
    api = {**page, "kind": "json", "items": "$.x[*]", "fields": {"title": "$.t", "url": "$.u", "points": "$.p"}}
    said = [read(tmp_path, json.dumps({**base, **members})) for base in (page, api)]
    assert any(result for result, _ in said), [why for _, why in said]


def test_there_are_examples():
    assert len(WHOLE) >= 6 and len(PARTS) >= 4


def completed(span):
    """The template that a piece of one stands in: its own members, a field, a selector or a pattern."""
    try:
        members = json.loads("{" + span + "}")
    except ValueError:
        value = json.loads(span)
        members = {"match": value} if str(value).startswith("^") else {"x": value}
    own = {name: members.pop(name) for name in list(members) if name in ("items", "script", "dates", "key")}
    if "match" in members:
        members = {"x": {"select": "b", **members}}
    fields = {"title": "a", "id": "b", "day": "i", "hour": "u", **members}
    if "script" in own or '"$.' in span:
        own, fields = {"script": "#x", "items": "$.a", **own}, {"title": "$.t", **members}
    return {"name": "t", "url": "https://a.example/", "items": "li", "fields": fields, **own}


def test_what_pages_often_need(tmp_path):
    cells = [row.rpartition(" | ")[2] for row in below("What pages often need").splitlines() if row.startswith("|")]
    spans = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell) if span[0] in '"{[']
    for span in spans:
        said, why = read(tmp_path, json.dumps(completed(span)))
        assert said, (span, why)
    assert len(spans) > 20


def test_links_lead_somewhere():
    anchors = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", TEXT, re.M)}
    assert not set(re.findall(r"\]\(#([^)]+)\)", TEXT)) - anchors
    contents = TEXT.split("\n## ")[0]
    assert re.findall(r"^- \[([^]]+)\]", contents, re.M) == re.findall(r"^## (.+)$", TEXT, re.M)


def test_all_members_are_listed():
    """Each member that the parser knows stands in the table of members."""
    with open(os.path.join(ROOT, "proto", "template_native.c"), encoding="utf-8") as file:
        known = re.findall(r'\{"(\w+)", (?:member_|read_urls)', file.read())
    first = [row.split(" | ")[0] for row in below("Members of a template").splitlines() if row.startswith("| `")]
    listed = set(re.findall(r"`(\w+)`", " ".join(first)))
    assert len(known) > 40 and not set(known) - listed - {"script"}


def below(heading):
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_page(tmp_path):
    text = below("A worked example")
    page, = re.findall(r"```html\n(.*?)```", text, re.S)
    said, _ = read(tmp_path, re.findall(r"```json\n(.*?)```", text, re.S)[-1], f"<ul>{page}</ul>")
    item, = said["items"]
    told = dict(re.findall(r"`(key|url)` `([^`]+)`", text.split("The row has")[1]))
    assert {"key": item["key"], "url": item["url"]} == told
    assert item["title"] == re.search(r'`title` "([^"]+)"', text)[1] and item["author"] == "ann"
    assert item["replies"] == json.loads(re.search(r"`fields` `([^`]+)`", text)[1])["replies"]
    assert item["published_ms"] == 1784885400000


def test_the_api(tmp_path):
    text = below("An API")
    document, template = re.findall(r"```json\n(.*?)```", text, re.S)
    said, _ = read(tmp_path, template, document)
    item, = said["items"]
    told = dict(re.findall(r"`(key|url)` `([^`]+)`", text))
    assert {"key": item["key"], "url": item["url"]} == told
    assert item["title"] == "Disk full" and item["author"] == "ann" and item["published_ms"] == 1784883000000
    fields = json.loads(re.search(r"`fields` `([^`]+)`", text)[1])
    assert {name: item[name] for name in fields} == fields


UNSEEN = sorted(glob.glob(os.path.join(ROOT, "tests", "data", "unseen", "*.json")))


@pytest.mark.parametrize("path", UNSEEN, ids=[os.path.basename(path)[:-5] for path in UNSEEN])
def test_unseen_documents(tmp_path, path):
    with open(path, encoding="utf-8") as file:
        case = json.load(file)
    (tmp_path / "t.json").write_text(json.dumps(case["template"]))
    done = subprocess.run([os.path.join(build_dir(), "rtm-ctl"), "try", "--json", "--file", path[:-5] + ".document",
                           tmp_path / "t.json"], capture_output=True, text=True, timeout=30)
    said = json.loads(done.stdout)
    items = [{name: value for name, value in item.items() if value is not None and name not in ("content_hash", "fields")}
             for item in said["items"]]
    for item in items:
        if "published" in item:  # words; the moment is counted back from now
            item.pop("published_ms", None)
    assert said["result"] == "ok" and items == case["items"] and said["next_url"] == case["next"]


def test_there_are_unseen_documents():
    assert len(UNSEEN) > 20
