# SPDX-License-Identifier: MIT
"""virtgate behind nginx, as in production, and an HTTPS client that checks every answer.

A Gateway is a directory for nginx made from nginx-conf/, one process of virtgate and one nginx in
front of it. A Client speaks HTTP over TLS to it, keeps its connection, and asserts what docs/api.md
promises of every answer: see check_answer().

VIRTGATE_BIN names the program to test (build/virtgate), VIRTGATE_TEST_PATIENCE multiplies every
time limit: for valgrind and the sanitizers.
"""

import base64
import contextlib
import functools
import html
import http.client
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

import surroundings  # first: it clears the environment  # noqa: F401,I001
import openapi

REPO = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("VIRTGATE_BIN", "build/virtgate"))
PATIENCE = float(os.environ.get("VIRTGATE_TEST_PATIENCE", "1"))
USERS = {"admin": "admin", "operator": "operator", "viewer": "viewer", "norole": None}

# A path of the host, which no answer may disclose.
HOST_PATH = re.compile(
    r"(?:/var/(?:lib|log|cache|run)|/usr|/etc|/run|/tmp|/root|/home|/proc|/dev/shm|"
    + "|".join(map(re.escape, (tempfile.gettempdir(), str(REPO))))
    + r")/[^\s'\"<>,;:)\\]*"
)
# What a sanitizer or valgrind prints about an error.
COMPLAINT = re.compile(
    r"Sanitizer|runtime error:|ERROR SUMMARY: [1-9]|(?:definitely|indirectly|possibly) lost: [1-9]"
    r"|Invalid (?:read|write) of|uninitialised value|GLib-CRITICAL|\*\*\* .* \*\*\*"
)
# What nginx logs about a fault of its own or of its configuration, not of a client or a backend.
NGINX_COMPLAINT = re.compile(r"\[(?:alert|emerg|crit)\](?!.*(?:SSL_do_handshake|connect\(\)))")


def read_error_table():
    """The list of error codes in err.h: code -> (status, seconds of Retry-After, only by
    nginx?)."""
    text = (REPO / "fcgi-app/base/err.h").read_text()
    rows = re.compile(r'X\(ERR_\w+, (\d+), "(\w+)", (\d+)\)')
    marker = text.index("/* nginx */")
    return {
        m[2]: (int(m[1]), int(m[3]), m.start() > marker) for m in rows.finditer(text)
    }


ERRORS = read_error_table()


def wait_until(condition, what, seconds=10):
    """Polls until condition() is true and returns its value; fails after a timeout."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds * PATIENCE} s: {what}"
        time.sleep(0.01)


reserved = []  # sockets that keep the ports of free_port() from other programs


def free_port():
    """A port that no other program uses, or can take before this process ends.

    Servers that set SO_REUSEADDR, as nginx and virtgate do, can listen on it. It lies below the
    ports that the kernel gives to outgoing connections.
    """
    while True:
        sock = socket.socket()
        try:
            sock.bind(("127.0.0.1", random.randrange(10000, 32768)))
        except OSError:
            sock.close()
            continue
        # After bind(), so that two reservations exclude each other.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.append(sock)
        return sock.getsockname()[1]


def process_is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


class Process:
    def __init__(self, pid):
        self.dir = Path(f"/proc/{pid}")

    def descriptors(self):
        return len(list((self.dir / "fd").iterdir()))

    def status(self, field):
        return int(re.search(rf"^{field}:\s*(\d+)", (self.dir / "status").read_text(), re.M)[1])

    def threads(self):
        """The number of threads, without the one that TSan's runtime adds."""
        return self.status("Threads") - ("libtsan" in (self.dir / "maps").read_text())

    def rss_kib(self):
        return self.status("VmRSS")

    def is_instrumented(self):
        """Whether it runs under a sanitizer or valgrind, which keep freed memory and find leaks."""
        return re.search("lib[alt]san|valgrind|vgpreload", (self.dir / "maps").read_text()) is not None


