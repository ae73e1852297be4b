# SPDX-License-Identifier: MIT
"""What the benchmarks of requests share: sites, load, and libvirt called directly.

They run in tests/e2e/namespace, whose libvirtd has the test driver, too, at DRIVER. A site is
virtgate, or what it is compared with, behind an nginx of its own that is configured as in
production, but for limits of the rate, and with a plain listener beside the TLS one.
"""

import base64
import collections
import hashlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

if "LIBVIRTD_PID_FILE" not in os.environ:
    namespace = str(HERE.parent / "e2e/namespace")
    os.execv(namespace, [namespace, sys.executable, *sys.argv])

from gateway import BINARY, Gateway, free_port, wait_until  # noqa: E402

TOOLS = BINARY.resolve().parent / "tests/bench"
DRIVER = "test+unix:///default"
ROUNDS = 5
CLIENTS = 64


class Site(Gateway):
    """program is a command; ready is a path that answers 200 once it serves."""

    def __init__(self, program=(BINARY.resolve(),), ready="/readyz", **how):
        self.program = [str(word) for word in program]
        self.ready = ready
        self.plain_port = free_port()
        # The last is nginx alone, with the answer of /healthz.
        super().__init__(more_listen=f"""\
listen 127.0.0.1:{self.plain_port};
location = /return-200 {{
	default_type application/json;
	return 200 '{{"alive":true}}';
}}
""", **how)

    def htpasswd(self):
        """Of a kind that takes no time: what is measured is not nginx's hash."""
        lines = []
        for user, password in self.passwords.items():
            salt = secrets.token_bytes(8)
            digest = hashlib.sha1(password.encode() + salt).digest()
            lines.append(f"{user}:{{SSHA}}{base64.b64encode(digest + salt).decode()}\n")
        return "".join(lines)

    def start_virtgate(self):
        with open(self.log_file, "a") as log:
            self.virtgate = subprocess.Popen(self.program, env=self.environment(),
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def authorization(self, user):
        pair = f"{user}:{self.passwords[user]}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    def get(self, path, headers=(), user="viewer", method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=60)
        connection.request(method, path, headers={**self.authorization(user), **dict(headers)})
        response = connection.getresponse()
        response.data = response.read()
        connection.close()
        return response

    def wait_ready(self):
        def ready():
            assert self.virtgate.poll() is None, self.log()
            try:
                return self.get(self.ready).status == 200
            except ConnectionError:
                return False
        wait_until(ready, f"{self.ready} answers 200", 60)

    def load(self, path, clients=CLIENTS, seconds=2, tls=False, headers=(), turns=(),
             user="viewer"):
        """Sends as many requests as are answered in that time; turns as report.lua has them."""
        base = f"https://127.0.0.1:{self.port}" if tls else f"http://127.0.0.1:{self.plain_port}"
        headers = {**self.authorization(user), **dict(headers)}
        before = self.cpu_seconds()
        output = subprocess.run(
            ["wrk", f"-t{min(2, clients)}", f"-c{clients}", f"-d{seconds}", "--timeout=60s",
             "-s", HERE / "report.lua", *(f"-H{name}: {value}" for name, value in headers.items()),
             base + path, "--", *turns], check=True, stdout=subprocess.PIPE, text=True).stdout
        result = json.loads(output.splitlines()[-1])
        assert result["requests"], f"{path}: no answers"
        assert not result["failed"], f"{path}: {result['failed']} of {result['requests']} failed"
        cpu_us = (self.cpu_seconds() - before) * 1e6 / result["requests"]
        self.settle()
        return Load(**result, cpu_us=cpu_us)

    def settle(self):
        """Waits until what clients did not wait for is done: the next round must not pay for it."""
        used = None
        while used != self.cpu_seconds():
            used = self.cpu_seconds()
            time.sleep(0.1)

    def cpu_seconds(self):
        """What the program has used of the processors, apart from nginx."""
        fields = Path(f"/proc/{self.virtgate.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Load(collections.namedtuple("Load", "requests seconds bytes failed mean_ms median_ms cpu_us")):
    """cpu_us: the program's processor time for each request."""

    @property
    def rate(self):
        return self.requests / self.seconds


class Direct:
    """tests/bench/direct.c on a connection of its own."""

    def __init__(self, uri, **environment):
        self.process = subprocess.Popen([TOOLS / "direct", uri], env={**os.environ, **environment},
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command):
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"direct has ended at: {command}"
        return [float(word) for word in line.split()]

    def make_vms(self, count):
        assert self.ask(f"vms {count}") == [count]

    def list_ms(self, seconds=1):
        return self.ask(f"list {seconds}")[0]

    def turn_ms(self, name, seconds=1):
        return self.ask(f"turns {seconds} {name}")[0]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def report(name, unit, value, reference, reference_value, target=None):
    """A line for tests/bench/run."""
    print(name, unit, f"{value:.4f}", reference, f"{reference_value:.4f}",
          *([target] if target else []), sep="\t", flush=True)
