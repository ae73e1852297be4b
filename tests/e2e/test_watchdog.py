# SPDX-License-Identifier: MIT
"""A libvirtd that hangs: each request is answered in time, and stuck workers are replaced.

The host is libvirt's test driver in the daemon.
"""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import test_domain
from gateway import PATIENCE, stopped, wait_until

pytestmark = [pytest.mark.qemu, pytest.mark.faults]

DEADLINE = 1


def hung_daemon():
    return stopped(int(Path(os.environ["LIBVIRTD_PID_FILE"]).read_text()))


@pytest.fixture
def gateway(new_gateway):
    """Makes gateways with few workers, short deadlines and one running VM."""

    def make(workers, read_deadline=DEADLINE, **how):
        gateway = new_gateway(uri="test+unix:///default", workers=workers,
                              read_deadline=read_deadline, action_deadline=DEADLINE, **how)
        with gateway.client("admin") as admin:
            answer = admin.post("/v1/vms?start=1", xml=test_domain("watched"))
            assert answer.status in (201, 409), answer
            assert admin.post("/v1/vms/watched/resume").status == 200
        return gateway

    return make


def ask(gateway, method, target):
    """The answer, and the seconds that it took."""
    with gateway.client("admin") as admin:
        start = time.monotonic()
        answer = admin.request(method, target)
        return answer, time.monotonic() - start


def figure(gateway, name):
    with gateway.client("viewer") as viewer:
        # With few workers a request may be refused until one is free again.
        answer = wait_until(lambda: (a := viewer.get("/metrics?vms=0")).status == 200 and a, "metrics")
    text = answer.body.decode()
    return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)[1])


def open_connections(gateway, count):
    """Opens so many connections to libvirt while it answers: none can be opened while it hangs."""
    def enough():
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda _: ask(gateway, "GET", "/v1/vms/watched"), range(4 * count)))
        return figure(gateway, 'virtgate_libvirt_connections{host="local"}') >= count

    wait_until(enough, f"{count} connections", 30)


def threads(gateway):
    return len(os.listdir(f"/proc/{gateway.virtgate.pid}/task"))


def test_a_read_is_answered_at_its_deadline(gateway):
    gateway = gateway(workers=4)
    with hung_daemon():
        answer, seconds = ask(gateway, "GET", "/v1/vms/watched")
        assert answer.status == 504 and answer.code == "deadline_exceeded", answer
        assert "within 1 s" in answer.json["detail"] and "hint" not in answer.json, answer
        assert seconds >= DEADLINE
        assert figure(gateway, "virtgate_workers_stuck") == 1
    wait_until(lambda: figure(gateway, "virtgate_workers_stuck") == 0, "it has come back")
    assert ask(gateway, "GET", "/v1/vms/watched")[0].status == 200
    late = re.findall(r" late id=(\w+) status=(\d+)", gateway.log())
    assert [request_id for request_id, _ in late] == [answer.request_id]
    assert gateway.log().count(f"request id={answer.request_id} ") == 1


def test_a_change_past_its_deadline_says_that_it_may_still_be_made(gateway):
    gateway = gateway(workers=4)
    with hung_daemon():
        answer, _ = ask(gateway, "POST", "/v1/vms/watched/suspend")
        assert answer.status == 504 and answer.code == "deadline_exceeded", answer
        assert "may still succeed" in answer.json["detail"], answer
        assert answer.json["hint"].endswith("GET /v1/vms/watched"), answer
        answer, _ = ask(gateway, "POST", "/vm/suspend?name=watched")
        assert answer.json["hint"].endswith("GET /v1/vms/watched"), answer
    wait_until(lambda: figure(gateway, "virtgate_workers_stuck") == 0, "it has come back")
    # The lookup hung, and the rest of the request was done afterwards.
    assert ask(gateway, "GET", "/v1/vms/watched")[0].json["state"] == "paused"
    assert ask(gateway, "POST", "/v1/vms/watched/resume")[0].json["changed"] is True


def test_stuck_workers_are_replaced_and_surplus_ones_end(gateway):
    gateway = gateway(workers=3)
    open_connections(gateway, 3)
    before = threads(gateway)
    with hung_daemon():
        for _ in range(3):
            assert ask(gateway, "GET", "/v1/vms/watched")[0].status == 504
        assert figure(gateway, "virtgate_workers_stuck") == 3
        assert threads(gateway) >= before + 3
        assert ask(gateway, "GET", "/v1/openapi.json")[0].status == 200
    wait_until(lambda: figure(gateway, "virtgate_workers_stuck") == 0, "they have come back")
    wait_until(lambda: threads(gateway) <= before, "no more threads than before")


def test_workers_that_hang_together_are_all_replaced(gateway):
    gateway = gateway(workers=3)
    open_connections(gateway, 3)
    before = threads(gateway)
    with hung_daemon(), ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: ask(gateway, "GET", "/v1/vms/watched")[0], range(3)))
        assert {a.status for a in answers} == {504}, answers
        wait_until(lambda: threads(gateway) >= before + 3, "each has a successor", 3)
    wait_until(lambda: figure(gateway, "virtgate_workers_stuck") == 0, "they have come back")
    wait_until(lambda: threads(gateway) <= before, "no more threads than before")


