"""Processes are killed at random and at the worst instants; at the end the rows equal the ground truth.

RTM_CHAOS_ROUNDS (30) and RTM_CHAOS_SEED (1) make it longer or another.
"""
import os
import random

import psycopg2
import pytest

from cluster import Cluster, wait_until
from pg import Cluster as Postgres
from truth import differences, settled

ROUNDS = int(os.environ.get("RTM_CHAOS_ROUNDS", "30"))
SEED = int(os.environ.get("RTM_CHAOS_SEED", "1"))
AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.UndefinedTable,
        psycopg2.errors.AdminShutdown)
FAILPOINTS = ["miner_after_batch_send", "sink_after_commit", "miner_after_ack", "broker_after_commit"]


@pytest.fixture(scope="module")
def rtm():
    site = dict(sources=500, hosts=50, rate=12, updates=0.3, pinned=1, backlog=5, min_stay="600s", seed=SEED)
    with Postgres() as postgres, Cluster(miners=3, slot="2s", postgres=postgres, site=site) as c:
        c.add_site()
        c.wait_rows("select count(*) from items", 2000)
        yield c


class Watch:
    """Remembers rows, to see that none ever goes back."""

    def __init__(self, rtm):
        self.rtm, self.seen = rtm, {}

    def look(self):
        try:
            rows = self.rtm.sql("select source_id, key, revision, poll from items")
        except AWAY:
            return
        for source, key, revision, poll in rows:
            before = self.seen.get((source, key))
            assert not before or (revision, poll) >= before, f"{key} of {source} turned back: {before} to {(revision, poll)}"
            self.seen[(source, key)] = (revision, poll)
        assert len(rows) >= len(self.seen), "rows are gone"


def requests(rtm):
    return sum(v for v in rtm.site.status()["requests"].values() if isinstance(v, int))


def after_some_requests(rtm, rng):
    """A random while, counted in pages that miners fetched; nothing comes when none is up, so it ends in any case."""
    target = requests(rtm) + rng.randint(5, 600)
    try:
        wait_until(lambda: requests(rtm) >= target, rng.uniform(0.5, 4), "requests", every=0.02)
    except AssertionError:
        pass


def strike(rtm, rng):
    victim = rng.choice(["miner", "miner", "sink", "broker", "postgres"])
    if victim == "postgres":
        rtm.postgres.kill()
        after_some_requests(rtm, rng)
        rtm.postgres.start()
        return victim
    program = rng.choice(rtm.miners) if victim == "miner" else rtm.sink if victim == "sink" else rtm.broker
    if program.running:
        program.kill()
    if rng.random() < 0.5:
        after_some_requests(rtm, rng)
    program.start()
    return program.name


def all_equal(rtm, what):
    rtm.site.stop_posting()
    try:
        wait_until(lambda: settled(rtm), 120, f"rows equal the ground truth after {what}", every=0.5, ignore=AWAY)
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *differences(rtm), rtm.ctl("status").stdout])) from None
    rtm.site.start_posting()


def test_random_kills(rtm):
    rng, watch = random.Random(SEED), Watch(rtm)
    struck = []
    for _ in range(ROUNDS):
        after_some_requests(rtm, rng)
        struck.append(strike(rtm, rng))
        watch.look()
    all_equal(rtm, f"{len(struck)} kills: {struck}")
    watch.look()
    posts = len(rtm.site.truth())
    print(f"{len(struck)} kills, {posts} posts and updates, all rows equal")
    assert posts > 2500 + 100


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_fail_point(rtm, failpoint):
    program = {"miner": rtm.miners[0], "sink": rtm.sink, "broker": rtm.broker}[failpoint.split("_")[0]]
    for nth in (1, 3):
        program.kill()
        program.start(failpoint=f"{failpoint}:{nth}")
        try:
            if failpoint == "broker_after_commit":  # what waits for a commit: outcomes of changes, replies
                wait_until(lambda: not program.running or rtm.ctl("status").returncode < 0, 30, "exit", every=0.1)
            status = program.wait(60)
        finally:
            if not program.running:
                program.start()
        assert status == 66, f"{failpoint} did not end the process: {status}"
    all_equal(rtm, failpoint)
