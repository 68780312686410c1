"""A whole rtm cluster of real processes: broker, sink, miners, Postgres and, if wanted, a simulated web.

    with Cluster(miners=3, slot="2s", site=dict(sources=20, hosts=4, rate=5)) as c:
        c.add_site()                              # the site's templates
        c.add({"name": "x", "urls": [...], ...})  # a dict, or the path of a file or folder
        wait_until(lambda: c.sql("select count(*) from items")[0][0] > 100, what="100 items")
        c.miners[0].kill(); c.miners[0].start()   # SIGKILL, and again
        c.broker.term()                           # SIGTERM; returns the exit status
        c.sink.start(failpoint="name")            # RTM_FAILPOINT
        c.ctl("list", "--json").stdout            # CompletedProcess; c.ctl_json("miners") is parsed

Everything lives in one temporary folder; ports come from the kernel and stay the same over restarts. At the end
every process is stopped, and its log must hold no failed check and no report of a sanitizer. When the body
fails, or RTM_KEEP is set, the folder stays, and the end of each log is printed.
"""
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import psycopg2

from pg import Cluster as Postgres
from simsite import ROOT, Site, build_dir

LIBFAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
START_SECONDS = 30
STOP_SECONDS = 30
LOG_TAIL = 40  # lines of each log that are printed after a failure
BAD_LOG = re.compile(r"check failed|Sanitizer|runtime error:|Assertion .* failed")
_prctl = ctypes.CDLL(None).prctl


def wait_until(condition, timeout=30, what="condition", every=0.05, ignore=()):
    """The first true value of condition(). Exceptions in `ignore` count as not yet."""
    end = time.monotonic() + timeout
    while True:
        last = None
        try:
            last = condition()
            if last:
                return last
        except ignore as error:
            last = error
        if time.monotonic() >= end:
            raise AssertionError(f"after {timeout} s still not: {what} (last: {last!r})")
        time.sleep(every)


def preloaded(library, **env):
    """The environment of a program with this library before its own; a sanitizer's would insist on being the first."""
    return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", ""), **env}


def wrong_clock(**env):
    """That of a program with another wall clock, as FAKETIME... says (faketime(1)); time goes on as ever."""
    return preloaded(LIBFAKETIME, DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_FAKE_MONOTONIC="1", **env)


def _die_with_parent():
    _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nothing outlives a test run that was killed


