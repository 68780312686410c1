"""Seeded rounds of everything that may happen to processes, disks and connections; at the end the rows equal the ground
truth: none missing, none double, none turned back.

Each round has one to three faults, which last for a while and may overlap: kill -9 of a sink, miner or broker, at random
or at a fail point; SIGSTOP of them or of Postgres' backends; Postgres stopped with `immediate` or killed; connections
cut, between miners and sinks, and between sinks and Postgres; the spools' disk full. RTM_FAULT_ROUNDS (10) and
RTM_FAULT_SEED (1) make it longer or another: `make faults ROUNDS=200`.
"""
import collections
import contextlib
import os
import random
import re
import subprocess

import psycopg2
import pytest

from cluster import Cluster, wait_until
from cut import Relay
from pg import Cluster as Postgres
from truth import differences, settled

ROUNDS = int(os.environ.get("RTM_FAULT_ROUNDS", "10"))
SEED = int(os.environ.get("RTM_FAULT_SEED", "1"))
AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.UndefinedTable,
        psycopg2.errors.AdminShutdown, psycopg2.errors.CrashShutdown)
FAILPOINTS = {"miner": ["miner_after_batch_send", "miner_after_ack"], "broker": ["broker_after_commit"],
              "sink": ["sink_after_commit", "sink_after_spool"]}
DISK = "3m"  # of each sink's spool
POINTS_AT = 5  # a fail point ends its program the first to fifth time that it comes there
FROZEN = 9   # posts a second are some 20: how long a process stands still, in posts, at most, times 10


@pytest.fixture(scope="module")
def disks(tmp_path_factory):
    """Two small file systems for the spools. Without the right to mount them they are folders, and no disk gets full."""
    folders = [str(tmp_path_factory.mktemp("disk")) for _ in range(2)]
    mounted = []
    try:
        for folder in folders:
            if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", folder], capture_output=True).returncode == 0:
                mounted.append(folder)
        if len(mounted) < len(folders):
            print("no right to mount a small tmpfs: no disk gets full in these rounds")
        yield folders
    finally:
        for folder in mounted:
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def rtm(disks):
    site = dict(sources=200, hosts=25, rate=20, updates=0.4, pinned=1, backlog=3, min_stay="3600s", seed=SEED)
    with Postgres() as postgres, contextlib.ExitStack() as relays, \
            Cluster(miners=0, sinks=2, slot="2s", postgres=postgres, site=site, start=False) as c:
        c.broker.start()
        c.disks, c.relays = disks, []
        for sink, disk in zip(c.sinks, disks):
            sink.start(spool=os.path.join(disk, "spool"))
            c.relays.append(relays.enter_context(Relay(sink.endpoint)))
        for _ in range(3):
            c.add_miner(sink=",".join(r.endpoint for r in c.relays))
        c.add_site()
        c.wait_rows("select count(*) from items", 500)
        yield c
        c.site.stop_posting()


def told(title):
    """The site's titles say which revision of the post they are."""
    found = re.search(r"\[revision (\d+)\]", title)
    return int(found.group(1)) if found else 0


class Watch:
    """Remembers rows, to see that none ever goes back."""

    def __init__(self, rtm):
        self.rtm, self.seen = rtm, {}

    def look(self):
        try:
            rows = self.rtm.sql("select source_id, key, revision, poll, title from items")
        except AWAY:
            return
        for source, key, revision, poll, title in rows:
            before, now = self.seen.get((source, key)), (revision, poll, told(title))
            assert not before or all(n >= b for n, b in zip(now, before)), f"{key} of {source} turned back: {before} to {now}"
            self.seen[(source, key)] = now
        assert len(rows) >= len(self.seen), "rows are gone"


class Faults:
    """Each fault is a generator: what it does, a yield while it lasts, then how it ends."""

    def __init__(self, rtm, rng):
        self.rtm, self.rng = rtm, rng
        self.counts = collections.Counter()

    def program(self, kind=None):
        kind = kind or self.rng.choice(["sink", "sink", "miner", "miner", "broker"])
        return kind, self.rng.choice({"sink": self.rtm.sinks, "miner": self.rtm.miners, "broker": [self.rtm.broker]}[kind])

    def kill(self):
        kind, program = self.program()
        yield f"kill {kind}"
        program.kill()
        yield
        self.start(program)

    def fail_point(self):
        kind, program = self.program()
        point, nth = self.rng.choice(FAILPOINTS[kind]), self.rng.randint(1, POINTS_AT)
        yield f"{point}"
        program.kill()
        outage = self.postgres() if point == "sink_after_spool" else iter(())  # only then it spools
        next(outage, None), next(outage, None)
        self.start(program, f"{point}:{nth}")
        yield
        next(outage, None)
        if not program.running:
            program._reap()
            self.counts[f"{point} reached"] += 1
            self.start(program)

    def start(self, program, failpoint=None):
        """A fail point may end it before it says where it listens."""
        if program.running:
            return
        try:
            program.start(failpoint)
        except AssertionError:
            if failpoint is None or program.running:
                raise
            self.start(program)

    def freeze(self):
        kind, program = self.program()
        yield f"stop {kind}"
        pid = program.pid if program.running else None
        if pid:
            program.freeze()
        yield
        if pid and program.process and program.pid == pid:
            program.thaw()

    def freeze_backends(self):
        yield "stop backends"
        try:
            pids = [p for p, in self.rtm.sql("select pid from pg_stat_activity where application_name like 'rtm-sink%%'")]
        except AWAY:
            pids = []
        stopped = []
        for pid in pids:
            try:
                self.rtm.postgres.freeze(pid)
                stopped.append(pid)
            except ProcessLookupError:
                pass
        yield
        for pid in stopped:
            try:
                self.rtm.postgres.thaw(pid)
            except ProcessLookupError:
                pass

    def postgres(self):
        immediate = self.rng.random() < 0.6
        yield "pg_ctl stop -m immediate" if immediate else "kill Postgres"
        if self.rtm.postgres.process:
            self.rtm.postgres.stop("immediate") if immediate else self.rtm.postgres.kill()
        yield
        if not self.rtm.postgres.process:
            self.rtm.postgres.start()

    def cut_sessions(self):
        yield "cut sessions"
        try:
            self.rtm.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'rtm-sink%%'")
        except AWAY:
            pass
        yield

    def cut_connections(self):
        yield "cut connections"
        self.rng.choice(self.rtm.relays).cut()
        yield

    def disk_full(self):
        ballast = os.path.join(self.rng.choice(self.rtm.disks), "ballast")
        yield "disk full"
        try:
            with open(ballast, "wb") as f:
                for _ in range(1 << 12):
                    f.write(b"x" * 4096)
                    f.flush()
        except OSError:
            pass
        yield
        if os.path.exists(ballast):
            os.unlink(ballast)

    def some(self, number):
        """Of round `number`: one to three. The first are of each kind in turn, so ten rounds have them all."""
        makers = [self.kill, self.kill, self.fail_point, self.freeze, self.freeze, self.postgres, self.cut_sessions,
                  self.cut_connections, self.freeze_backends, self.disk_full]
        more = [self.rng.choice(makers) for _ in range(self.rng.choice([0, 0, 1, 2]))]
        return [make() for make in [makers[number % len(makers)], *more]]


