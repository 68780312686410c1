"""The containers as a user runs them: `docker compose up --build --scale miner=8`, then 3 miners. A simulated web
in one more container is what they mine. Without an engine all of this is skipped."""
import json
import os
import re
import subprocess
import time
import urllib.request

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOSTS, SOURCES = 60, 180
PROJECT = f"rtm-test-{os.getpid()}"
SETTLE_SECONDS = 5
# Compose has no lists from variables, so the site's many names are written into a file of their own.
NAMES = "services: {site: {networks: {default: {aliases: [%s]}}}}\n" % ", ".join(f"site-{i}" for i in range(HOSTS))


def engine():
    try:
        return all(subprocess.run(command, capture_output=True, timeout=60).returncode == 0
                   for command in (["docker", "info"], ["docker", "compose", "version"]))
    except (OSError, subprocess.TimeoutExpired):
        return False


pytestmark = pytest.mark.skipif(not engine(), reason="no container engine with `docker compose` here")


def wait_until(condition, timeout, what):
    end = time.monotonic() + timeout
    while True:
        last = condition()
        if last:
            return last
        assert time.monotonic() < end, f"after {timeout} s still not: {what} (last: {last!r})"
        time.sleep(0.2)


class Compose:
    def __init__(self, names):
        self.command = ["docker", "compose", "-p", PROJECT, "--project-directory", ROOT]
        for file in (os.path.join(ROOT, "docker-compose.yml"), os.path.join(ROOT, "tests/compose/site.yml"), names):
            self.command += ["-f", str(file)]
        self.env = {**os.environ, "RTM_SLOT": "4s", "RTM_ALLOW_PRIVATE": "1",
                    "RTM_LAZY_CPU": "0"}  # the machine is busy with the test

    def __call__(self, *args, input=None, timeout=120, check=True):
        done = subprocess.run([*self.command, *args], env=self.env, input=input, capture_output=True, text=True,
                              timeout=timeout, cwd=ROOT)
        assert not check or done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def ctl(self, *args, input=None):
        return json.loads(self("exec", "-T", "broker", "rtm-ctl", "--json", *args, input=input))

    def count(self, what):
        """select count(what); 0 where the table is not there yet."""
        said = self("exec", "-T", "postgres", "psql", "-U", "rtm", "-qAtc", f"select count({what}", check=False)
        return int(said.strip() or 0)

    def miners(self):
        return {m["miner"]: m["load"] for m in self.ctl("miners") if m["state"] == "live"}

    def owners(self):
        return {s["source"]: s["miner"] for s in self.ctl("sources")}


@pytest.fixture(scope="module")
def compose(tmp_path_factory):
    names = tmp_path_factory.mktemp("compose") / "names.yml"
    names.write_text(NAMES)
    compose = Compose(names)
    try:
        compose("up", "--build", "-d", "--scale", "miner=8", timeout=1200)
        yield compose
    finally:
        print(compose("ps", "-a", check=False))
        print(compose("logs", "--no-color", "--tail", "15", check=False))
        print(compose("down", "-v", "--timeout", "20", check=False))


def healths(compose):
    rows = [json.loads(line) for line in compose("ps", "--format", "json").splitlines()]
    return {row["Name"]: row["Health"] for row in rows if row["Service"] != "site"}


def test_eight_miners_are_live_and_everything_is_healthy(compose):
    wait_until(lambda: re.search(r" heartbeat live=8 ", compose("logs", "--no-color", "broker")), 60,
               "8 live miners in the broker's heartbeat log")
    wait_until(lambda: (lambda h: len(h) == 11 and set(h.values()) == {"healthy"})(healths(compose)), 60,
               "all 11 containers healthy")
    assert compose("exec", "-T", "broker", "id", "-un").strip() == "rtm"


def test_the_first_command_that_the_readme_gives(compose):
    said = compose("exec", "-T", "broker", "rtm-ctl", "add", "templates/hacker-news.json")
    assert said.startswith("hacker-news: added, 2 sources")
    compose("exec", "-T", "broker", "rtm-ctl", "remove", "hacker-news")


def test_rows_of_every_source_arrive(compose):
    for file in compose("exec", "-T", "site", "sh", "-c", "ls /tmp/templates/*.json").split():
        template = compose("exec", "-T", "site", "cat", file)
        compose.ctl("add", "-", input=template)
    wait_until(lambda: compose.count("distinct source_id) from items") == SOURCES, 60,
               f"rows of all {SOURCES} sources in Postgres")
    before = compose.count("*) from items where not backfill")
    wait_until(lambda: compose.count("*) from items where not backfill") > before, 30, "new posts")
    assert len(set(compose.owners().values())) == 8


def test_readers_are_served_on_this_machine_only(compose):
    said = compose("exec", "-T", "sink", "rtm-ctl", "items", "--json", "--limit", "3")
    assert all(json.loads(line)["url"] for line in said.splitlines()) and len(said.splitlines()) == 3
    for start in (("--from", "0"), ()):  # from what is stored, and from now on
        said = compose("exec", "-T", "sink", "timeout", "60", "rtm-ctl", "tail", "--json", "--count", "2", *start)
        assert all(json.loads(line)["url"] for line in said.splitlines()) and len(said.splitlines()) == 2
    token = compose("exec", "-T", "sink", "cat", "/var/lib/rtm/api-token").strip()
    where = compose("port", "sink", "7442").strip()
    assert where.startswith("127.0.0.1:")
    request = urllib.request.Request(f"http://{where}/v1/items?limit=1", headers={"Authorization": "Bearer " + token})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert len(json.load(answer)["items"]) == 1


def spread(loads):
    mean = sum(loads.values()) / len(loads)
    return max(abs(load - mean) / mean for load in loads.values()) if mean > 0 else float("inf")


def test_scaling_down_moves_only_what_must(compose):
    wait_until(lambda: (lambda m: len(m) == 8 and spread(m) <= 0.2)(compose.miners()), 60, "8 miners share evenly")
    owners, loads = compose.owners(), compose.miners()
    compose("up", "-d", "--no-recreate", "--scale", "miner=3")
    scaled = time.monotonic()
    wait_until(lambda: len(compose.miners()) == 3, SETTLE_SECONDS, "3 live miners")
    after = wait_until(lambda: (lambda m: m if spread(m) <= 0.2 else None)(compose.miners()),
                       max(0, scaled + SETTLE_SECONDS - time.monotonic()), "within 20 % of the mean cost")
    owners_after, mean = compose.owners(), sum(after.values()) / 3
    assert set(owners_after.values()) == set(after) <= set(loads)
    moved = {s for s, miner in owners.items() if miner in after and owners_after[s] != miner}
    assert not {s for s in moved if loads[owners[s]] <= 1.15 * mean}, "moved from a miner that had no excess"
    count = compose.count("*) from items")
    wait_until(lambda: compose.count("*) from items") > count, 30, "posts go on arriving")
