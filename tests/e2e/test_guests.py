# SPDX-License-Identifier: MIT
"""The web guest under QEMU, made from the templates http-reply and nginx by the API.

The guest is tests/guests/web.c. Its page, or the files of the shared directory, are fetched over
the bridge. A Peer sends it frames that no kernel would send.
"""

import concurrent.futures
import contextlib
import http.client
import itertools
import os
import random
import re
import select
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from gateway import PATIENCE, wait_until
from test_qemu import gateway, make_disk, virsh  # noqa: F401

pytestmark = pytest.mark.qemu

SHARE = Path("/var/lib/libvirt/fs/fs0")
STRANGER = "192.168.122.77"
ADDRESS, SHARED = "192.168.122.50", "192.168.122.60"  # of the fixtures http_reply and nginx
OTHER = "192.168.122.70"
FIN, SYN, RST, ACK = 1, 2, 4, 16
MIB = 1 << 20


def mac_of(name):
    return re.search(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", virsh("domiflist", name))[0]


def fetch(path="/", address=ADDRESS, method="GET", timeout=10 * PATIENCE, headers=None):
    connection = http.client.HTTPConnection(address, 80, timeout=timeout)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def answers(address=ADDRESS, timeout=0.2 * PATIENCE):
    try:
        return fetch(address=address, timeout=timeout)[0] in (200, 404)
    except OSError:
        return False


def wait_for_answer(name, address=ADDRESS):
    # An ARP request that comes too early is repeated after a second only.
    subprocess.run(["ip", "neighbour", "replace", address, "lladdr", mac_of(name), "dev", "virbr0",
                    "nud", "permanent"], check=True)
    wait_until(lambda: answers(address), f"{name} answers at {address}", 30)


class Starter:
    """Makes VMs from templates, waits until they serve, and deletes them at the end."""

    def __init__(self, gateway):
        self.admin = gateway.client("admin")
        self.made = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for at in self.made:
            assert self.admin.delete(at).status == 200
        self.admin.close()

    def __call__(self, template, name, address, **spec):
        if address:
            spec = {"cmdline": f"ip={address}", **spec}
        answer = self.admin.post("/v1/vms", json={
            "template": template, "name": name, "start": True, **spec})
        assert answer.status == 201, answer
        self.made.append(f"/v1/vms/{answer.json['uuid']}")
        if address:
            wait_for_answer(name, address)
        return self.made[-1]


@pytest.fixture
def start(gateway):
    with Starter(gateway) as start:
        yield start


@pytest.fixture(scope="module")
def http_reply(gateway):
    """One VM for all tests that do not change it."""
    with Starter(gateway) as start:
        yield start("http-reply", "http-reply", ADDRESS)


@pytest.fixture(scope="module")
def share():
    shutil.rmtree(SHARE, ignore_errors=True)
    SHARE.mkdir(parents=True)
    (SHARE / "index.html").write_text("<p>the first\n")
    yield SHARE
    shutil.rmtree(SHARE)


@pytest.fixture(scope="module")
def nginx(gateway, share):
    with Starter(gateway) as start:
        yield start("nginx", "nginx", SHARED, carrier_disk=True)


@pytest.fixture
def dhcp_leases(tmp_path):
    """A DHCP server on the bridge, as libvirt's default network has one; returns mac -> address."""
    leases = tmp_path / "leases"
    server = subprocess.Popen(
        ["dnsmasq", "--conf-file=/dev/null", "--keep-in-foreground", "--pid-file=", "--user=root",
         "--port=0", "--interface=virbr0", "--bind-interfaces", "--no-ping", "--log-facility=-",
         f"--dhcp-leasefile={leases}", "--dhcp-range=192.168.122.100,192.168.122.120,2m"],
        stdin=subprocess.DEVNULL)

    def given():
        lines = leases.read_text().splitlines() if leases.exists() else []
        return {line.split()[1]: line.split()[2] for line in lines}

    try:
        yield given
        assert server.poll() is None, "dnsmasq ended by itself"
    finally:
        server.terminate()
        server.wait(10 * PATIENCE)


# HTTP, ping and addresses


def test_http_reply_serves_its_page(http_reply, admin):
    vm = admin.get(http_reply).json
    assert (vm["memory_kib"], vm["state"]) == (4096, "running")
    status, headers, page = fetch()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"web guest at 192.168.122.50" in page and int(headers["Content-Length"]) == len(page)
    assert fetch("/any?thing")[2] == page
    status, headers, body = fetch(method="HEAD")
    assert (status, body, int(headers["Content-Length"])) == (200, b"", len(page))
    status, headers, _ = fetch(method="DELETE")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert fetch("/" + "a" * 300)[0] == 414
    assert fetch(headers={"A": "b" * 20000})[0] == 431
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ADDRESS, 81), timeout=10 * PATIENCE)