def test_a_single_worker_is_replaced_after_several_have_hung(gateway):
    gateway = gateway(workers=1)
    with hung_daemon():
        for _ in range(4):
            assert ask(gateway, "GET", "/v1/vms/watched")[0].status in (503, 504)
    wait_until(lambda: ask(gateway, "GET", "/v1/vms/watched")[0].status == 200, "it serves")
    wait_until(lambda: figure(gateway, "virtgate_workers_stuck") == 0, "all have come back")
    assert ask(gateway, "GET", "/v1/vms/watched")[0].status == 200


def test_more_stuck_requests_than_workers_are_refused_at_once(gateway):
    deadline = int(4 * PATIENCE)
    gateway = gateway(workers=2, read_deadline=deadline)
    open_connections(gateway, 2)
    with hung_daemon(), ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask, gateway, "GET", "/v1/vms/watched") for _ in range(16)]
        wait_until(lambda: sum(a.done() for a in asked) == 14, "those beyond are answered", 3)
        assert ask(gateway, "GET", "/healthz")[0].status == 200
        answers = [a.result() for a in asked]
        refused = [answer for answer, seconds in answers if answer.code == "overloaded"]
        assert len(refused) == 14 and all(a.headers["Retry-After"] == "1" for a in refused)
        waited = [(answer.status, seconds) for answer, seconds in answers if answer not in refused]
        assert all(status == 504 and seconds >= deadline for status, seconds in waited), waited


def test_lists_that_wait_for_a_hung_daemon_leave_workers_for_others(gateway):
    """Eight workers: four wait for a list, the other lists are refused at once."""
    lists, deadline = 40, int(5 * PATIENCE)
    gateway = gateway(workers=8, read_deadline=deadline)

    def fresh_list():
        with gateway.client("viewer") as viewer:  # it sends no-cache
            return viewer.get("/v1/vms")

    assert fresh_list().status == 200
    with hung_daemon(), ThreadPoolExecutor(lists) as pool:
        start = time.monotonic()
        asked = [pool.submit(fresh_list) for _ in range(lists)]
        wait_until(lambda: sum(a.done() for a in asked) == lists - 4, "the crowd is answered", deadline / 2)
        # Neither waits for the host: a worker is free. A list that may be stale is, at once.
        answer, _ = ask(gateway, "GET", "/v1/templates")
        assert answer.status == 200, answer
        with gateway.client("viewer") as viewer:
            viewer.cache_control = ""
            answer = viewer.get("/v1/vms")
        assert answer.status == 200 and answer.json["stale"] is True, answer
        assert time.monotonic() - start < deadline, "the four still wait"
        refused = [a.result() for a in asked if a.done()]
        assert {a.code for a in refused} <= {"host_busy", "overloaded"}, refused
        assert "has been listing its VMs" in next(a for a in refused if a.code == "host_busy").json["detail"]
    assert sorted(a.result().status for a in asked)[-4:] == [504] * 4


def test_requests_are_answered_without_more_threads_while_the_daemon_hangs(gateway):
    gateway = gateway(workers=2)
    open_connections(gateway, 2)
    before = threads(gateway)
    with hung_daemon():
        answers = [ask(gateway, "GET", "/v1/vms/watched") for _ in range(12)]
        assert all(seconds < 2 * DEADLINE * PATIENCE for _, seconds in answers), answers
        assert {a.code for a, _ in answers} <= {
            "deadline_exceeded", "hypervisor_unavailable", "host_busy", "overloaded"}, answers
        assert threads(gateway) <= before + 3, "2 stuck, and one that opens a connection"
        assert ask(gateway, "GET", "/healthz")[0].status == 200
    wait_until(lambda: ask(gateway, "GET", "/v1/vms/watched")[0].status == 200, "it recovers")
    wait_until(lambda: figure(gateway, "virtgate_workers_stuck") == 0, "they have come back")


def test_stuck_requests_do_not_keep_the_process_from_ending(gateway):
    gateway = gateway(workers=4)
    with hung_daemon(), ThreadPoolExecutor(1) as pool:
        assert ask(gateway, "GET", "/v1/vms/watched")[0].status == 504
        asked = pool.submit(ask, gateway, "GET", "/v1/vms/watched")
        wait_until(lambda: figure(gateway, "virtgate_requests_in_flight") > 1, "it is under way")
        gateway.virtgate.send_signal(signal.SIGTERM)
        assert gateway.virtgate.wait(20 * PATIENCE) == 0
        assert asked.result()[0].status == 504, "answered in draining, too"
    assert "answered requests still running" in gateway.log()
    gateway.virtgate = None


def test_a_socket_activated_virtgate_answers_old_requests_before_it_ends(gateway):
    gateway = gateway(workers=4, read_deadline=int(3 * PATIENCE), activated=True)
    with hung_daemon(), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, gateway, "GET", "/v1/vms/watched")
        wait_until(lambda: figure(gateway, "virtgate_requests_in_flight") > 1, "it is under way")
        gateway.virtgate.send_signal(signal.SIGTERM)
        wait_until(lambda: ask(gateway, "GET", "/readyz")[0].code == "draining", "it drains")
        assert ask(gateway, "GET", "/healthz")[0].status == 200
        assert not asked.done()
        assert gateway.virtgate.wait(20 * PATIENCE) == 0
        assert asked.result()[0].status == 504
    gateway.virtgate = None
