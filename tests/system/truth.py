"""Compares what is in Postgres with the ground truth of the simulated web."""
import json


def _fold(text):
    return " ".join((text or "").split())


def expected_rows(truth):
    """(source url, key) -> the newest state of that post: title and how many revisions it had."""
    rows = {}
    for line in truth:
        row = rows.setdefault((line["url"], line["key"]), {"revision": 0})
        if line["revision"] > row["revision"]:
            row.update(line)
    return rows


def stored_rows(cluster):
    found = {}
    for url, key, title, revision, poll, first_seen, detail_at in cluster.sql(
            "select s.url, i.key, i.title, i.revision, i.poll, i.first_seen_at, i.detail_at"
            " from items i join sources s using (source_id)"):
        assert (url, key) not in found, f"two rows of {key} at {url}"
        found[(url, key)] = {"title": title, "revision": revision, "detail_at": detail_at}
    return found


def differences(cluster, limit=10):
    """What rows and ground truth do not agree on, as texts; empty when they are equal."""
    expected, stored = expected_rows(cluster.site.truth()), stored_rows(cluster)
    wrong = []
    for place, row in expected.items():
        got = stored.get(place)
        if got is None:
            wrong.append(f"missing: {place} {json.dumps(row)}")
        elif _fold(got["title"]) != _fold(row["title"]):
            wrong.append(f"title of {place}: {got['title']!r} instead of {row['title']!r}")
    wrong += [f"never posted: {place}" for place in stored if place not in expected]
    return wrong[:limit] + ([f"... {len(wrong) - limit} more"] if len(wrong) > limit else [])


def settled(cluster):
    """For wait_until: True when rows equal the ground truth."""
    return not differences(cluster, 1)
