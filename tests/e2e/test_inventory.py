# SPDX-License-Identifier: MIT
"""Lists that concurrent requests share, and lists while libvirt does not answer.

The host is libvirt's test driver in a daemon that can be stopped, and QEMU for a destroy that
hangs.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import exposition
import pytest
from conftest import test_domain
from gateway import PATIENCE, REPO, running_gateway, wait_until

pytestmark = [pytest.mark.qemu, pytest.mark.faults]

SOON = 0.5  # seconds after which a request accepts a stale list
WAIT = 10  # seconds that a request waits for a list at most
NO_CACHE = "Cache-Control: no-cache\r\n"


@pytest.fixture(scope="module")
def gateway():
    with running_gateway(uri="test+unix:///default") as gateway:
        with gateway.client("admin") as admin:
            for name in "one", "two":
                assert admin.post("/v1/vms", xml=test_domain(name)).status == 201
        yield gateway


@pytest.fixture
def viewer(gateway):
    with gateway.client("viewer") as viewer:
        viewer.cache_control = ""
        yield viewer


@contextlib.contextmanager
def stopped_libvirtd():
    """Stops libvirtd for the length of a block; yields a function that continues it earlier."""
    pid = int(Path(os.environ["LIBVIRTD_PID_FILE"]).read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield lambda: os.kill(pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def ask(gateway):
    """Sends a request from its own thread and connection; returns a future of the answer."""
    with ThreadPoolExecutor(64) as pool:
        def send(method, target, user="viewer", **how):
            with gateway.client(user) as client:
                client.cache_control = ""
                start = time.monotonic()
                answer = client.request(method, target, **how)
                answer.seconds = time.monotonic() - start
                return answer

        yield lambda *what, **how: pool.submit(send, *what, **how)


def metrics(client, query=""):
    answer = client.get(f"/metrics{query}")
    assert answer.status == 200, answer
    return exposition.read(answer.body.decode())


def one(metrics, name, **labels):
    return metrics[name, frozenset({"host": "local", **labels}.items())]


def in_flight(client):
    return metrics(client, "?vms=0")["virtgate_requests_in_flight", frozenset()]


def await_in_flight(client, count):
    wait_until(lambda: in_flight(client) == count + 1, f"{count} requests wait")  # and this one


def counts(client):
    """(fetches, fresh lists, stale lists) so far."""
    now = metrics(client, "?vms=0")
    return (one(now, "virtgate_inventory_fetches_total"),
            *(one(now, "virtgate_inventory_lists_total", stale=s) for s in ("false", "true")))


def check_fresh(answer):
    assert answer.status == 200 and answer.json["stale"] is False, answer
    assert "Age" not in answer.headers, answer.headers


def test_concurrent_lists_share_one_fetch_and_one_rendering(gateway, viewer, ask):
    before = counts(viewer)
    with stopped_libvirtd() as go_on:
        waiting = [ask("GET", "/v1/vms", headers=NO_CACHE) for _ in range(60)]
        await_in_flight(viewer, len(waiting))
        go_on()
        answers = [answer.result() for answer in waiting]
    for answer in answers:
        check_fresh(answer)
    assert len({(answer.body, answer.headers["ETag"]) for answer in answers}) == 1
    fetches, fresh, stale = (b - a for a, b in zip(before, counts(viewer)))
    # One fetch that was under way, one for all requests that came meanwhile, and a sweep.
    assert (fresh, stale) == (60, 0) and fetches <= 3, (fetches, fresh, stale)


@pytest.mark.parametrize("target", ["/v1/vms", "/v1/vms?name=o*&fields=name", "/vms"])
def test_a_list_is_marked_stale_while_libvirt_does_not_answer(viewer, ask, target):
    fresh = viewer.get(target, headers=NO_CACHE)
    check_fresh(fresh)
    with stopped_libvirtd() as go_on:
        stale = ask("GET", target).result()
        assert stale.status == 200 and stale.json == {**fresh.json, "stale": True}
        assert SOON <= stale.seconds < 2 * SOON * PATIENCE, stale.seconds
        assert 1 <= int(stale.headers["Age"]) <= 3 * PATIENCE
        # A stale list has an entity tag of its own even if the VMs are the same.
        tag = stale.headers["ETag"]
        assert tag != fresh.headers["ETag"]
        other = viewer.get(target, headers=f"If-None-Match: {fresh.headers['ETag']}\r\n")
        assert other.status == 200 and other.json["stale"] is True
        held = viewer.get(target, headers=f"If-None-Match: {tag}\r\n")
        assert held.status == 304 and int(held.headers["Age"]) >= int(stale.headers["Age"])
        go_on()
        again = viewer.get(target, headers=NO_CACHE + f"If-None-Match: {tag}\r\n")
    check_fresh(again)
    assert (again.body, again.headers["ETag"]) == (fresh.body, fresh.headers["ETag"])


def test_a_request_with_no_cache_waits_for_a_fresh_list(viewer, ask):
    viewer.get("/v1/vms", headers=NO_CACHE)
    with stopped_libvirtd() as go_on:
        waiting = ask("GET", "/v1/vms", headers="Cache-Control: max-age=0, No-Cache\r\n")
        # This request came later and was answered, so the other one has arrived and waits.
        assert viewer.get("/v1/vms").json["stale"] is True
        assert not waiting.done()
        go_on()
        check_fresh(waiting.result())


def test_each_request_meets_its_time_limit_while_libvirt_hangs(gateway, viewer, ask):
    viewer.get("/v1/vms")
    cases = [  # who, what, headers, seconds, and what then
        ("viewer", "GET", "/readyz", "", 1, (503, "hypervisor_unavailable")),
        ("viewer", "GET", "/v1", "", 1, (200, None)),
        ("viewer", "GET", "/v1/vms", "", SOON, (200, None)),
        ("viewer", "GET", "/metrics", "", SOON + 1, (200, None)),
    ]
    insisting = [("viewer", "GET", "/v1/vms", NO_CACHE), ("operator", "POST", "/v1/vms:start", "")]
    with stopped_libvirtd():
        asked = [ask(method, target, user=user, headers=headers,
                     **({"json": {"refs": ["one"]}} if method == "POST" else {}))
                 for user, method, target, headers, *_ in cases + insisting]
        *answers, listed, started = [answer.result() for answer in asked]
    # At the deadline, or earlier if virtgate finds that no connection can be opened.
    assert listed.code in ("deadline_exceeded", "hypervisor_unavailable"), listed
    assert started.code == "hypervisor_unavailable", started
    assert max(listed.seconds, started.seconds) < WAIT + PATIENCE
    for (_, _, target, _, seconds, expected), answer in zip(cases, answers):
        code = answer.code if answer.status >= 400 else None
        assert (answer.status, code) == expected, answer
        assert seconds <= answer.seconds < seconds + PATIENCE, (target, answer.seconds)
    assert answers[1].json["hosts"][0]["reachable"] is False
    assert answers[1].json["features"]["kvm"] is None
    figures = exposition.read(answers[3].body.decode())
    assert one(figures, "virtgate_host_up") == 0
    assert one(figures, "virtgate_inventory_age_seconds") >= 1
    assert ("virtgate_vms", frozenset({"host": "local", "state": "shutoff"}.items())) in figures
    wait_until(lambda: viewer.get("/readyz").status == 200, "it is ready again")
    check_fresh(viewer.get("/v1/vms", headers=NO_CACHE))


def test_a_hanging_destroy_delays_nothing_but_lists(new_gateway):
    """libvirt 9.0.0 holds the VM's lock until its QEMU is gone, 10 s here, and lists wait for it."""
    images = Path("/var/lib/libvirt/images")
    shutil.copy(REPO / "build/guests/ticker_qemu-x86_64", images)
    gateway = new_gateway(uri="qemu:///system", accel="tcg")
    with (gateway.client("admin") as admin, gateway.client("viewer") as viewer,
          ThreadPoolExecutor(1) as pool):
        made = admin.post("/v1/vms", json={
            "name": "hangs", "memory_kib": 2048, "kernel": "ticker_qemu-x86_64", "start": True})
        assert made.status == 201, made
        viewer.cache_control = ""
        check_fresh(viewer.get("/v1/vms", headers=NO_CACHE))
        pid = int(Path("/run/libvirt/qemu/hangs.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        gone = pool.submit(subprocess.run, ["virsh", "-c", "qemu:///system", "destroy", "hangs"],
                           check=True, capture_output=True)
        stale = wait_until(lambda: (a := viewer.get("/v1/vms")).json["stale"] and a, "lists wait")
        assert [vm["name"] for vm in stale.json["items"]] == ["hangs"]
        host = viewer.get("/v1/host")
        assert host.json["vms"]["stale"] is True and int(host.headers["Age"]) >= 1, host
        assert viewer.get("/readyz").status == 200
        assert viewer.get("/v1").json["hosts"][0]["reachable"] is True
        assert one(metrics(viewer), "virtgate_host_up") == 1
        assert not gone.done()
        os.kill(pid, signal.SIGCONT)
        gone.result()
        fresh = viewer.get("/v1/vms", headers=NO_CACHE)
        check_fresh(fresh)
        assert fresh.json["items"][0]["state"] == "shutoff"
        assert admin.delete("/v1/vms/hangs").status == 200
