# SPDX-License-Identifier: MIT
"""`make run` without make: deploy/quickstart starts, prints what works, and stops."""

import re
import shlex
import signal
import subprocess

import pytest
from gateway import BINARY, PATIENCE, REPO, free_port, wait_until


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """(the running process, its directory, what it has printed)"""
    directory = tmp_path_factory.mktemp("quickstart")
    run = directory / "run"
    output = directory / "output"
    with output.open("wb") as out:
        process = subprocess.Popen(
            ["env", f"PORT={free_port()}", f"RUN_DIR={run}", f"BUILD={BINARY.resolve().parent}",
             REPO / "deploy/quickstart"], stdout=out, stderr=subprocess.STDOUT,
            # A shell ignores SIGINT in what it starts in the background, such as these tests.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        wait_until(lambda: process.poll() is not None or "Ctrl-C stops it" in output.read_text(),
                   "quickstart is ready", 30)
        assert process.poll() is None, output.read_text()
        yield process, run, output.read_text()
    finally:
        process.terminate()
        process.wait(60 * PATIENCE)


def curl(*arguments):
    done = subprocess.run(["curl", "-q", *arguments], capture_output=True, text=True,
                          timeout=30 * PATIENCE, check=True)
    return done.stdout


def test_the_printed_commands_work(quickstart):
    commands = re.findall(r"^    curl (.*)$", quickstart[2], re.M)
    assert len(commands) == 3
    listed, created, suspended = [curl(*shlex.split(command)) for command in commands]
    assert '"name":"test"' in listed
    assert '"state":"running"' in created and '"state":"paused"' in suspended


def test_a_wrong_password_is_refused(quickstart):
    _, run, printed = quickstart
    url = re.search(r"virtgate is at (\S+)", printed)[1]
    status = curl("-s", "--cacert", run / "nginx/virtgate/cert.pem", "--noproxy", "*",
                  "-u", "admin:wrong", "-o", "/dev/null", "-w", "%{http_code}", url)
    assert status == "401"


def test_wrong_passwords_are_limited_and_right_ones_are_not(quickstart):
    _, run, printed = quickstart
    url = re.search(r"virtgate is at (\S+)", printed)[1]
    ask = ["-s", "--cacert", run / "nginx/virtgate/cert.pem", "--noproxy", "*",
           "-w", "%{http_code}\n", *["-o", "/dev/null", url] * 40]
    assert set(curl("-u", "admin:wrong", *ask).split()) == {"401", "429"}
    password = (run / "password").read_text().strip()
    assert set(curl("-u", f"admin:{password}", *ask).split()) == {"200"}


def test_it_answers_for_the_names_of_this_machine_only(quickstart):
    _, run, printed = quickstart
    port = re.search(r"virtgate is at \S+:(\d+)", printed)[1]
    ipv6 = "::1" in (run / "nginx/virtgate/listen.conf").read_text()
    for host in ["localhost", "127.0.0.1"] + ["[::1]"] * ipv6 + ["evil.example"]:
        status = curl("-K", run / "curl.conf", "-o", "/dev/null", "-w", "%{http_code}", "-k",
                      "--resolve", f"evil.example:{port}:127.0.0.1", f"https://{host}:{port}/v1")
        assert status.strip() == ("421" if host == "evil.example" else "200"), host


def test_the_random_password_has_a_hash_that_costs_nothing(quickstart):
    """{SSHA} is one SHA-1; apr1 would be a thousand MD5s for every request."""
    assert (quickstart[1] / "nginx/virtgate/htpasswd").read_text().startswith("admin:{SSHA}")


def test_ctrl_c_stops_everything(quickstart):
    process, run, _ = quickstart
    process.send_signal(signal.SIGINT)
    assert process.wait(60 * PATIENCE) == 0
    assert not (run / "virtgate.sock").exists() and not (run / "nginx/nginx.pid").exists()
