# SPDX-License-Identifier: MIT
"""Several virtgates behind one nginx, each under a supervisor, and limits of a running process."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from faults import DEADLINES, LONG_DEADLINE, READ_DEADLINE
from gateway import BINARY, PATIENCE, REPO, Gateway, wait_until


@contextlib.contextmanager
def limited(pid, *limits):
    """Limits of a process, as (which, value), for the length of a block."""
    before = [(which, resource.prlimit(pid, which)) for which, _ in limits]
    for which, value in limits:
        resource.prlimit(pid, which, (value, resource.prlimit(pid, which)[1]))
    try:
        yield
    finally:
        for which, old in before:
            with contextlib.suppress(ProcessLookupError):  # the process has died
                resource.prlimit(pid, which, old)


class Backend:
    """A virtgate under a supervisor that holds its socket and starts it again at once, as systemd
    does with Restart=always and RestartSec=0."""

    def __init__(self, gateway, path):
        self.gateway, self.path = gateway, str(path)
        self.log_file = gateway.dir / f"{Path(path).stem}.log"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(511)
        self.process = None
        self.ends = []  # (when, exit status) of those before
        self.serving = []  # when each began to serve
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.supervise)

    def spawn(self):
        # LISTEN_PID must be the process's own id, which only the process itself knows before it
        # runs.
        script = 'exec 3<&"$1"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$2"'
        with open(self.log_file, "a") as log:
            return subprocess.Popen(
                ["bash", "-c", script, "bash", str(self.socket.fileno()), str(BINARY.resolve())],
                env={**self.gateway.environment(), "VIRTGATE_LISTEN": self.path}, cwd=REPO,
                pass_fds=[self.socket.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self):
        self.process = self.spawn()
        self.thread.start()
        wait_until(self.serves, "it serves")
        return self

    def serves(self):
        return self.log().count(" serves ") > len(self.ends)

    def supervise(self):
        while True:
            self.process.wait()
            self.ends.append((time.monotonic(), self.process.returncode))
            if self.stopping.is_set():
                return
            self.process = self.spawn()

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        """Sends a signal; if the signal ends the process, returns when its successor serves."""
        count = len(self.ends)
        os.kill(self.pid, number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            wait_until(lambda: len(self.ends) > count and self.serves(), "its successor serves", 40)

    def stop(self):
        """Ends it; returns its exit status."""
        self.stopping.set()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)
        self.thread.join(40 * PATIENCE)
        if self.thread.is_alive():
            self.process.kill()
            self.thread.join()
        self.socket.close()
        Path(self.path).unlink()
        return self.ends[-1][1]


class Site(Gateway):
    """nginx before several virtgates, each with a supervisor."""

    def __init__(self, count=2, **settings):
        super().__init__(activated=True, **{**DEADLINES, **settings})
        self.backends = [Backend(self, self.dir / f"{'abcdef'[i]}.sock") for i in range(count)]
        (self.dir / "virtgate/backends.conf").write_text(
            "".join(f"server unix:{b.path} max_fails=0;\n" for b in self.backends))
        # nginx's timeouts matter when a whole virtgate hangs: virtgate answers earlier otherwise.
        self.set_nginx_patience(READ_DEADLINE + 1, LONG_DEADLINE + 1)

    def start_virtgate(self):
        for backend in self.backends:
            backend.start()
        self.virtgate = self.backends[0].process

    def wait_ready(self, path="/readyz"):
        self.virtgate = self.backends[0].process
        super().wait_ready(path)

    def processes(self):
        self.virtgate = None
        return [*super().processes(), *(b.pid for b in self.backends if b.process)]

    def log(self):
        return "".join(backend.log() for backend in self.backends)

    def stop_virtgate(self):
        statuses = [backend.stop() for backend in self.backends if backend.process]
        self.check_log()
        assert not any(statuses), f"virtgate ended with {statuses}:\n{self.log()[-3000:]}"
