# SPDX-License-Identifier: MIT
"""SIGTERM under load, without nginx in between: every request sent before it is answered."""

import random
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
from gateway import BINARY, PATIENCE, REPO

ROUNDS = 20
BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN = 1, 3, 4, 5


def await_start(virtgate):
    line = virtgate.stderr.readline()
    while "serves" not in line:
        assert line, "it has ended"
        line = virtgate.stderr.readline()


def record(kind, content=b""):
    """A record of request 1 (FastCGI specification, section 3.3)."""
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def get(target):
    params = {"REQUEST_METHOD": "GET", "REQUEST_URI": target, "REQUEST_ID": "x",
              "REMOTE_USER": "somebody", "VIRTGATE_ROLE": "admin"}
    pairs = b"".join(bytes([len(name), len(value)]) + name.encode() + value.encode()
                     for name, value in params.items())
    responder_kept_alive = struct.pack(">HB5x", 1, 1)
    return record(BEGIN_REQUEST, responder_kept_alive) + record(PARAMS, pairs) + \
        record(PARAMS) + record(STDIN)


def read_exactly(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_answer(connection):
    while True:
        _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", read_exactly(connection, 8))
        read_exactly(connection, length + padding)
        if kind == END_REQUEST:
            return


def ask_until_refused(path, sent_in_vain, answered):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20 * PATIENCE)
        sent = None
        try:
            connection.connect(path)
            while True:
                sent = None
                connection.sendall(get("/v1/vms"))
                sent = time.monotonic()
                read_answer(connection)
                answered.append(sent)
        except (OSError, EOFError) as end:
            assert not isinstance(end, TimeoutError), "a request hangs"
            if sent:
                sent_in_vain.append(sent)


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_every_request_sent_before_sigterm_is_answered(tmp_path, turn):
    path = str(tmp_path / "socket")
    virtgate = subprocess.Popen(
        [BINARY, "--uri", "test:///default", "--listen", path, "--templates", REPO / "xml",
         "--workers", "8"], stderr=subprocess.PIPE, text=True)
    try:
        await_start(virtgate)
        sent_in_vain, answered = [], []
        clients = [threading.Thread(target=ask_until_refused, args=(path, sent_in_vain, answered))
                   for _ in range(12)]
        log = threading.Thread(target=virtgate.stderr.read)
        for thread in [*clients, log]:
            thread.start()
        enough = random.Random(turn).randrange(1, 500)
        limit = time.monotonic() + 20 * PATIENCE
        while len(answered) < enough:
            assert time.monotonic() < limit, "no answers"
            time.sleep(0.001)
        terminated = time.monotonic()
        virtgate.send_signal(signal.SIGTERM)
        assert virtgate.wait(20 * PATIENCE) == 0
        for thread in [*clients, log]:
            thread.join()
        assert not [sent for sent in sent_in_vain if sent < terminated]
        assert not (tmp_path / "socket").exists()
    finally:
        virtgate.kill()
        virtgate.wait()
        virtgate.stderr.close()
