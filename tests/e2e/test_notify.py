# SPDX-License-Identifier: MIT
"""What virtgate reports to systemd (sd_notify(3))."""

import os
import socket
import subprocess

from gateway import BINARY, PATIENCE, REPO
from test_drain import get, read_answer


def test_systemd_learns_of_readiness_of_life_and_of_the_end(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, \
            open(tmp_path / "log", "w") as log:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20 * PATIENCE)
        virtgate = subprocess.Popen(
            [BINARY.resolve(), "--uri", "test:///default", "--listen", path, "--templates",
             REPO / "xml", "--read-deadline", "1"], stderr=log,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")})
        try:
            assert manager.recv(100) == b"READY=1"
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                connection.sendall(get("/v1/vms"))
                read_answer(connection)
            assert manager.recv(100) == b"WATCHDOG=1"
            assert manager.recv(100) == b"WATCHDOG=1"
        finally:
            virtgate.terminate()
            assert virtgate.wait(40 * PATIENCE) == 0
        said = manager.recv(100)
        while said == b"WATCHDOG=1":
            said = manager.recv(100)
        assert said == b"STOPPING=1"
