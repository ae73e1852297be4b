# SPDX-License-Identifier: MIT
"""A libvirtd that dies, hangs or cannot be found, and QEMUs that hang: which requests are served
and which refused, and how soon virtgate recovers."""

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gateway import PATIENCE, stopped, wait_until
from test_metrics import scrape
from test_qemu import (  # noqa: F401
    check_shown_while_qemu_hangs,
    create,
    domain,
    gateway,
    hanging,
    libvirtd,
    no_vm_stays,
    qemu_pid,
    timed,
    use_all_connections,
    virsh,
)

pytestmark = [pytest.mark.qemu, pytest.mark.faults]

SOCKET = Path("/run/libvirt/libvirt-sock")
RECOVERY = 3 + 2  # seconds: the longest pause between two attempts, and a busy machine


def of_host(client, name):
    return scrape(client, "?vms=0")[(name, frozenset({("host", "local")}))]


def daemon_pid():
    return int(Path(os.environ["LIBVIRTD_PID_FILE"]).read_text())


def is_ready(client):
    return client.get("/readyz").status == 200


def test_many_requests_for_a_dead_daemon_are_answered_at_once_with_few_attempts_to_connect(gateway, viewer):  # noqa: F811
    use_all_connections(gateway)
    libvirtd("kill")
    wait_until(lambda: of_host(viewer, "virtgate_libvirt_pause_seconds") > 0, "it is noticed")
    before = of_host(viewer, "virtgate_libvirt_opens_total")
    end = time.monotonic() + 2

    def ask(_):
        seen = []
        with gateway.client("viewer") as client:
            while time.monotonic() < end:
                answer, seconds = timed(lambda: client.get("/v1/vms/hello"))
                seen.append((answer.status, answer.code, seconds))
        return seen

    with ThreadPoolExecutor(64) as pool:
        answers = [answer for seen in pool.map(ask, range(64)) for answer in seen]
    assert {answer[:2] for answer in answers} == {(503, "hypervisor_unavailable")}
    assert len(answers) >= 64 and max(answer[2] for answer in answers) < 1.5 * PATIENCE
    # The pauses before new attempts are at least 50, 100, 200, 400 and 800 ms: five in two seconds.
    assert of_host(viewer, "virtgate_libvirt_opens_total") - before <= 6
    libvirtd("start")
    wait_until(lambda: is_ready(viewer), "it is noticed that the daemon is back", RECOVERY * PATIENCE)


def test_the_return_of_the_daemon_is_noticed_without_a_request(gateway, viewer, create):  # noqa: F811
    create(domain("hello"))
    libvirtd("kill")
    wait_until(lambda: of_host(viewer, "virtgate_libvirt_pause_seconds") > 0, "it is noticed")
    libvirtd("start")
    wait_until(lambda: of_host(viewer, "virtgate_libvirt_pause_seconds") == 0, "it is connected again",
               RECOVERY * PATIENCE)
    assert viewer.get("/v1/vms/hello").json["state"] == "running"
    # virtgate receives events again, too.
    wait_until(lambda: [virsh("suspend", "hello"), viewer.get("/v1/vms/hello").json["since"],
                        virsh("resume", "hello")][1], "a change is seen again", 30)


def test_a_virtgate_started_while_the_daemon_hangs_answers_at_once(new_gateway):  # noqa: F811
    with stopped(daemon_pid()):
        gateway = new_gateway(uri="qemu:///system", accel="tcg", start=False)  # noqa: F811
        gateway.start_virtgate()
        gateway.start_nginx()
        gateway.wait_ready("/healthz")
        with gateway.client("admin") as client:
            wait_until(lambda: of_host(client, "virtgate_libvirt_opening_seconds") > 2, "an attempt hangs")
            for method, target in ("GET", "/v1/vms/a"), ("GET", "/readyz"), ("POST", "/v1/vms/a/start"):
                answer, seconds = timed(lambda m=method, t=target: client.request(m, t))
                assert (answer.status, answer.code) == (503, "hypervisor_unavailable"), answer
                assert seconds < 1 * PATIENCE, (target, seconds)
            assert of_host(client, "virtgate_libvirt_opens_total") == 1
    with gateway.client("viewer") as client:
        wait_until(lambda: is_ready(client), "it goes on when the daemon does", RECOVERY * PATIENCE)
        assert of_host(client, "virtgate_libvirt_opens_total") > 1