@contextlib.contextmanager
def stopped(pid):
    """Stops a process for the length of a block; the process may end meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


LISTED = ("uuid name host state reason persistent autostart managed_save has_snapshots vcpus "
          "memory_kib labels").split()


def as_listed(vm):
    """The item that a list has for this VM: the members that a GET of one VM and a list share."""
    return {name: vm[name] for name in LISTED}


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body
        self.closes = response.will_close

    @functools.cached_property
    def json(self):
        return json.loads(self.body.decode("utf-8"))

    @property
    def code(self):
        return self.json["code"]

    @property
    def request_id(self):
        return self.headers["X-Request-Id"]

    @property
    def location(self):
        return self.headers["Location"]

    def __repr__(self):
        return f"<{self.status} {self.body[:600]!r}>"


def check_answer(answer, method, target, user, sent, beyond=()):
    """Asserts what is promised of every answer."""
    assert re.fullmatch(r"[0-9a-f]{32}", answer.request_id or ""), (target, answer)
    assert len(answer.headers.get_all("X-Request-Id")) == 1, answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff", answer.headers
    assert "Server" not in answer.headers or "/" not in answer.headers["Server"], answer.headers
    if answer.status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Basic "), answer.headers
    if answer.status == 405:
        assert answer.headers["Allow"], answer.headers
    if method == "HEAD":
        assert answer.body == b"", answer
    elif answer.status >= 400:
        check_problem(answer, user)
    openapi.check(answer, method, target, beyond)
    if not (answer.status == 200 and target.partition("?")[0].endswith("/xml")):
        check_no_host_path(answer, sent)


def is_open(problem):
    """Whether the request may have taken effect, so that Retry-After depends on its method."""
    return problem["code"] == "deadline_exceeded" or (
        problem["code"] == "hypervisor_unavailable" and "may have been done" in problem.get("hint", ""))


# Codes of a refusal by a busy machine, before anything was done.
BUSY = {"host_busy", "vm_busy", "overloaded"}


def is_too_busy(answer, method):
    """Whether the machine was too busy for the request, which has changed nothing."""
    if method == "HEAD" or answer.status not in (503, 504):
        return False
    return answer.code in BUSY or (method == "GET" and answer.code == "deadline_exceeded")


def check_problem(answer, user):
    problem = answer.json
    assert answer.headers["Content-Type"] == "application/problem+json", answer.headers
    assert problem["type"] == "about:blank", problem
    assert problem["status"] == answer.status, problem
    assert isinstance(problem["title"], str) and problem["title"], problem
    assert isinstance(problem["detail"], str) and problem["detail"], problem
    assert isinstance(problem["retryable"], bool), problem
    assert problem["request_id"] == answer.request_id, problem
    assert problem["code"] in ERRORS, problem
    status, retry_after, of_nginx = ERRORS[problem["code"]]
    assert status == answer.status, problem
    assert problem["retryable"] == bool(answer.headers["Retry-After"]), problem
    if not of_nginx and not is_open(problem):
        assert answer.headers["Retry-After"] == (str(retry_after) if retry_after else None), problem
    if user != "admin":
        assert "message" not in problem.get("libvirt", {}), problem


def check_no_host_path(answer, sent):
    if not answer.body or "Content-Encoding" in answer.headers:
        return
    if "json" not in answer.headers.get("Content-Type", ""):
        text = answer.body.decode("utf-8", "replace")
    else:
        value = answer.json
        if answer.status >= 400:
            value = {**value, "libvirt": None}
            # The values are the client's own, with relative paths made absolute.
            value["violations"] = [{**v, "value": None} for v in value.get("violations", [])]
        elif "dry_run" in value:  # admins may see the paths of a domain
            value = {**value, "xml": None, "command_line": None}
        text = json.dumps(value, ensure_ascii=False)
    if not HOST_PATH.search(text):
        return
    # A path that the client sent may be repeated to it.
    said = urllib.parse.unquote_plus(sent.decode("latin-1"))
    said += html.unescape(re.sub(r"<!--.*?-->|<!\[CDATA\[|\]\]>", "", said))
    leaked = [path for path in HOST_PATH.findall(text) if path not in said]
    assert not leaked, (leaked, answer)


class Client:
    """One kept-alive HTTPS connection of one user, reopened after the server has closed it.

    A patient client repeats what a busy machine refused, after the time that Retry-After says. It is
    for tests that send many requests at once and are not about refusals.
    """

    def __init__(self, gateway, user="admin", password=None, patient=False):
        self.gateway = gateway
        self.user = user
        self.patient = patient
        self.refusals = 0  # requests that it had to repeat
        self.connections = 0
        self.sock = None
        self.beyond = ()  # see openapi.check()
        # Tests want the current state; without this a list may be stale on a busy machine.
        self.cache_control = "Cache-Control: no-cache\r\n"
        self.credentials = ""
        if user is not None:
            pair = f"{user}:{password or gateway.passwords[user]}".encode()
            self.credentials = f"Authorization: Basic {base64.b64encode(pair).decode()}\r\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def connect(self):
        if not self.sock:
            self.sock = self.gateway.connect_tls()
            self.connections += 1

    def request(self, method, target, body=None, type=None, headers="", **kind):
        """headers are lines that end in CRLF; kind is json=VALUE or xml=TEXT."""
        if "json" in kind:
            body, type = json.dumps(kind["json"]), "application/json"
        elif "xml" in kind:
            body, type = kind["xml"], "application/xml"
        if isinstance(body, str):
            body = body.encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{self.credentials}{self.cache_control}{headers}"
        if type is not None:
            head += f"Content-Type: {type}\r\n"
        if body is not None or method in ("POST", "PUT", "PATCH"):
            head += f"Content-Length: {len(body or b'')}\r\n"
        return self.insist(head.encode("latin-1") + b"\r\n" + (body or b""), method, target)

    def insist(self, data, method, target):
        deadline = time.monotonic() + 60 * PATIENCE
        while True:
            answer = self.send(data, method, target)
            if not (self.patient and is_too_busy(answer, method)) or time.monotonic() > deadline:
                return answer
            self.refusals += 1
            time.sleep(float(answer.headers["Retry-After"] or 0))

    def send(self, data, method="GET", target=""):
        """Sends the bytes of one request unchanged and reads the answer."""
        self.connect()
        try:
            self.sock.sendall(data)
            answer = self.read(method)
        except BaseException:
            self.close()
            raise
        check_answer(answer, method, target, self.user, data, self.beyond)
        if answer.closes:
            self.close()
        return answer

    def read(self, method="GET"):
        response = http.client.HTTPResponse(self.sock, method=method)
        response.begin()
        body = response.read()
        response.close()
        return Answer(response, body)

    def get(self, target, **how):
        return self.request("GET", target, **how)

    def post(self, target, **how):
        return self.request("POST", target, **how)

    def delete(self, target, **how):
        return self.request("DELETE", target, **how)


LISTEN_CONF = """\
listen 127.0.0.1:{port} ssl http2;
{more}
"""


class Gateway:
    def __init__(self, uri="test:///default", listen=None, more_listen="", activated=False, **settings):
        """settings: virtgate's variables, in lower case and without VIRTGATE_; env_NAME sets
        NAME."""
        self.dir = Path(tempfile.mkdtemp(prefix="virtgate-test."))
        self.dir.chmod(0o755)
        self.templates = self.dir / "templates"
        self.log_file = self.dir / "virtgate.log"
        self.port = free_port()
        self.listen = listen or str(self.dir / "virtgate.sock")
        self.more_listen = more_listen
        self.activated = activated
        self.settings = {
            "uri": uri, "listen": self.listen, "templates": str(self.templates),
            **self.roots(uri), **settings,
        }
        self.passwords = {user: secrets.token_hex(12) for user in USERS}
        self.virtgate = None
        self.nginx = None
        self.make_directory()

    # Files

    def roots(self, uri):
        """The settings for directories of VMs' files, which must not be those of this machine.

        QEMU's VMs have files, in a namespace where the directories of the defaults are its own. The
        test driver's have none: the directories do not exist, so virtgate takes the host for a
        remote one and looks at the text of a path alone. A test that needs files sets its own.
        """
        if uri.startswith("qemu:"):
            return {}
        return {name: str(self.dir / "absent" / name) for name in ("images", "shares", "logs")}

    def make_directory(self):
        shutil.copytree(REPO / "xml", self.templates)
        conf = self.dir / "virtgate"
        conf.mkdir()
        own = {
            "listen.conf": LISTEN_CONF.format(port=self.port, more=self.more_listen),
            "backends.conf": f"server {self.backend()};\n",
            "roles.conf": "".join(f'"~^{u}$" {r};\n' for u, r in USERS.items() if r),
            "htpasswd": self.htpasswd(),
        }
        for name, text in own.items():
            (conf / name).write_text(text)
        for file in (REPO / "nginx-conf").iterdir():
            if file.name == "nginx.conf":
                (self.dir / file.name).symlink_to(file)
            elif file.name not in own:
                (conf / file.name).symlink_to(file)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", conf / "key.pem", "-out", conf / "cert.pem"],
            check=True, capture_output=True)
        self.tls = ssl.create_default_context(cafile=conf / "cert.pem")

    def set_nginx_patience(self, read_seconds, change_seconds):
        """Replaces the timeouts of nginx-conf/ for answers of virtgate."""
        for name, usual, seconds in (("virtgate-read.conf", "15s", read_seconds),
                                     ("virtgate.conf", "620s", change_seconds)):
            conf = self.dir / "virtgate" / name
            text = conf.read_text()
            assert text.count(f"fastcgi_read_timeout {usual};") == 1
            conf.unlink()
            conf.write_text(text.replace(f"fastcgi_read_timeout {usual};",
                                         f"fastcgi_read_timeout {seconds}s;"))

    def backend(self):
        return f"unix:{self.listen}" if self.listen.startswith("/") else self.listen

    def htpasswd(self):
        hashes = subprocess.run(
            ["openssl", "passwd", "-apr1", *self.passwords.values()],
            check=True, capture_output=True, text=True).stdout.split()
        return "".join(f"{user}:{hash}\n" for user, hash in zip(self.passwords, hashes))

    def log(self):
        return self.log_file.read_text(errors="replace")

    def nginx_requests(self, user):
        """The number of the user's requests in nginx's access log, which has each that it read."""
        lines = (self.dir / "access.log").read_text(errors="replace").splitlines()
        return sum(line.split(maxsplit=2)[1:2] == [f'"{user}"'] for line in lines)

    def nginx_log(self):
        file = self.dir / "error.log"
        return file.read_text(errors="replace") if file.exists() else ""

    # Processes

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("VIRTGATE_")}
        env.update((f"VIRTGATE_{name.upper()}", str(v)) for name, v in self.settings.items()
                   if not name.startswith("env_"))
        env.update((name[4:], str(v)) for name, v in self.settings.items()
                   if name.startswith("env_"))
        return env

    def start_virtgate(self):
        env = self.environment()
        command = [str(BINARY.resolve())]
        if self.activated:
            passed = [f"--setenv={name}" for name in env]
            command = ["systemd-socket-activate", f"--listen={self.listen}", *passed, *command]
        with open(self.log_file, "a") as log:
            self.virtgate = subprocess.Popen(
                command, env=env, cwd=REPO, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_nginx(self):
        user = " user root;" if os.geteuid() == 0 else ""
        with open(self.dir / "nginx.out", "a") as out:
            self.nginx = subprocess.Popen(
                ["nginx", "-p", str(self.dir), "-c", "nginx.conf", "-e", "stderr",
                 "-g", "daemon off;" + user],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def start(self):
        self.start_virtgate()
        self.start_nginx()
        self.wait_ready()
        return self

    def wait_ready(self, path="/readyz"):
        def ready():
            assert self.virtgate.poll() is None, f"virtgate ended: {self.log()}"
            assert self.nginx.poll() is None, (self.dir / "nginx.out").read_text()
            try:
                with self.client(None) as client:
                    return client.get(path).status == 200
            except ConnectionError:
                return False
        wait_until(ready, f"{path} answers 200", 20)

    def wait_serving(self):
        """Waits until the last started virtgate serves. An earlier signal would find no handler."""
        wait_until(lambda: " serves " in self.log()[self.log().rfind("stopped"):], "it serves")

    def processes(self):
        """The process ids of virtgate, of nginx and of nginx's workers."""
        pids = []
        for process in (self.virtgate, self.nginx):
            if process and process.poll() is None:
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
                pids += [process.pid, *map(int, children.split())]
        return pids

    @staticmethod
    def end(process, signal_number, what, seconds=40):
        if process.poll() is None:
            process.send_signal(signal_number)
        try:
            return process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{what} did not end within {seconds * PATIENCE} s") from None

    def nginx_workers(self):
        master = self.nginx.pid
        return set(map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split()))

    def reload_nginx(self):
        """Reloads nginx; returns when the old workers have ended."""
        old = self.nginx_workers()
        self.nginx.send_signal(signal.SIGHUP)
        wait_until(lambda: not old & self.nginx_workers(), "nginx's workers are new ones", 60)

    def stop_nginx(self):
        nginx, self.nginx = self.nginx, None
        return self.end(nginx, signal.SIGTERM, "nginx") if nginx else 0

    def stop_virtgate(self):
        """Ends virtgate by SIGTERM; asserts status 0 and a log without complaints of sanitizers."""
        virtgate, self.virtgate = self.virtgate, None
        if not virtgate:
            return
        status = self.end(virtgate, signal.SIGTERM, "virtgate")
        self.check_log()
        assert status == 0, f"virtgate ended with {status}:\n{self.log()[-3000:]}"

    def check_log(self):
        bad = [line for line in self.log().splitlines()
               if COMPLAINT.search(line) and " request id=" not in line]
        assert not bad, "\n".join(bad) + "\n" + self.log()[-6000:]

    def stop(self):
        """Ends all processes, asserts that none is left and no log complains, removes the files."""
        pids = self.processes()
        try:
            try:
                assert self.stop_nginx() == 0
            finally:
                self.stop_virtgate()
            wait_until(lambda: not any(map(process_is_alive, pids)), "all processes are gone")
            if self.listen.startswith("/") and not self.activated:
                assert not Path(self.listen).exists()
            bad = [line for line in self.nginx_log().splitlines() if NGINX_COMPLAINT.search(line)]
            assert not bad, bad
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    # Connections

    def connect_tcp(self):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=60 * PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect_tls(self, context=None):
        sock = self.connect_tcp()
        try:
            return (context or self.tls).wrap_socket(sock, server_hostname="127.0.0.1")
        except BaseException:
            sock.close()
            raise

    def client(self, user="admin", password=None, patient=False):
        return Client(self, user, password, patient)


@contextlib.contextmanager
def running_gateway(**how):
    """A gateway for the length of a block, stopped and checked at its end."""
    gateway = Gateway(**how)
    try:
        yield gateway.start()
    finally:
        gateway.stop()