class Program:
    """One process that can be started again and again; its log is one file over all its runs."""

    def __init__(self, cluster, name, program, options, listens=False):
        self.cluster, self.name = cluster, name
        self.path = os.path.join(build_dir(), program)
        self.options = dict(options)
        self.log_path = os.path.join(cluster.folder, name + ".log")
        self.listens = listens
        self.endpoint = None
        self.process = None
        self.exits = []  # exit statuses of all runs that ended, -9 for SIGKILL
        self._run_at = 0  # where the log of the present run begins

    def start(self, failpoint=None, wait=True, **options):
        """Options are added for this and later runs. wait: until it listens, if it does."""
        assert not self.running, f"{self.name} runs already"
        self._reap()
        self.options.update(options)
        command = [self.path]
        for option, value in self.options.items():
            if value is None or value is False:
                continue
            command.append("--" + option.replace("_", "-"))
            if value is not True:
                command.append(str(value))
        env = dict(os.environ, **self.cluster.env)
        env.pop("RTM_FAILPOINT", None)
        if failpoint:
            env["RTM_FAILPOINT"] = failpoint
        self._run_at = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                            cwd=self.cluster.folder, preexec_fn=_die_with_parent)
        if wait and self.listens:
            self.endpoint = self.wait_log(r" listening .*?endpoint=\"?(tcp://[^\s\"]+)").group(1)
            self.endpoint = re.sub(r"\[::ffff:([\d.]+)\]", r"\1", self.endpoint)
            self.options["listen"] = self.endpoint  # the same one next time
        return self

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def _reap(self):
        if self.process is not None:
            self.exits.append(self.process.wait(STOP_SECONDS))
            self.process = None
        return self.exits[-1] if self.exits else None

    def kill(self):
        """SIGKILL. Returns when the process is gone."""
        if self.running:
            self.process.kill()
        return self._reap()

    def term(self, timeout=STOP_SECONDS):
        """SIGTERM. Returns the exit status."""
        if self.running:
            self.process.terminate()
        return self.wait(timeout)

    def wait(self, timeout=STOP_SECONDS):
        """Waits for the process to end by itself; returns its exit status."""
        try:
            if self.process is not None:
                self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # its core, if any, says where it hangs
            self._reap()
            raise AssertionError(f"{self.name} did not end within {timeout} s") from None
        return self._reap()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def restart(self, failpoint=None):
        """kill and start."""
        self.kill()
        return self.start(failpoint)

    # -- log -------------------------------------------------------------------------------------

    def log_text(self, all_runs=False):
        """What it has logged since its latest start, or in all its runs."""
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            log.seek(0 if all_runs else self._run_at)
            return log.read()

    def log_lines(self, event, all_runs=False):
        """The lines of one event, each as a dict of its key=value pairs (text), with "event"."""
        found = []
        for line in self.log_text(all_runs).splitlines():
            words = line.split(" ", 2)
            rest = line.split()
            if len(words) == 3 and len(rest) > 2 and rest[2] == event:
                pairs = re.findall(r'(\w+)=("(?:[^"]*)"|\S*)', line)
                found.append({"event": event, **{k: v.strip('"') for k, v in pairs}})
        return found

    def wait_log(self, pattern, timeout=START_SECONDS):
        """Waits for a match of pattern in the log of this run; returns it."""
        def look():
            match = re.search(pattern, self.log_text())
            if not match and not self.running:
                raise AssertionError(f"{self.name} ended with {self.process.poll()}:\n{self.log_text()[-3000:]}")
            return match
        return wait_until(look, timeout, f"/{pattern}/ in the log of {self.name}")