def test_http_reply_answers_pings(http_reply):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as ping:
        for size in 0, 1, 56, 1472:
            data = struct.pack("!BBHHH", 8, 0, 0, 0x5649, size) + random.Random(0).randbytes(size)
            ping.sendto(data[:2] + struct.pack("!H", checksum(data)) + data[4:], (ADDRESS, 0))
            wanted = b"\0\0" + struct.pack("!H", checksum(b"\0" + data[1:])) + data[4:]
            ping.settimeout(10 * PATIENCE)
            while True:
                packet, (sender, _) = ping.recvfrom(2048)
                if sender == ADDRESS:
                    break
            assert packet[20:] == wanted


def test_http_reply_can_be_suspended_resumed_and_restarted(http_reply, admin):
    assert admin.post(f"{http_reply}/suspend").json["state"] == "paused"
    assert not answers(timeout=0.5 * PATIENCE)
    # A connection attempt during the suspension waits, as do earlier ones.
    with socket.socket() as waiting:
        waiting.setblocking(False)
        waiting.connect_ex((ADDRESS, 80))
        assert admin.post(f"{http_reply}/resume").json["state"] == "running"
        waiting.settimeout(10 * PATIENCE)
        assert select.select([], [waiting], [], 10 * PATIENCE)[1]
        waiting.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert waiting.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    assert answers(timeout=10 * PATIENCE)
    assert admin.post(f"{http_reply}/reset").status == 200
    wait_for_answer("http-reply", ADDRESS)


def test_two_vms_of_one_template_run_at_once(start):
    addresses = ["192.168.122.51", "192.168.122.52"]
    for i, address in enumerate(addresses):
        start("http-reply", f"web-{i}", address)
    for address in addresses * 2:
        assert f"at {address}.".encode() in fetch(address=address)[2]


def test_a_guest_takes_its_address_from_the_command_line(start):
    start("http-reply", "web", OTHER, memory_kib=2048, cmdline=(
        f"netdev.ipv4_addr={OTHER} netdev.ipv4_gw_addr=192.168.122.1 "
        "netdev.ipv4_subnet_mask=255.255.255.0 --"))


def test_a_guest_gets_its_address_by_dhcp(start, dhcp_leases):
    for name in "web-0", "web-1":
        start("http-reply", name, None)
    leases = wait_until(lambda: len(dhcp_leases()) == 2 and dhcp_leases(), "both have a lease", 30)
    assert len(set(leases.values())) == 2
    for name in "web-0", "web-1":
        address = leases[mac_of(name)]
        wait_for_answer(name, address)
        assert f"at {address}.".encode() in fetch(address=address)[2]


def test_a_guest_serves_many_connections_at_once(nginx, share):
    (share / "large").write_bytes(random.Random(1).randbytes(100000))
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(20) as pool:
        idle = [stack.enter_context(socket.create_connection((SHARED, 80), 10 * PATIENCE))
                for _ in range(20)]
        bodies = list(pool.map(lambda _: fetch("/large", SHARED)[2], range(20)))
        assert set(bodies) == {(share / "large").read_bytes()}
        for connection in idle:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        for connection in idle:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


# A shared directory


