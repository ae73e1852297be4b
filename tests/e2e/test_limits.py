# SPDX-License-Identifier: MIT
"""The limits of nginx-conf/ for clients that guess, send half a request, or never finish a body."""

import contextlib
import re
import resource
import socket
import ssl
import time

import pytest
from gateway import PATIENCE, REPO, running_gateway

LIMITS = "".join(re.findall(r"^limit_.*\n", (REPO / "nginx-conf/listen.conf").read_text(), re.M))
SCALE = 8


@pytest.fixture(scope="module")
def limited():
    """A gateway with the limits of the shipped listen.conf."""
    with running_gateway(more_listen=LIMITS) as gateway:
        yield gateway


def statuses(client, count, method="GET"):
    return [client.request(method, "/v1").status for _ in range(count)]


def test_wrong_passwords_are_limited_and_right_ones_are_not(limited):
    with limited.client("admin", "wrong") as guesser, limited.client("admin") as admin:
        assert statuses(admin, 300) == [200] * 300
        answers = [guesser.get("/v1") for _ in range(60)]
        assert [a.status for a in answers[:20]] == [401] * 20
        assert answers[-1].status == 429 and answers[-1].code == "too_many_requests"
        assert {429} <= set(statuses(guesser, 10, "POST"))
        assert statuses(admin, 100) == [200] * 100


def test_a_request_without_credentials_is_no_guess(limited):
    with limited.client(None) as stranger:
        assert statuses(stranger, 100) == [401] * 100


def test_an_open_path_with_wrong_credentials_is_no_guess(limited):
    with limited.client("admin", "wrong") as client:
        assert [client.get("/healthz").status for _ in range(100)] == [200] * 100


def connect_from(gateway, address, context=None):
    sock = socket.create_connection(("127.0.0.1", gateway.port), 30 * PATIENCE, (address, 0))
    return context.wrap_socket(sock, server_hostname="127.0.0.1") if context else sock


def read_status(sock):
    return int(sock.recv(65536).split(maxsplit=2)[1])


def test_bodies_that_never_arrive_hold_the_places_of_their_client_only(limited):
    most = int(re.search(r"limit_conn virtgate_clients (\d+)", LIMITS)[1])
    with contextlib.ExitStack() as held, limited.client("admin") as admin:
        head = (f"POST /v1/vms HTTP/1.1\r\nHost: localhost\r\n{admin.credentials}"
                "Content-Type: application/json\r\nContent-Length: 2000\r\n\r\n{")
        for _ in range(most + 8):
            sock = held.enter_context(connect_from(limited, "127.0.0.2", limited.tls))
            sock.sendall(head.encode())
        sock.sendall(b"}")
        assert read_status(sock) == 429
        assert statuses(admin, 20) == [200] * 20


def scaled(gateway):
    """Divides nginx's number of connections, as the flood of this test is smaller than a real one."""
    conf = gateway.dir / "nginx.conf"
    text = conf.read_text()
    number = int(re.search(r"worker_connections (\d+);", text)[1])
    conf.unlink()
    conf.write_text(re.sub(r"worker_connections \d+;", f"worker_connections {number // SCALE};", text)
                    .replace("worker_processes auto;", "worker_processes 2;"))
    return gateway.start()


def test_half_requests_keep_no_client_out(new_gateway):
    """8300 of them reset everybody for as long as client_header_timeout."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    gateway = scaled(new_gateway(start=False))
    with contextlib.ExitStack() as held:
        begun = time.monotonic()
        flood = []
        for number in range(8400 // SCALE):
            half = connect_from(gateway, "127.0.0.2", gateway.tls if number % 10 == 0 else None)
            half.sendall(b"GET /v1 HTTP/1.1\r\nHost: " if isinstance(half, ssl.SSLSocket) else b"\x16\x03\x01")
            flood.append(held.enter_context(half))
        for _ in range(20):
            with gateway.client("admin") as client:
                assert client.get("/v1").status == 200
        with contextlib.suppress(ConnectionError):
            assert flood[0].recv(1) == b""
        assert time.monotonic() - begun < 8 * PATIENCE
