"""The documents hold what they say: README's commands run, its queries too, and every option, command, file and
make target that a document names exists."""
import glob
import os
import re
import shlex
import subprocess

import pytest

from cluster import ROOT, Cluster, build_dir

PROGRAMS = ("rtm-broker", "rtm-miner", "rtm-sink", "rtm-ctl")
DOCUMENTS = sorted(os.path.relpath(path, ROOT) for path in
                   glob.glob(os.path.join(ROOT, "*.md")) + glob.glob(os.path.join(ROOT, "proto", "*.md")))
BLOCK = re.compile(r"(?:<!-- test: (?P<mark>[^>]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)```", re.S)


def text_of(document):
    with open(os.path.join(ROOT, document), encoding="utf-8") as file:
        return file.read()


def blocks(mark):
    """The texts of README's blocks under `<!-- test: MARK -->`; a mark must not have gone."""
    found = [m["text"] for m in BLOCK.finditer(text_of("README.md")) if (m["mark"] or "").split(" ")[0] == mark]
    assert found, f"README has no block marked {mark}"
    return found


def help_of(*command):
    path = os.path.join(build_dir(), command[0])
    return subprocess.run([path, *command[1:], "--help"], capture_output=True, text=True, timeout=30, check=True).stdout


def ctl_commands():
    listed = help_of("rtm-ctl").split("Commands:")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.strip().splitlines()]


def all_options():
    texts = [help_of(program) for program in PROGRAMS]
    texts += [help_of("rtm-ctl", command) for command in ctl_commands() if command not in ("help", "version")]
    texts.append(help_of("bench-site"))
    texts += [text_of(os.path.join("scripts", name)) for name in ("deps", "quickstart", "check")]
    return set(re.findall(r"--[a-z][a-z-]+", "\n".join(texts)))


def planet(folder):
    marked = next(m for m in BLOCK.finditer(text_of("README.md")) if (m["mark"] or "").startswith("file "))
    path = folder / marked["mark"].split()[1]
    path.write_text(marked["text"])
    return path


# -- README's commands -----------------------------------------------------------------------------


def test_the_commands_about_templates(cluster, tmp_path):
    planet(tmp_path)
    with Cluster(miners=1, postgres=cluster) as c:
        env = dict(os.environ, RTM_BROKER=c.broker.endpoint)
        ran = 0
        for line in "".join(blocks("cluster")).splitlines():
            line = line.replace("build/", build_dir() + "/")
            done = subprocess.run(shlex.split(line), env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, f"{line}: {done.stderr}"
            ran += 1
        assert ran >= 8


def test_the_queries(cluster):
    with Cluster(miners=1, postgres=cluster, site=dict(sources=4, hosts=2, rate=4)) as c:
        c.add_site()
        c.wait_rows("select count(*) from items where not backfill and last_absent_at is not null")
        c.sql("update items set stored_at = stored_at + interval '1 hour' where last_absent_at is not null")  # late ones
        for query in blocks("sql"):
            assert c.sql(query), query
        for command in "".join(blocks("quickstart")).splitlines():
            if command.startswith("psql"):
                assert c.sql(shlex.split(command)[-1])
            else:
                c.ctl(*shlex.split(command)[1:], check=True)


def test_the_build_by_hand():
    for line in "".join(blocks("build")).splitlines():
        if line.startswith("build/"):
            assert subprocess.run(shlex.split(line.replace("build/", build_dir() + "/", 1)), capture_output=True,
                                  timeout=60).returncode == 0, line
        else:
            assert line == "make" or os.access(os.path.join(ROOT, line), os.X_OK), line


def test_docker_commands_name_what_is_there():
    services = re.findall(r"^  ([a-z]+):\n    image:", text_of("docker-compose.yml"), re.M)
    commands = [line for m in BLOCK.finditer(text_of("README.md")) for line in m["text"].splitlines()
                if line.startswith("docker compose")]
    assert len(commands) >= 4
    for command in commands:
        for service in re.findall(r"(?:exec|--follow|--scale) (\w+)", command):
            assert service in services, command


# -- what documents name ---------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    folder = os.path.dirname(os.path.join(ROOT, document))
    for target in re.findall(r"\]\(([^)#]+)\)", text_of(document)):
        if "://" not in target:
            assert os.path.exists(os.path.join(folder, target)), f"{document}: {target}"


def test_folders_and_make_targets_in_readme_exist():
    readme = text_of("README.md")
    for name in re.findall(r"`([a-z]+(?:/[a-z]+)?/)`", readme):
        assert os.path.isdir(os.path.join(ROOT, name)), name
    makefile = text_of("Makefile")
    for target in re.findall(r"`make ([a-z]+)`", readme):
        assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d != "CHANGELOG.md"])
def test_options_exist(document):
    known = all_options() | {"--build", "--detach", "--scale", "--follow"}  # and docker compose's own
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text_of(document)))
    assert named <= known, f"{document} names {sorted(named - known)}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document):
    commands = set(ctl_commands())
    named = set(re.findall(r"rtm-ctl ([a-z]+)\b(?! and| looks| to\b)", text_of(document)))
    named = {word for word in named if re.search(rf"[`/]rtm-ctl {word}", text_of(document))}
    assert named <= commands, f"{document} names {sorted(named - commands)}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_option_tells_its_variable_and_no_other_name(program):
    for option, variable in re.findall(r"^  --([a-z-]+).*\[(RTM_[A-Z_]+)\]$", help_of(program), re.M):
        assert variable == "RTM_" + option.upper().replace("-", "_")
