"""Starts, stops and asks bench-site, the simulated web (see bench/site/README.md).

    with Site(sources=20, hosts=4, rate=10, pad=True) as site:
        site.url(3)                 # the list of source 3
        site.set(latency_ms=20)     # of all hosts; host=2: of one
        line = site.post(3)         # one post now; its ground truth
        site.stop_posting()
        site.truth()                # every post and update so far

Options are those of the program, with _ for -; True stands for a flag, a list for its comma-separated words.
It cannot be called site.py: Python has a module of that name.
"""
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
READY_SECONDS = 60
STOP_SECONDS = 20


def build_dir():
    return os.environ.get("RTM_BUILD") or os.path.join(ROOT, "build")


def sanitized():
    """Whether the programs are built with AddressSanitizer: slow, and it keeps what was freed."""
    with open(os.path.join(build_dir(), "rtm-sink"), "rb") as file:
        return b"__asan_init" in file.read()


class Site:
    def __init__(self, **options):
        self.options = options
        self.process = None
        self.folder = None
        self.port = None
        self._sources = None
        self._http = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        status = self.stop()
        if kind is None and status not in (None, 0):
            raise RuntimeError(f"bench-site ended with {status}")

    def start(self, **options):
        """Starts the program and waits until it listens. The ground truth goes to a folder of its own."""
        self.options.update(options)
        self.folder = tempfile.mkdtemp(prefix="rtm-site-")
        self.options.setdefault("truth", os.path.join(self.folder, "truth"))
        command = [os.path.join(build_dir(), "bench-site")]
        for name, value in self.options.items():
            if value is None or value is False:
                continue
            command.append("--" + name.replace("_", "-"))
            if value is not True:
                command.append(",".join(value) if isinstance(value, (list, tuple)) else str(value))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            self.port = self._read_port()
        except BaseException:
            self.stop()
            raise
        return self

    def _read_port(self):
        line, end = b"", time.monotonic() + READY_SECONDS
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            part = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not part:
                raise RuntimeError(f"bench-site did not get ready: {line!r}, exit {self.process.poll()}")
            line += part
        return int(dict(word.split(b"=") for word in line.split() if b"=" in word)[b"port"])

    def stop(self):
        """Ends the program; returns its exit status. What truth() knew stays known."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        self._last_truth = self.truth()
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)
        return status

    # -- asking ----------------------------------------------------------------------------------

    def _call(self, path, post=False, **query):
        words = "&".join(f"{name}={value}" for name, value in query.items() if value is not None)
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/_site/{path}?{words}",
                                         data=b"" if post else None)
        with self._http.open(request, timeout=30) as answer:
            return json.load(answer)

    def sources(self):
        """[{"source", "host", "kind", "url"}] of all sources, in order."""
        while self._sources is None or len(self._sources) < int(self.options.get("sources", 100)):
            self._sources = self._sources or []
            self._sources += self._call("sources", **{"from": len(self._sources)})
        return self._sources

    def url(self, source):
        return self.sources()[source]["url"]

    def base(self, host):
        """The URL of a host, without a path, for /_bad/ and /robots.txt."""
        return next(s["url"] for s in self.sources() if s["host"] == host).split("/s/")[0]

    def truth(self):
        """Every line of ground truth so far, in the order of time."""
        if self.process is None:
            return self._last_truth
        if not os.path.exists(self.options["truth"]):
            return []
        with open(self.options["truth"], encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def latest(self):
        """{(source's URL, key): the last line of truth about it}."""
        return {(line["url"], line["key"]): line for line in self.truth()}

    def status(self, host=None):
        return self._call("status", host=host)

    # -- changing --------------------------------------------------------------------------------

    def stop_posting(self):
        return self._call("stop", post=True)

    def start_posting(self):
        return self._call("start", post=True)

    def clear(self):
        """Sets the counts of requests, concurrency and gaps back."""
        return self._call("clear", post=True)

    def set(self, host=None, **manner):
        """latency_ms, jitter_ms, error_rate, reset_rate, of one host or of all."""
        return self._call("set", post=True, host=host, **manner)

    def post(self, source):
        """Makes one post now; returns its line of truth."""
        return self._call("post", post=True, source=source)
