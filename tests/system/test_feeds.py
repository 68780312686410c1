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
