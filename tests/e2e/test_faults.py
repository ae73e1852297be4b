# SPDX-License-Identifier: MIT
"""Faults of nginx, of clients and of virtgate's supply of descriptors: other requests are
served."""

import contextlib
import resource
import select
import signal
import threading

import pytest
from backends import limited
from conftest import test_domain
from faults import DEADLINES, Load
from gateway import PATIENCE, Process, wait_until

pytestmark = pytest.mark.faults

WORKERS = 16
CONNECTIONS = 1000
# Bounds of the latency during a fault: a multiple of the latency before, which counts as at least
# so many seconds, because a multiple of a few milliseconds says nothing on a busy machine.
RATIO, AT_LEAST_SECONDS = 5, 0.2 * PATIENCE


@pytest.fixture
def gateway(new_gateway):
    return new_gateway(workers=WORKERS, **DEADLINES)


def make(name):
    return {"xml": test_domain(name)}


def load_on(gateway, **how):
    return Load(gateway, make, **how)


def assert_latency_kept(row):
    limit = RATIO * max(row.p99_before, AT_LEAST_SECONDS)
    assert row.p99 <= limit, f"p99 was {row.p99_before:.3f} s and became {row.p99:.3f} s"


# nginx


@pytest.mark.parametrize("kept", [False, True])
def test_nginx_reloads_and_no_request_fails(gateway, kept):
    """The old nginx may close a kept connection just when the client sends its next request on it,
    which clients have to expect (RFC 9112, section 9.3.1). Nothing else may fail."""
    with load_on(gateway, kept=kept) as load:
        load.wait_for(20)
        with load.fault(f"nginx: reload (5 times), {'' if kept else 'no '}kept connections") as fault:
            for _ in range(5):
                gateway.reload_nginx()
                load.wait_for(5)
        row = load.report(fault)
        load.settle()
    saw = {what for what in row.saw if not (kept and what.startswith("connection lost"))}
    assert not saw, row
    assert row.unanswered == 0


def test_nginx_answers_accepted_requests_when_it_is_restarted(gateway):
    """Connections are refused meanwhile, and the kernel resets those that nginx had not accepted
    when it closed its socket. nginx answers every request that it has accepted."""
    with load_on(gateway, kept=False) as load:
        load.wait_for(20)
        with load.fault("nginx: SIGQUIT, restarted") as fault:
            gateway.nginx.send_signal(signal.SIGQUIT)
            assert gateway.nginx.wait(30 * PATIENCE) == 0
            wait_until(lambda: any(r.failed for r in load.records(fault.start)), "clients see it")
            gateway.start_nginx()
        row = load.report(fault)
        load.settle()
    assert set(row.saw) <= {"refused", "connection lost (ConnectionResetError)"}, row
    assert row.recovered < 1 * PATIENCE
    answered = sum(1 for record in load.records() if record.status)
    # nginx logs a request just after its answer.
    wait_until(lambda: gateway.nginx_requests("admin") >= answered, "each answer is in nginx's log")
    assert gateway.nginx_requests("admin") == answered


# Clients


class Rude(contextlib.AbstractContextManager):
    """Connections of misbehaving clients, all held until the end of the block."""

    def __init__(self, gateway, user="admin"):
        self.client = gateway.client(user)
        self.gateway, self.sockets = gateway, []
        self.stopping = threading.Event()
        self.thread = None

    def __exit__(self, *_):
        self.stopping.set()
        if self.thread:
            self.thread.join()
        for sock in self.sockets:
            sock.close()

    def send(self, data, count=1):
        for _ in range(count):
            sock = self.gateway.connect_tls()
            self.sockets.append(sock)
            sock.sendall(data)
        return self

    def head(self, line, more=""):
        return f"{line} HTTP/1.1\r\nHost: localhost\r\n{self.client.credentials}{more}".encode()

    def drip(self, piece, seconds=0.2):
        """Keeps sending small pieces on each connection until nginx closes it."""
        def run():
            while not self.stopping.wait(seconds):
                for sock in self.sockets:
                    with contextlib.suppress(OSError):
                        sock.sendall(piece)
        self.thread = threading.Thread(target=run)
        self.thread.start()
        return self


