# SPDX-License-Identifier: MIT
"""Only a request for a name of names.conf, or for the address itself, is answered.

A page of evil.example whose name was made to point at this server (DNS rebinding) is of the same site
for its browser. What such a page cannot change is its Host header.
"""

import subprocess

import pytest


def ask(client, host, line="GET /v1 HTTP/1.1"):
    head = f"{line}\r\n{host}{client.credentials}Content-Length: 0\r\nOrigin: https://evil.example\r\n\r\n"
    return client.send(head.encode("latin-1"))


@pytest.mark.parametrize("host", [
    "localhost", "localhost:8443", "LocalHost", "localhost.", "localhost:", "127.0.0.1", "127.0.0.1:1",
])
def test_a_request_for_a_known_name_is_answered(admin, host):
    answer = ask(admin, f"Host: {host}\r\n")
    assert (answer.status, answer.json["role"]) == (200, "admin")


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:8443", "localhost.evil.example", "evil-localhost", "localhostx", "x",
    "127.0.0.1.evil.example", "127.0.0.11", "127.0.0.2", "0.0.0.0", "[::1]", "[::]", "2130706433",
    "localhost|localhost", "localhost,evil.example", "xn--localhost-", "*", "1", "_", "..",
])
@pytest.mark.parametrize("line", [
    "GET /v1 HTTP/1.1", "POST /v1/vms/none/start HTTP/1.1", "GET /healthz HTTP/1.1", "GET / HTTP/1.1",
    "GET /v1/openapi.json HTTP/1.1", "DELETE /v1/vms/none HTTP/1.1", "OPTIONS /v1 HTTP/1.1",
    "GET /v1 HTTP/1.0",
])
def test_a_request_for_another_name_is_421(gateway, clients, host, line):
    for user in "admin", None:
        answer = ask(clients(user), f"Host: {host}\r\n", line)
        assert answer.status in (400, 421), answer
        if answer.status == 421:
            assert answer.code == "misdirected"
        assert answer.request_id not in gateway.log()


@pytest.mark.parametrize("line,host,status", [
    ("GET https://localhost/v1 HTTP/1.1", "localhost", 200),
    ("GET https://localhost:1/v1 HTTP/1.1", "localhost:2", 200),
    ("GET https://evil.example/v1 HTTP/1.1", "localhost", 421),
    ("GET https://localhost/v1 HTTP/1.1", "evil.example", 421),
    ("GET https://127.0.0.1/v1 HTTP/1.1", "localhost", 421),
    ("GET https://localhost/v1 HTTP/1.1", "127.0.0.1", 421),
])
def test_a_request_line_and_host_must_name_the_same_server(clients, line, host, status):
    assert ask(clients("admin"), f"Host: {host}\r\n", line).status == status


@pytest.mark.parametrize("headers,status", [
    ("", 400), ("Host:\r\n", 400), ("Host: localhost\r\nHost: evil.example\r\n", 400),
    ("Host: evil.example\r\nHost: localhost\r\n", 400), ("Host: local/host\r\n", 400),
    ("X-Forwarded-Host: localhost\r\nHost: evil.example\r\n", 421),
    ("Forwarded: host=localhost\r\nHost: evil.example\r\n", 421),
])
def test_a_doubtful_host_is_refused(clients, headers, status):
    assert ask(clients("admin"), headers).status == status


def test_a_request_without_any_host_is_421(clients):
    assert ask(clients("admin"), "", "GET /v1 HTTP/1.0").status == 421


@pytest.mark.parametrize("host,status", [("localhost:8443", "200"), ("evil.example", "421")])
def test_over_http_2_the_authority_counts(gateway, host, status):
    done = subprocess.run(
        ["curl", "-q", "-s", "--http2", "--cacert", gateway.dir / "virtgate/cert.pem", "-H", f"Host: {host}",
         "-u", f"admin:{gateway.passwords['admin']}", "-o", "/dev/null", "-w", "%{http_code} %{http_version}",
         f"https://127.0.0.1:{gateway.port}/v1"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{status} 2"


def test_a_site_adds_names_in_one_place(new_gateway):
    gateway = new_gateway(start=False)
    names = gateway.dir / "virtgate/names.conf"
    text = names.read_text().replace("#vms.example.org", "vms.example.org").replace("#192", "192")
    names.unlink()
    names.write_text(text + "*.example.net 1;\n")
    gateway.start()
    with gateway.client("admin") as client:
        for host in "vms.example.org", "a.b.example.net:8443", "192.0.2.7", "localhost", "127.0.0.1":
            assert ask(client, f"Host: {host}\r\n").status == 200
        for host in "example.net", "b.example.org", "192.0.2.8":
            assert ask(client, f"Host: {host}\r\n").status == 421