class Cluster:
    def __init__(self, miners=1, slot="2s", site=None, postgres=None, env=None, broker=None, sink=None, miner=None,
                 start=True, sinks=1):
        """site: options of bench-site, or None. postgres: a running pg.Cluster to make a database in, else this
        one has its own. broker, sink, miner: further options of these programs."""
        self.folder = tempfile.mkdtemp(prefix="rtm-cluster-")
        self.env = dict(env or {})
        self.slot = slot
        self.n_miners = miners
        self.miner_options = dict(miner or {})
        self.autostart = start
        self.site = None
        if site is not None:
            self.site = Site(**{"write_templates": os.path.join(self.folder, "templates"), "every": slot, **site})
        self.own_postgres = postgres is None
        self.postgres = postgres or Postgres()
        self.conninfo = None
        self.broker = Program(self, "broker", "rtm-broker",
                              {"listen": "tcp://127.0.0.1:0", "state": os.path.join(self.folder, "state"),
                               "slot": slot, **(broker or {})}, listens=True)
        self.sinks = [Program(self, f"sink-{n}" if n else "sink", "rtm-sink", {"listen": "tcp://127.0.0.1:0", **(sink or {})},
                              listens=True) for n in range(sinks)]
        self.sink = self.sinks[0]
        self.miners = []
        self._db = None

    def __enter__(self):
        try:
            if self.own_postgres:
                self.postgres.__enter__()
            self.conninfo = self.postgres.create()
            for sink in self.sinks:
                sink.options["postgres"] = self.conninfo
            if self.site:
                self.site.start()
            if self.autostart:
                self.broker.start()
                for sink in self.sinks:
                    sink.start()
                    sink.wait_log(r" postgres +state=up")  # the schema is there
                for _ in range(self.n_miners):
                    self.add_miner()
                for miner in self.miners:
                    miner.wait_log(r" started +miner=")  # from now on it takes signals
        except BaseException:
            self._stop(failed=True)
            raise
        return self

    def __exit__(self, kind, *_):
        self._stop(failed=kind is not None)

    def add_miner(self, name=None, start=True, **options):
        """One miner more; broker and sink must have been started once."""
        name = name or f"miner-{len(self.miners)}"
        miner = Program(self, name, "rtm-miner",
                        {"broker": self.broker.endpoint, "sink": ",".join(s.endpoint for s in self.sinks), "id": name,
                         "allow_private": True, **self.miner_options, **options})
        self.miners.append(miner)
        return miner.start() if start else miner

    @property
    def programs(self):
        return [*self.miners, *self.sinks, self.broker]

    # -- rtm-ctl ---------------------------------------------------------------------------------

    def ctl(self, *args, check=False, input=None, timeout=60):
        """Runs rtm-ctl; a CompletedProcess with texts. check: it must exit with 0."""
        command = [os.path.join(build_dir(), "rtm-ctl"), *map(str, args)]
        env = dict(os.environ, **self.env, RTM_BROKER=self.broker.endpoint or "")
        done = subprocess.run(command, env=env, input=input, capture_output=True, text=True, timeout=timeout)
        assert not BAD_LOG.search(done.stderr), done.stderr
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def ctl_json(self, *args):
        return json.loads(self.ctl(*args, "--json", check=True).stdout)

    def add(self, template, *options):
        """Adds a template: a dict, or the path of a file or folder. Returns the broker's answers."""
        if isinstance(template, dict):
            done = self.ctl("add", "--json", *options, "-", input=json.dumps(template), check=True)
        else:
            done = self.ctl("add", "--json", *options, template, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def add_site(self):
        """Adds the templates of the simulated web."""
        return self.add(self.site.options["write_templates"])

    # -- Postgres --------------------------------------------------------------------------------

    def sql(self, query, args=None):
        """The rows of a query, or [] for a statement without. Connects again when the connection is gone."""
        for attempt in (1, 2):
            try:
                if self._db is None or self._db.closed:
                    self._db = psycopg2.connect(self.conninfo, connect_timeout=10)
                    self._db.autocommit = True
                with self._db.cursor() as cursor:
                    cursor.execute(query, args)
                    return cursor.fetchall() if cursor.description else []
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self._db = None
                if attempt == 2:
                    raise
        return None

    def wait_rows(self, query, at_least=1, timeout=60):
        """Waits until a query that counts gives at least so many."""
        return wait_until(lambda: (lambda n: n if n >= at_least else 0)(self.sql(query)[0][0]), timeout,
                          f"{query} >= {at_least}", every=0.1,
                          ignore=(psycopg2.OperationalError, psycopg2.errors.UndefinedTable))

    # -- the end ---------------------------------------------------------------------------------

    def _stop(self, failed):
        problems = []
        for program in self.programs:
            try:
                if program.running:
                    program.thaw()
                    status = program.term()
                    if status != 0:
                        problems.append(f"{program.name} ended with {status}")
                program._reap()
            except (AssertionError, subprocess.TimeoutExpired) as error:
                problems.append(str(error))
        if self._db is not None:
            self._db.close()
        for helper in (self.site, self.postgres if self.own_postgres else None):
            try:
                if helper:
                    helper.__exit__(None, None, None)
            except Exception as error:  # the others must be stopped all the same
                problems.append(f"{type(helper).__name__}: {error}")
        for program in self.programs:
            bad = BAD_LOG.search(program.log_text(all_runs=True))
            if bad:
                start = max(0, bad.start() - 200)
                problems.append(f"{program.name}: " + program.log_text(all_runs=True)[start:bad.start() + 4000])
        self._tidy(keep=failed or problems)
        if problems and not failed:
            raise AssertionError("\n".join(problems))
        for problem in problems:
            print(problem, file=sys.stderr)

    def _tidy(self, keep):
        if not keep and not os.environ.get("RTM_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        print(f"the cluster's folder is kept: {self.folder}", file=sys.stderr)
        for program in self.programs:
            lines = program.log_text(all_runs=True).splitlines()
            print(f"---- {program.name}, last of {len(lines)} lines", *lines[-LOG_TAIL:], sep="\n", file=sys.stderr)