BODY = "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
SLOW = {
    "headers, a byte at a time": lambda r: r.send(r.head("GET /v1/vms"), 50).drip(b"x"),
    "a body, a byte at a time": lambda r: r.send(r.head("POST /v1/vms", BODY), 50).drip(b" "),
    "headers, and then nothing": lambda r: r.send(r.head("GET /v1/vms"), 50),
    "a body, and then nothing": lambda r: r.send(r.head("POST /v1/vms", BODY) + b"{", 50),
    "nothing at all": lambda r: r.send(b"", 50),
    "requests, read no answer": lambda r: r.send(
        r.head("GET /v1/openapi.json", "Accept-Encoding: identity\r\n\r\n") * 50, 20),
}


@pytest.mark.parametrize("what", SLOW)
def test_slow_clients_do_not_slow_others_down(gateway, what):
    with load_on(gateway) as load:
        load.wait_for(20)
        with load.fault(f"clients: 20 to 50 send {what}") as fault, Rude(gateway) as rude:
            SLOW[what](rude)
            load.wait_for(25)
        row = load.report(fault)
        load.settle()
    assert not row.saw and not row.unanswered, row
    assert_latency_kept(row)


def go_away(rude, data, after=None):
    """Sends data and closes the connection. after: waits for the first bytes of the answer
    before."""
    rude.send(data)
    if after:
        assert select.select([rude.sockets[-1]], [], [], 10 * PATIENCE)[0]
    rude.sockets[-1].close()


def test_clients_that_go_away_leave_nothing_behind(gateway):
    process = Process(gateway.virtgate.pid)
    with load_on(gateway) as load:
        load.wait_for(20)
        with load.fault("clients: 150 go away in the middle") as fault, Rude(gateway) as rude:
            for _ in range(50):
                go_away(rude, rude.head("POST /v1/vms", BODY) + b"{")
                go_away(rude, rude.head("GET /v1/vms", "\r\n"))
                go_away(rude, rude.head("GET /v1/openapi.json", "\r\n"), after="the first bytes")
        row = load.report(fault)
        load.settle()
        # All arrive at once, and virtgate works on each until it notices that the client has gone.
        assert set(row.saw) <= {"503 overloaded"} and not row.unanswered, row
        assert_latency_kept(row)
    gateway.stop_nginx()
    wait_until(lambda: not established(gateway), "no connection is left")
    assert process.threads() < WORKERS + 12
    gateway.start_nginx()
    gateway.wait_ready()


def established(gateway):
    """The number of connections from nginx to virtgate."""
    with open("/proc/net/unix") as lines:
        return sum(line.rstrip().endswith(" " + gateway.listen) for line in lines) - 1


def test_a_thousand_connections_at_once(gateway):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CONNECTIONS + 200
    if hard < needed:
        pytest.skip(f"needs {needed} open files, and {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        with load_on(gateway) as load:
            load.wait_for(20)
            with load.fault(f"clients: {CONNECTIONS} connections, a request on each") as fault, \
                    Rude(gateway) as rude:
                rude.send(rude.head("GET /v1/vms", "\r\n"), CONNECTIONS)
                statuses = [sock.recv(12)[-3:] for sock in rude.sockets]
                load.wait_for(10)
            row = load.report(fault)
            load.settle()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert set(statuses) <= {b"200", b"503"}, set(statuses)
    assert statuses.count(b"200") > 0
    assert not row.unanswered and set(row.saw) <= {"503 host_busy", "503 overloaded"}, row


# Descriptors


def test_requests_are_answered_once_descriptors_are_available_again(gateway):
    process = Process(gateway.virtgate.pid)
    # libvirt's test driver runs inside virtgate and cannot open its schemas without a descriptor.
    with load_on(gateway, tolerated={"unsupported", "internal"}) as load:
        load.wait_for(20)
        with Rude(gateway) as rude:
            with load.fault("virtgate: no descriptor left") as fault, \
                    limited(gateway.virtgate.pid, (resource.RLIMIT_NOFILE, process.descriptors())):
                # More requests than nginx keeps connections to virtgate.
                rude.send(rude.head("GET /v1/vms", "\r\n"), 70)
                load.go_on_for(1)
            statuses = [sock.recv(12)[-3:] for sock in rude.sockets]
        row = load.report(fault)
        load.settle()
    assert set(statuses) <= {b"200", b"502", b"503"}, set(statuses)
    assert not row.unanswered and row.recovered < 1 * PATIENCE, row
    assert set(row.saw) <= {
        "503 host_busy", "503 overloaded", "502 backend_unavailable", "500 internal"}, row
    with gateway.client(None) as client:
        assert client.get("/healthz").status == 200 and client.get("/readyz").status == 200
