# SPDX-License-Identifier: MIT
"""virtgate --check finds what would fail a start, and says what to set."""

import ctypes
import os
import struct
import subprocess

import pytest
from gateway import BINARY, PATIENCE, REPO
from test_drain import await_start

EX_CONFIG = 78


def run(*arguments, before=None, **settings):
    usual = {k: v for k, v in os.environ.items() if not k.startswith("VIRTGATE_")}
    return subprocess.run([BINARY.resolve(), *arguments], env={**usual, **settings}, preexec_fn=before,
                          capture_output=True, text=True, timeout=30 * PATIENCE)


def forbid_openat2():
    """As systemd's RestrictSUIDSGID=yes does: a filter of system calls that says ENOSYS."""
    nr_openat2, ld_nr, jump_equal, give = 437, 0x20, 0x15, 0x06
    allow, fail = 0x7FFF0000, 0x00050000 | 38
    program = b"".join(struct.pack("HBBI", *row) for row in [
        (ld_nr, 0, 0, 0), (jump_equal, 0, 1, nr_openat2), (give, 0, 0, fail), (give, 0, 0, allow)])
    text = ctypes.create_string_buffer(program, len(program))
    prog = struct.pack("HxxxxxxP", 4, ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privs, set_seccomp, mode_filter = 38, 22, 2
    assert not libc.prctl(set_no_new_privs, 1, 0, 0, 0)
    assert not libc.prctl(set_seccomp, mode_filter, ctypes.c_char_p(prog), 0, 0)


@pytest.fixture
def settings(tmp_path):
    return {"VIRTGATE_URI": "test:///default", "VIRTGATE_TEMPLATES": str(REPO / "xml"),
            "VIRTGATE_LISTEN": str(tmp_path / "virtgate.sock")}


@pytest.mark.parametrize("name, value, said", [
    ("LISTEN", "8.8.8.8:7000", "it is not a loopback address"),
    ("LISTEN", "nowhere", "neither an absolute path nor host:port"),
    ("LISTEN", "127.0.0.1:http-of-nobody", "cannot listen on '127.0.0.1:http-of-nobody'"),
    ("LISTEN", "/nowhere/x.sock", "set VIRTGATE_LISTEN to a path in a directory that exists"),
    ("LISTEN", "/proc/x.sock", "'/proc/virtgate.lock' cannot be opened"),
    ("LISTEN", "/tmp/" + "x" * 110, "at most 107 bytes"),
    ("SOCKET_GROUP", "no such", "there is no group 'no such'"),
    ("TEMPLATES", "/nowhere", "set VIRTGATE_TEMPLATES to the directory of the templates"),
])
def test_a_start_and_a_check_refuse_the_same_settings(settings, name, value, said):
    settings[f"VIRTGATE_{name}"] = value
    checked, started = run("--check", **settings), run(**settings)
    assert checked.returncode == started.returncode == EX_CONFIG, (checked, started)
    assert said in checked.stderr and checked.stderr == started.stderr, (checked, started)


def test_a_check_names_everything_that_a_fresh_checkout_lacks(settings):
    checked = run("--check", VIRTGATE_URI=settings["VIRTGATE_URI"], VIRTGATE_TEMPLATES="/nowhere",
                  VIRTGATE_LISTEN="/nowhere/x.sock")
    assert checked.returncode == EX_CONFIG
    assert "VIRTGATE_TEMPLATES" in checked.stderr and "VIRTGATE_LISTEN" in checked.stderr, checked


def test_a_system_call_that_is_forbidden_fails_the_start(settings):
    """Otherwise every VM that names a file would be refused, as if its path were at fault."""
    for arguments in ["--check"], []:
        ended = run(*arguments, before=forbid_openat2, **settings)
        assert ended.returncode == EX_CONFIG, ended
        assert "openat2() fails: Function not implemented" in ended.stderr, ended


@pytest.mark.qemu
def test_a_check_names_directories_that_vms_cannot_use(settings):
    settings |= {"VIRTGATE_URI": "qemu:///system", "VIRTGATE_IMAGES": "/etc/passwd/images"}
    checked = run("--check", **settings)
    assert checked.returncode == EX_CONFIG, checked
    assert "images: cannot write to '/etc/passwd/images': Not a directory" in checked.stderr, checked
    checked = run("--check", **{**settings, "VIRTGATE_IMAGES": "/nowhere"})
    assert checked.returncode == 0 and "note: images: '/nowhere' does not exist" in checked.stderr, checked


def test_a_check_passes_while_a_virtgate_serves(settings):
    with subprocess.Popen([BINARY.resolve()], env={**os.environ, **settings}, text=True,
                          stderr=subprocess.PIPE) as serving:
        try:
            await_start(serving)
            checked = run("--check", **settings)
            assert checked.returncode == 0, checked
        finally:
            serving.terminate()
            serving.wait(20 * PATIENCE)
