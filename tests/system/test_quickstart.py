"""scripts/quickstart as a newcomer runs it, on the simulated web, with its data in a temporary folder."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from cluster import ROOT, wait_until

QUICKSTART = os.path.join(ROOT, "scripts", "quickstart")


def of_folder(folder):
    """Command lines of all processes that know of this folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file, open(f"/proc/{pid}/environ", "rb") as environment:
                text = file.read() + environment.read()
        except OSError:
            continue
        if str(folder).encode() in text and int(pid) != os.getpid():
            found.append(text[:200])
    return found


def rows_of(output):
    return [line for line in output.splitlines() if re.match(r"\d\d:\d\d:\d\d  ", line)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    os.chmod(folder, 0o755)
    yield folder
    if os.path.islink(folder / "postgres"):  # where Postgres may not enter the folder, its data is elsewhere
        shutil.rmtree(os.readlink(folder / "postgres"), ignore_errors=True)


@pytest.fixture
def start(folder):
    started = []

    def start(*options):
        # a session of its own stands for a terminal: Ctrl-C reaches the whole foreground group, and is heard also where
        # the tests run in the background of a script
        process = subprocess.Popen([QUICKSTART, "--local", "--dir", str(folder), *options], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        started.append(process)
        return process
    yield start
    for process in started:  # where a test failed: the next one is to find the folder free
        if process.poll() is None:
            process.stdout.close()
            process.terminate()
            process.wait(timeout=120)


def test_from_nothing_to_rows_and_again(folder, start):
    for _ in range(2):
        process = start("--rows", "5")
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        assert len(rows_of(output)) == 5 and "5 rows" in output, output
        assert "simulated web" in output and "Stopping" in output
        assert not of_folder(folder), of_folder(folder)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_cleanly(folder, start, how):
    process = start()
    output = ""
    while "New rows" not in output:
        line = process.stdout.readline()
        assert line, output
        output += line
    second = start()
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 1 and "another quickstart runs" in said
    if how == signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output + rest
    assert "stopped" in rest and "killing" not in rest, rest
    wait_until(lambda: not of_folder(folder), what="all processes gone")


@pytest.mark.parametrize("last", ["Postgres", "New rows"])
def test_a_reader_that_leaves_stops_everything(folder, start, last):
    """As `scripts/quickstart | head` does."""
    process = start()
    output = ""
    while last not in output:
        line = process.stdout.readline()
        assert line, output
        output += line
    process.stdout.close()
    process.wait(timeout=120)
    wait_until(lambda: not of_folder(folder), what="all processes gone")


def test_wrong_options_are_told(start):
    for options in (["--nonsense"], ["--rows"], ["--rows", "many"]):
        process = start(*options)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 2 and "quickstart:" in output
