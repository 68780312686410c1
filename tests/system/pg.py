"""A private Postgres cluster for tests and benchmarks, in a temporary folder, on a free port of 127.0.0.1.

    with Cluster() as pg:
        pg.create("mydb")            # an empty database; its conninfo
        pg.rows("mydb", "SELECT 1")
        pg.stop("immediate"); pg.start()
        pg.kill()                    # kill -9 of the whole server

Durability is on (fsync, synchronous_commit), because what the tests prove rests on it. Postgres refuses to run as
root, so root's cluster belongs to the user `postgres` (or `nobody`).
"""
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "on",
    "full_page_writes": "on",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
    "max_connections": "50",
    "log_min_messages": "warning",
    "logging_collector": "off",
    "autovacuum_naptime": "10s",
}
WAIT_SECONDS = 60


def bin_dir():
    """The folder with initdb and postgres; the newest where there are several."""
    found = shutil.which("initdb")
    if found and os.path.exists(os.path.join(os.path.dirname(os.path.realpath(found)), "postgres")):
        return os.path.dirname(os.path.realpath(found))
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    folders = [f for f in folders if os.path.exists(os.path.join(f, "postgres"))]
    if not folders:
        raise RuntimeError("no Postgres server is installed")
    return max(folders, key=lambda f: int(re.search(r"/(\d+)/bin$", f).group(1)))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _unprivileged():
    """Keywords for subprocess that give up root; none for others."""
    if os.getuid() != 0:
        return {}, None
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}, user
    raise RuntimeError("there is no unprivileged user to run Postgres as")


def _state(pid):
    """Of a process, a letter as ps shows it; X: there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _wait_states(pids, states):
    deadline = time.monotonic() + WAIT_SECONDS
    while any(_state(pid) not in states for pid in pids):
        assert time.monotonic() < deadline, f"not {states}: processes {pids}"
        time.sleep(0.005)


class Cluster:
    def __init__(self, **settings):
        self.settings = {**SETTINGS, **settings}
        self.folder = None
        self.port = free_port()
        self.process = None
        self._as, self._user = _unprivileged()
        self._databases = 0
        self._primary = None

    @classmethod
    def standby(cls, primary):
        """A cluster that follows another one."""
        cluster = cls(**primary.settings)
        cluster._primary = primary
        return cluster

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="rtm-pg-")
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        if self._primary:
            self._run("pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-h", "127.0.0.1", "-p",
                      str(self._primary.port), "-U", "postgres")
        else:
            self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        return self.start()

    def __exit__(self, *_):
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def data(self):
        return os.path.join(self.folder, "data")

    def _run(self, program, *args):
        subprocess.run([os.path.join(bin_dir(), program), *args], check=True, cwd="/",
                       stdout=subprocess.DEVNULL, **self._as)

    def start(self, wait=True):
        command = [os.path.join(bin_dir(), "postgres"), "-D", self.data, "-p", str(self.port), "-k", self.folder]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(command, cwd="/", stdout=self.log, stderr=self.log, **self._as)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return psycopg2.connect(self.conninfo("postgres")).close()
            except psycopg2.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def stop(self, mode="fast"):
        """mode as of pg_ctl: smart, fast, immediate."""
        if not self.process:
            return
        how = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        if self.process.poll() is None:
            self.process.send_signal(how)
        self._reap()

    def kill(self):
        """kill -9 of the server and, since it cannot tell them, of its children; returns when they are gone, as a server
        does not start beside children of the last one."""
        self.freeze()
        _wait_states([self.process.pid], "TZX")  # it has no further child
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True,
                                  text=True).stdout.split()
        for pid in [self.process.pid, *map(int, children)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._reap()
        _wait_states(children, "ZX")

    def freeze(self, pid=None):
        os.kill(pid or self.process.pid, signal.SIGSTOP)

    def thaw(self, pid=None):
        os.kill(pid or self.process.pid, signal.SIGCONT)

    def _reap(self):
        try:
            self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.log.close()

    def conninfo(self, database):
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"

    def create(self, name=None):
        """An empty database; its conninfo."""
        self._databases += 1
        name = name or f"test{self._databases}"
        self.execute("postgres", f'CREATE DATABASE "{name}"')
        return self.conninfo(name)

    def connect(self, database):
        """database: a name, or a conninfo that create returned."""
        connection = psycopg2.connect(database if "=" in database else self.conninfo(database))
        connection.autocommit = True
        return connection

    def execute(self, database, sql, *params):
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, params or None)
        finally:
            connection.close()

    def rows(self, database, sql, *params):
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, params or None)
                return cursor.fetchall()
        finally:
            connection.close()

    def value(self, database, sql, *params):
        return self.rows(database, sql, *params)[0][0]
