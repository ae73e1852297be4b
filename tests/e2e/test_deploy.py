# SPDX-License-Identifier: MIT
"""The units and settings in deploy/ agree with the program and with nginx-conf/."""

import contextlib
import os
import re
import shutil
import subprocess

import pytest
from backends import Site
from gateway import BINARY, PATIENCE, REPO

EX_CONFIG = 78
OPTIONAL = "libvirt-daemon-driver-network"
SAMPLE = REPO / "deploy/virtgate.conf"
HELP_ROW = re.compile(
    r"^  --[a-z-]+ +(?P<name>VIRTGATE_\w+)(?: \((?P<values>.*?)\))?(?: \[(?P<preset>.*)\])?\n"
    r"(?P<help>(?: {21}.*\n)+)", re.M)


def run(*arguments, **environment):
    usual = {k: v for k, v in os.environ.items() if not k.startswith("VIRTGATE_")}
    return subprocess.run([BINARY.resolve(), *arguments], env={**usual, **environment},
                          capture_output=True, text=True, timeout=60 * PATIENCE)


@pytest.fixture(scope="module")
def rows():
    """The settings, as --help has them."""
    rows = [m.groupdict() for m in HELP_ROW.finditer(run("--help").stdout)]
    assert len(rows) == len(re.findall("VIRTGATE_", run("--help").stdout)) > 10
    return rows


def unit(name):
    """The settings of a unit, NAME -> VALUE; those used here occur once."""
    lines = (REPO / "deploy" / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def as_sample(row):
    words = [line.strip() for line in row["help"].splitlines()]
    if row["values"]:
        words[-1] += f" ({row['values']})"
    return "".join(f"# {line}\n" for line in words) + f"#{row['name']}={row['preset'] or ''}\n"


def test_the_sample_file_has_each_setting_with_its_default(rows):
    head, _, body = SAMPLE.read_text().partition("\n\n")
    assert all(line.startswith("#") for line in head.splitlines())
    assert body == "\n".join(map(as_sample, rows))


def test_the_defaults_in_the_sample_file_are_valid(rows, tmp_path):
    """All but those that name directories, which need not exist on this machine."""
    settings = dict(re.findall(r"^#(VIRTGATE_\w+)=(.*)$", SAMPLE.read_text(), re.M))
    assert list(settings) == [row["name"] for row in rows]
    here = {"VIRTGATE_URI": "test:///default", "VIRTGATE_TEMPLATES": str(REPO / "xml"),
            "VIRTGATE_LISTEN": str(tmp_path / "a.sock")}
    checked = run("--check", **{**settings, **here})
    assert checked.returncode == 0 and "settings are valid" in checked.stdout, checked


def test_systemd_does_not_restart_after_bad_settings():
    ended = run(VIRTGATE_WORKERS="many")
    assert ended.returncode == EX_CONFIG, ended
    service = unit("virtgate@.service")
    assert service["RestartPreventExitStatus"] == str(EX_CONFIG)
    assert service["Restart"] == "always" and service["StartLimitIntervalSec"] == "0"


def test_systemd_waits_longer_than_virtgate_drains(rows):
    [drain] = [int(row["preset"]) for row in rows if row["name"] == "VIRTGATE_DRAIN"]
    assert int(unit("virtgate@.service")["TimeoutStopSec"].removesuffix("s")) > drain + 10


def test_nginx_connects_where_the_units_listen(rows):
    backends = (REPO / "nginx-conf/backends.conf").read_text()
    stream = unit("virtgate@.socket")["ListenStream"]
    for instance in "ab":
        assert f"server unix:{stream.replace('%i', instance)} max_fails=0;" in backends
    assert unit("virtgate@.service")["Environment"] == f"VIRTGATE_LISTEN={stream}"


def test_two_instances_share_one_lock():
    site = Site(uri="test:///default")
    try:
        site.start()
        locks = []
        for backend in site.backends:
            directory = f"/proc/{backend.pid}/fd"
            held = set()
            for fd in os.listdir(directory):
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    held.add(os.readlink(f"{directory}/{fd}"))
            locks.append([path for path in held if path.endswith(".lock")])
        assert locks == [[str(site.dir / "virtgate.lock")]] * 2
    finally:
        site.stop()


# deploy/deps, with an apt that has some packages, as an ordinary user without sudo


def names_to_install(tmp_path, lists):
    """What deploy/deps asks for where nothing is installed, and apt has the packages of its lists."""
    tools = {"apt-get": "exit 9", "dpkg-query": "", "id": "echo 1000",
             "apt-cache": f"cd {lists} && cat -- \"$@\" 2>/dev/null"}
    for name, script in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    for name in "bash cat cut sed sh tr xargs".split():
        (tmp_path / name).symlink_to(shutil.which(name))
    deps = tmp_path / "deps"
    deps.write_text((REPO / "deploy/deps").read_text().replace("|/usr/lib/", f"|{tmp_path}/none/"))
    run = subprocess.run(["bash", deps, "check"], env={"PATH": str(tmp_path)},
                         capture_output=True, text=True)
    assert run.returncode == 1, run
    announced = re.findall(r"^  (\S+) ", run.stdout, re.M)
    assert announced == run.stderr.partition("apt-get install ")[2].split(), run
    return announced


@pytest.mark.parametrize("lacks", [[], [OPTIONAL], [OPTIONAL, "gcc"]])
def test_a_package_that_apt_lacks_is_not_asked_for_where_another_has_its_file(tmp_path, lacks):
    rows = re.findall(r"^([\w.+-]+)(\|/\S*|(?:\|[\w.+-]+)*) +- ", (REPO / "deploy/deps").read_text(), re.M)
    assert [name for name, others in rows if others.startswith("|/")] == [OPTIONAL]
    (tmp_path / "lists").mkdir()
    for name, _ in rows:
        if name not in lacks:
            (tmp_path / "lists" / name).write_text(f"Package: {name}\n")
    (tmp_path / "bin").mkdir()
    names = names_to_install(tmp_path / "bin", tmp_path / "lists")
    # Without all others, apt's lists are old, and nothing is known.
    assert (OPTIONAL in names) == (lacks != [OPTIONAL])
    assert "gcc" in names