def a_while(rtm, posts):
    """The site's posts are the clock."""
    target = len(rtm.site.truth()) + posts
    wait_until(lambda: len(rtm.site.truth()) >= target, 60, f"{posts} posts", every=0.02)


def play(rtm, rng, faults, number):
    """One round: its faults begin one after another, and end one after another."""
    running = []
    for fault in faults.some(number):
        faults.counts[next(fault)] += 1
        next(fault, None)
        running.append(fault)
        a_while(rtm, rng.randint(0, 10))
    a_while(rtm, rng.choice([0, 5, 20, 40, 150]) if rng.random() < 0.9 else FROZEN * 25)
    rng.shuffle(running)
    for fault in running:
        next(fault, None)
    a_while(rtm, rng.randint(0, 20))


def reasons(rtm):
    """What is wrong, and what the broker knows of the sources where it is."""
    wrong = differences(rtm)
    told = "\n".join(wrong + [rtm.ctl(*words).stdout for words in (["dlq", "list"], ["errors"], ["miners"])])
    for source, hexid in rtm.sql("select url, hex from sources"):
        if any(source in line for line in wrong[:5]):
            told += rtm.ctl("explain", hexid).stdout + rtm.ctl("history", hexid, "--limit", "20").stdout
    for source, key in [key for key in rtm.site.latest() if any(str(key) in line for line in wrong[:5])]:
        told += "".join(f"posted: {line}\n" for line in rtm.site.truth() if (line["url"], line["key"]) == (source, key))
        for table in ("items", "revisions"):  # of each version: its poll, when it was fetched, when it was written
            told += f"{table}: " + str(rtm.sql(f"select row_to_json(i) from {table} i join sources s using (source_id)"
                                               " where s.url = %s and i.key = %s", (source, key))) + "\n"
    return told


def wait_settled(rtm, faults):
    try:
        wait_until(lambda: settled(rtm), 180, "rows equal the ground truth", every=0.5, ignore=AWAY)
    except AssertionError:
        raise AssertionError(f"rows differ after {dict(faults.counts)}\n{reasons(rtm)}") from None


def let_out(rtm):
    """Whoever was polled alone at three deaths of miners is quarantined for good, innocent as it is here: an operator lets
    it out, and nothing of it is lost."""
    out = [s["source"] for s in rtm.ctl_json("sources") if s["state"] == "quarantined"]
    for source in out:
        rtm.ctl("enable", source, check=True)
    return len(out)


def test_rounds_of_faults(rtm):
    rng, watch = random.Random(SEED), Watch(rtm)
    faults = Faults(rtm, rng)
    for number in range(ROUNDS):
        play(rtm, rng, faults, number)
        watch.look()
        if number % 50 == 49:
            print(f"{number + 1} rounds, {len(watch.seen)} rows", flush=True)
    for program in rtm.programs:
        faults.start(program)
    rtm.site.stop_posting()
    wait_until(lambda: len(rtm.ctl_json("miners")) >= len(rtm.miners), 60, "all miners")
    faults.counts["let out of quarantine"] = let_out(rtm)
    wait_settled(rtm, faults)
    for sink in rtm.sinks:  # what was late in a spool turns nothing back
        wait_until(lambda: not [f for f in os.listdir(sink.options["spool"]) if f.endswith(".spool")], 60, "empty spools")
    watch.look()
    wrong = differences(rtm)
    assert not wrong, "\n".join(wrong)
    assert rtm.sql("select count(*) from rejects") == [(0,)]
    for sink in rtm.sinks:
        assert "damaged" not in sink.log_text(all_runs=True)
        assert "database_restored" not in sink.log_text(all_runs=True)
    posts = len(rtm.site.truth())
    print(f"seed {SEED}: {ROUNDS} rounds, {sum(faults.counts.values())} faults {dict(faults.counts)}; {posts} posts and updates,"
          f" {len(watch.seen)} rows, all equal")