def test_nginx_serves_the_shared_directory(nginx, share):
    large = random.Random(2).randbytes(MIB + 1)
    (share / "sub" / "deep").mkdir(parents=True)
    (share / "sub" / "index.html").write_text("<p>below\n")
    (share / "sub" / "deep" / "large.png").write_bytes(large)
    (share / "an empty ünïcødé file.txt").touch()
    (share / "style.css").write_text("p {}\n")
    (share / "code.js").write_text("1\n")

    assert fetch(address=SHARED)[2] == b"<p>the first\n"
    (share / "index.html").write_text("<p>the second, which is longer\n")
    assert fetch(address=SHARED)[2] == b"<p>the second, which is longer\n"
    types = {
        "/index.html?a=b": "text/html; charset=utf-8", "/sub/": "text/html; charset=utf-8",
        "/style.css": "text/css", "/code.js": "text/javascript", "/sub/deep/large.png": "image/png",
        "/an%20empty%20%C3%BCn%c3%afc%C3%B8d%C3%A9%20file.txt": "text/plain; charset=utf-8",
    }
    for path, type in types.items():
        for method in "GET", "HEAD":
            status, headers, body = fetch(path, SHARED, method=method)
            assert (status, headers["Content-Type"]) == (200, type), path
            assert method == "HEAD" or len(body) == int(headers["Content-Length"])
    assert fetch("/sub/deep/large.png", SHARED)[2] == large


def test_nginx_serves_no_file_outside_the_share(nginx, share):
    secret = share.parent / "secret.html"
    secret.write_text("secret\n")
    (share / "sub").mkdir(exist_ok=True)
    (share / "empty").mkdir()
    (share / "link.html").symlink_to("../secret.html")
    (share / "up").symlink_to("..")
    os.mkfifo(share / "pipe")
    try:
        for path in ("/none.html", "/../secret.html", "/%2e%2e/secret.html", "/sub/../index.html",
                     "/..%2fsecret.html", "/./index.html", "//index.html", "/sub//x", "/link.html",
                     "/up/secret.html", "/sub", "/empty/", "/pipe", "/..", "/.", "/index.html/x",
                     "/x" * 17, "/" + "n" * 230):
            status, headers, page = fetch(path, SHARED)
            assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8"), path
            assert b"404 Not Found" in page and b"secret" not in page
        for path in "/%", "/%0", "/%zz", "/a%00b", "*", "a", "http://x/":
            assert fetch(path, SHARED)[0] == 400, path
    finally:
        secret.unlink()
    assert fetch(address=SHARED)[0] == 200


# Snapshots


def test_http_reply_serves_again_after_a_revert(start, admin):
    make_disk("web.qcow2")
    at = start("http-reply", "web", OTHER, disks=[{"source": "web.qcow2", "format": "qcow2"}])
    answer = admin.post(f"{at}/snapshots", json={"name": "serving"})
    assert (answer.status, answer.json["state"]) == (201, "running"), answer
    assert fetch(address=OTHER)[0] == 200
    answer = admin.post(f"{at}/snapshots/serving/revert")
    assert (answer.status, answer.json["state"]) == (200, "running"), answer
    wait_for_answer("web", OTHER)
    assert fetch(address=OTHER)[0] == 200


def test_a_snapshot_with_a_share_mounted_is_409(nginx, admin):
    answer = admin.post(f"{nginx}/snapshots")
    assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
    assert fetch(address=SHARED)[0] == 200


# Misbehaving peers