def test_a_short_pause_of_the_daemon_breaks_no_connection(gateway, viewer, create):  # noqa: F811
    create(domain("hello"))
    with ThreadPoolExecutor(1) as pool:
        with stopped(daemon_pid()):
            waiting = pool.submit(lambda: viewer.get("/v1/vms/hello"))
            with gateway.client("viewer") as client:
                wait_until(lambda: scrape(client, "?vms=0")[("virtgate_requests_in_flight", frozenset())] == 2,
                           "it waits")
                failures = of_host(client, "virtgate_libvirt_open_failures_total")
        assert waiting.result().json["state"] == "running"
    assert of_host(viewer, "virtgate_libvirt_open_failures_total") == failures


def test_a_socket_that_comes_back_is_found_again(gateway, viewer, create, new_gateway):  # noqa: F811
    create(domain("hello"))
    away = SOCKET.with_suffix(".away")
    SOCKET.rename(away)
    try:
        second = new_gateway(uri="qemu:///system", accel="tcg", start=False)
        second.start_virtgate()
        second.start_nginx()
        second.wait_ready("/healthz")
        with second.client("viewer") as client:
            assert client.get("/v1/vms/hello").code == "hypervisor_unavailable"
            assert viewer.get("/v1/vms/hello").status == 200  # by the existing connection
            away.rename(SOCKET)
            wait_until(lambda: client.get("/v1/vms/hello").status == 200, "the socket is found",
                       RECOVERY * PATIENCE)
    finally:
        if away.exists():
            away.rename(SOCKET)


@pytest.mark.parametrize("method, what, unknown", [("POST", "suspend", True), ("GET", "stats", False)])
def test_a_connection_lost_under_way_leaves_the_outcome_of_a_change_unknown(
        gateway, create, method, what, unknown):  # noqa: F811
    create(domain("hello"))
    with hanging(gateway, "hello", method, what) as (_, stuck):
        libvirtd("kill")
        answer = stuck.result()
    assert (answer.status, answer.code) == (503, "hypervisor_unavailable"), answer
    assert ("may have been done" in answer.json.get("hint", "")) is unknown, answer
    assert ("was lost during the operation" in answer.json["detail"]) is unknown, answer


def test_hanging_vms_leave_connections_for_reads_and_kills(gateway, viewer, admin, create):  # noqa: F811
    stuck = [f"stuck-{n}" for n in range(6)]  # of eight connections
    for name in [*stuck, "free"]:
        create(domain(name, "ticker"))

    def suspend(name):
        with gateway.client("admin") as client:
            return client.post(f"/v1/vms/{name}/suspend")

    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(stuck)))
        for name in stuck:
            stack.enter_context(stopped(qemu_pid(name)))
        waiting = {name: pool.submit(suspend, name) for name in stuck}
        for name in stuck:
            wait_until(lambda name=name: "occupied" in virsh("domcontrol", name), f"{name} hangs")
        wait_until(lambda: admin.post("/v1/vms/free/suspend").code == "host_busy"
                   and timed(lambda: admin.post("/v1/vms/free/suspend"))[1] < 1 * PATIENCE,
                   "no change is waited for any more", 10 * PATIENCE)
        for target in "/v1/vms", "/v1/vms/free", "/v1/vms/stuck-0", "/v1/vms/free/xml", "/readyz":
            for _ in range(5):
                answer, seconds = timed(lambda t=target: (admin if t.endswith("/xml") else viewer).get(t))
                assert seconds < 1 * PATIENCE, (target, answer, seconds)
                if target == "/v1/vms/stuck-0":
                    check_shown_while_qemu_hangs(answer)
                else:
                    assert answer.status == 200, (target, answer)
        answer, seconds = timed(lambda: admin.post("/v1/vms/stuck-0/suspend"))
        assert answer.code in ("vm_busy", "host_busy") and seconds < 1 * PATIENCE, (answer, seconds)
        killed = admin.post("/v1/vms/stuck-0/stop", json={"mode": "kill"})
        assert (killed.status, killed.json["state"]) == (200, "shutoff"), killed
        waiting["stuck-0"].result()
        assert admin.post("/v1/vms/free/suspend").json["state"] == "paused"
    for name in stuck[1:]:
        assert waiting[name].result().status in (200, 504), waiting[name].result()
        wait_until(lambda name=name: virsh("domstate", name) == "paused", "what was asked for is done")
