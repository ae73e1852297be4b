# SPDX-License-Identifier: MIT
"""A peer on virtgate's socket that is not nginx: what it sends holds no worker and ends nothing."""

import os
import random
import socket
import struct
import subprocess
import time

import pytest
from gateway import BINARY, PATIENCE, REPO, wait_until
from test_drain import BEGIN_REQUEST, PARAMS, STDIN, get, read_answer, record

CONNECTIONS = int(os.environ.get("VIRTGATE_TEST_CONNECTIONS", "7000"))
BEGIN = record(BEGIN_REQUEST, struct.pack(">HB5x", 1, 1))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fastcgi")
    path, log = str(folder / "socket"), folder / "log"
    with open(log, "w") as stderr:
        virtgate = subprocess.Popen(
            [BINARY.resolve(), "--uri", "test:///default", "--listen", path, "--templates",
             REPO / "xml", "--workers", "8"], stderr=stderr)
    wait_until(lambda: " serves " in log.read_text(), "it serves")
    yield path
    virtgate.terminate()
    assert virtgate.wait(40 * PATIENCE) == 0 and "Sanitizer" not in log.read_text(), log.read_text()[-3000:]


def connect(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20 * PATIENCE)
    connection.connect(path)
    return connection


def assert_serves(path):
    with connect(path) as connection:
        start = time.monotonic()
        connection.sendall(get("/v1"))
        read_answer(connection)
        assert time.monotonic() - start < 2 * PATIENCE


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("lengths", [
    (0x7ffffffe, 1), (0x7fffffff, 0x7fffffff), (0x40000000, 0), (1, 0x7ffffff0)])
def test_lengths_that_no_memory_holds_close_the_connection(path, lengths):
    with connect(path) as connection:
        pair = struct.pack(">II", *(n | 0x80000000 for n in lengths))
        connection.sendall(BEGIN + record(PARAMS, pair) + record(PARAMS) + record(STDIN))
        assert is_closed(connection)
    assert_serves(path)


@pytest.mark.parametrize("kept_back", [1, 8, 60, len(get("/v1")) - 4])
def test_half_requests_hold_no_worker(path, kept_back):
    """Four times as many as there are workers."""
    halves = [connect(path) for _ in range(32)]
    for half in halves:
        half.sendall(get("/v1")[:-kept_back])
    assert_serves(path)
    # The rest may still come.
    for half in halves[:8]:
        half.sendall(get("/v1")[-kept_back:])
        read_answer(half)
    for half in halves:
        half.close()
    assert_serves(path)


def test_a_request_that_comes_byte_by_byte_is_answered(path):
    with connect(path) as connection:
        for byte in get("/healthz"):
            connection.sendall(bytes([byte]))
        read_answer(connection)


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(data))
        how = rng.randrange(5)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at] = rng.choice([0, 1, 0x7f, 0x80, 0xff])
        elif how == 2:
            del data[at:at + rng.randrange(1, 20)]
        elif how == 3:
            data[at:at] = data[at:at + rng.randrange(1, 40)]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 12))
        data = data or bytearray(1)
    return bytes(data)


def test_mutated_requests_end_nothing(path):
    rng = random.Random(13)
    body = record(STDIN, b"{}") + record(STDIN)
    seeds = [get("/v1/vms"), get("/healthz")[:-8] + body, get("/v1") * 2,
             record(9, b"\x0e\x00FCGI_MAX_CONNS") + get("/v1"), get("/v1")[:-8] + record(2)]
    for turn in range(CONNECTIONS):
        with connect(path) as connection:
            try:
                connection.sendall(mutate(rng, rng.choice(seeds)))
                if turn % 3:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert_serves(path)