def test_a_guest_survives_random_bytes_on_its_port(http_reply):
    chance = random.Random(3)
    for i in range(40):
        with socket.create_connection((ADDRESS, 80), 10 * PATIENCE) as connection:
            if i % 2:  # closes by RST
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(ConnectionError):
                connection.sendall(chance.randbytes(chance.randrange(40000)))
                if i % 4 == 0:
                    connection.shutdown(socket.SHUT_WR)
                    assert re.match(rb"HTTP/1\.1 4\d\d |$", connection.recv(100))
    for request in b"GET / HTTP/1.1", b"\r\n\nGET / HTTP/1.1\nA: b\n\n", b"HEAD / HTTP/1.0\r\n\r\n":
        with socket.create_connection((ADDRESS, 80), 10 * PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request:
                connection.sendall(bytes([byte]))
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n") == request.endswith(b"\n")
    assert answers(timeout=10 * PATIENCE)


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


class Peer:
    """A peer with an address of its own that sends handmade frames."""

    ports = itertools.count(1024)

    def __init__(self, name, address):
        self.to = address
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.bind(("virbr0", 0))
        self.ethernet = bytes.fromhex(mac_of(name).replace(":", "")) + \
            self.socket.getsockname()[4] + b"\x08\0"
        self.port = next(self.ports)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ip(self, protocol, payload, **header):
        header = {"first": 0x45, "size": 20 + len(payload), "fragment": 0, "to": self.to, **header}
        packet = struct.pack(
            "!BBHHHBBH4s4s", header["first"], 0, header["size"], 1, header["fragment"], 64,
            protocol, 0, socket.inet_aton(STRANGER), socket.inet_aton(header["to"]))
        packet = packet[:10] + struct.pack("!H", checksum(packet)) + packet[12:]
        return self.ethernet + packet + payload

    def tcp(self, flags, data=b"", seq=0, ack=0, window=65535, options=b"", words=None, **header):
        words = 5 + len(options) // 4 if words is None else words
        segment = struct.pack(
            "!HHIIBBHHH", self.port, 80, seq, ack, words << 4, flags, window, 0, 0) + options + data
        pseudo = socket.inet_aton(STRANGER) + socket.inet_aton(self.to) + \
            struct.pack("!HH", 6, len(segment))
        segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
        return self.ip(6, segment, **header)

    def send(self, frame):
        with contextlib.suppress(OSError):  # shorter than a header: the kernel has a word there
            self.socket.send(frame)

    def receive(self):
        """The next segment to this port: flags, seq, ack, data."""
        deadline = time.monotonic() + 10 * PATIENCE
        while True:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            frame = self.socket.recv(2048)
            if frame[6:12] != self.ethernet[:6] or frame[30:34] != socket.inet_aton(STRANGER):
                continue
            size = struct.unpack("!H", frame[16:18])[0]
            port, seq, ack, words, flags = struct.unpack("!2xHIIBB", frame[34:48])
            if port == self.port:
                return flags, seq, ack, frame[34 + (words >> 4) * 4:14 + size]

    def connect(self, **how):
        """Returns the guest's first sequence number; this side's is 0."""
        self.port = next(self.ports)
        self.send(self.tcp(SYN, **how))
        flags, seq, ack, _ = self.receive()
        assert (flags, ack) == (SYN | ACK, 1)
        self.send(self.tcp(ACK, seq=1, ack=seq + 1, **how))
        return seq


REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def test_a_guest_resends_unacknowledged_segments(http_reply):
    with Peer("http-reply", ADDRESS) as peer:
        peer.send(peer.tcp(SYN))
        first = peer.receive()
        assert first[0] == SYN | ACK and peer.receive() == first
        seq = first[1]
        peer.send(peer.tcp(ACK, REQUEST, seq=1, ack=seq + 1))
        answer = peer.receive()
        assert answer[0] & FIN and answer[3].startswith(b"HTTP/1.1 200 OK")
        assert peer.receive() == answer == peer.receive()
        end = seq + 1 + len(answer[3])
        peer.send(peer.tcp(ACK, seq=1 + len(REQUEST), ack=end))  # but for its FIN
        flags, seq, _, data = peer.receive()
        assert (flags & FIN, seq, data) == (FIN, end, b"")
        peer.send(peer.tcp(ACK | FIN, seq=1 + len(REQUEST), ack=end + 1))
        assert peer.receive()[::2] == (ACK, 2 + len(REQUEST))
        peer.send(peer.tcp(ACK, seq=2 + len(REQUEST), ack=end + 1))
        assert peer.receive()[0] == RST  # it knows of no such connection any more


def test_a_guest_respects_the_peers_window(nginx, share):
    body = bytes(range(256)) * 8
    (share / "small").write_bytes(body)
    request = REQUEST.replace(b"/", b"/small", 1)
    with Peer("nginx", SHARED) as peer:
        seq = peer.connect(options=b"\x02\x04\x00\x80", window=0)
        peer.send(peer.tcp(ACK, request, seq=1, ack=seq + 1, window=0))
        assert peer.receive()[0] == ACK  # of the request
        got, end = b"", seq + 1
        for i in itertools.count(1):
            flags, at, _, data = peer.receive()
            if i % 7 == 0:
                continue  # lost
            if at == end:
                assert len(data) <= (128 if got else 1)  # the first one asks whether it may
                got, end = got + data, at + len(data)
            done = flags & FIN and at + len(data) == end
            peer.send(peer.tcp(ACK, seq=1 + len(request), ack=end + bool(done), window=256))
            if done:
                break
        assert got.partition(b"\r\n\r\n")[2] == body
        peer.send(peer.tcp(RST, seq=1 + len(request)))


def test_a_guest_ignores_invalid_segments(http_reply):
    with Peer("http-reply", ADDRESS) as peer:
        peer.send(peer.tcp(ACK, seq=5, ack=7))
        assert peer.receive()[:2] == (RST, 7)
        seq = peer.connect()
        # A segment that must not end the connection is answered by an ACK of its state, or not at
        # all.
        where = (ACK, seq + 1, 1, b"")
        for flags, at in (SYN, 5), (RST, 9), (ACK, 1000), (ACK | FIN, 1000), (ACK, 0):
            peer.send(peer.tcp(flags, b"x" if at == 1000 else b"", seq=at, ack=seq + 1))
            assert peer.receive() == where
        peer.send(peer.tcp(RST, seq=1 << 31, ack=seq + 1))
        peer.send(peer.tcp(ACK, REQUEST, seq=1, ack=seq + 100000))
        assert peer.receive() == where
        # The request in two overlapping parts.
        peer.send(peer.tcp(ACK, REQUEST[:8], seq=1, ack=seq + 1))
        assert peer.receive()[::2] == (ACK, 9)
        peer.send(peer.tcp(ACK, REQUEST[4:], seq=5, ack=seq + 1))
        assert peer.receive()[3].startswith(b"HTTP/1.1 200 OK")
        peer.send(peer.tcp(RST, seq=1 + len(REQUEST)))
        peer.send(peer.tcp(ACK, seq=1 + len(REQUEST), ack=seq + 1))
        assert peer.receive()[:2] == (RST, seq + 1)


def malformed(peer, chance):
    """Frames with one wrong byte, with many, or too short."""
    for first in 0x40, 0x44, 0x46, 0x4f, 0x65, 0x00:
        yield peer.tcp(SYN, first=first)
    for size in 0, 19, 20, 21, 39, 41, 1500, 65535:
        yield peer.tcp(SYN, size=size)
    for fragment in 0x2000, 0x1fff, 1:
        yield peer.tcp(SYN, fragment=fragment)
    for words in range(16):
        yield peer.tcp(SYN, words=words)
    for options in (b"\2\0\0\0", b"\2\1\0\0", b"\2\4\0\0", b"\2\4\0\1", b"\1\1\1\2",
                    b"\2\xff\0\0", b"\xfe" * 40):
        yield peer.tcp(SYN, options=options)
    for protocol in 0, 1, 2, 6, 17, 255:
        for size in 0, 1, 7, 8, 20, 1480:
            for to in ADDRESS, "255.255.255.255", "0.0.0.0", "224.0.0.1":
                yield peer.ip(protocol, chance.randbytes(size), to=to)
    arp = peer.ethernet[:12] + b"\x08\x06"
    for size in 0, 1, 27, 28, 1500:
        yield arp + chance.randbytes(size)
    whole = peer.tcp(SYN | ACK, b"GET / HTTP/1.0\r\n\r\n", options=b"\2\4\1\0")
    for size in range(14, len(whole)):
        yield whole[:size]
    for _ in range(1000):
        frame = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            frame[chance.randrange(12, len(frame))] = chance.randrange(256)
        ip = frame[14:24] + b"\0\0" + frame[26:34]
        if chance.random() < 0.5:
            frame[24:26] = struct.pack("!H", checksum(bytes(ip)))
        yield bytes(frame)


def test_no_malformed_packet_stops_a_guest(http_reply):
    with Peer("http-reply", ADDRESS) as peer:
        for frame in malformed(peer, random.Random(4)):
            peer.send(frame)
        assert answers(timeout=10 * PATIENCE)
        # More half-open connections than the guest has room for.
        for _ in range(200):
                peer.send(peer.tcp(SYN))
        for _ in range(5):
            assert answers(timeout=10 * PATIENCE)
