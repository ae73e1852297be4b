# SPDX-License-Identifier: MIT
"""Stops, saves and bulk requests under QEMU, with guests that ignore shutdown requests.

The guests do not implement ACPI. With ACPI in their XML they are asked to shut down and ignore it;
without it they are never asked. tests/slow has a guest that obeys.
"""

import concurrent.futures
import contextlib
import re
import time
from pathlib import Path

import pytest
from gateway import PATIENCE, running_gateway, wait_until
from test_guests import SHARED, share, start  # noqa: F401
from test_qemu import (  # noqa: F401
    create,
    domain,
    gateway,
    last_tick,
    no_vm_stays,
    qemu_pid,
    said,
    ticks,
    virsh,
    wait_for_tick,
)

pytestmark = pytest.mark.qemu

SAVES = Path("/var/lib/libvirt/qemu/save")
LONG = 60  # seconds; no stop here waits that long


def with_acpi(name, kernel="hello"):
    return domain(name, kernel).replace("<devices>", "<features><acpi/></features><devices>", 1)


def timed(call):
    start = time.monotonic()
    return call(), time.monotonic() - start


@pytest.fixture
def narrow():
    """A gateway that allows one long operation at a time and has one connection."""
    with running_gateway(uri="qemu:///system", accel="tcg", workers=4, connections=1) as gateway:
        yield gateway


def long_work(client):
    """How many long operations run; -1 if it cannot be asked now."""
    answer = client.get("/metrics?vms=0")
    found = re.search(r'^virtgate_long_work{host="local"} (\d+)$', answer.body.decode(), re.M)
    return int(found[1]) if found else -1


@contextlib.contextmanager
def waiting_stop(gateway, ref, **how):
    """Starts a stop that has asked its guest and waits."""
    def stop():
        with gateway.client("operator") as client:
            return client.post(f"/v1/vms/{ref}/stop", json={"timeout": LONG, **how})

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(stop)
        with gateway.client("operator") as client:
            wait_until(lambda: running.done() or long_work(client) == 1, "it waits")
        yield running


# Stopping


def test_a_stop_of_a_guest_without_acpi_is_refused_at_once(admin, create):
    at = f"/v1/vms/{create(domain('deaf', 'ticker'))['uuid']}"
    wait_for_tick("deaf", 1)
    for mode, code in ("auto", "cannot_shut_down"), ("acpi", "cannot_shut_down"), \
            ("agent", "agent_unavailable"):
        answer, seconds = timed(lambda: admin.post(f"{at}/stop", json={"mode": mode}))
        assert (answer.status, answer.code) == (409, code) and seconds < 5 * PATIENCE, answer
    assert admin.post(f"{at}/reboot").code == "cannot_shut_down"
    wait_for_tick("deaf", last_tick("deaf") + 1)
    pid = qemu_pid("deaf")
    answer = admin.post(f"{at}/stop", json={"then": "kill", "timeout": LONG})
    assert (answer.status, answer.json["how"], answer.json["state"]) == (200, "kill", "shutoff")
    assert not Path(f"/proc/{pid}").exists()


def test_a_guest_that_ignores_a_stop_is_kept_or_killed_after_the_timeout(admin, create):
    at = f"/v1/vms/{create(with_acpi('rude', 'ticker'))['uuid']}"
    wait_for_tick("rude", 1)
    answer, seconds = timed(lambda: admin.post(f"{at}/stop", json={"timeout": 1}))
    assert (answer.status, answer.code) == (409, "still_running"), answer
    assert answer.json["state"] == "running" and "by ACPI" in answer.json["detail"]
    assert 1 <= seconds < 5 * PATIENCE
    wait_for_tick("rude", last_tick("rude") + 1)
    answer = admin.post(f"{at}/reboot")
    assert (answer.status, answer.json["changed"]) == (200, True)
    answer, seconds = timed(lambda: admin.post(f"{at}/stop", json={"timeout": 1, "then": "kill"}))
    assert (answer.status, answer.json["how"], answer.json["state"]) == (200, "kill", "shutoff")
    now = admin.get(at).json
    assert {name: now[name] for name in answer.json if name in now} == {
        name: answer.json[name] for name in answer.json if name in now}
    assert answer.json["changed"] is True
    assert answer.json["reason"] == "destroyed" and seconds >= 1


def test_a_transient_guest_that_ignores_a_stop_is_killed_and_gone(admin, create):
    at = f"/v1/vms/{create(with_acpi('rude'), '?persistent=0')['uuid']}"
    answer = admin.post(f"{at}/stop", json={"timeout": 1, "then": "kill"})
    assert (answer.status, answer.json["how"], answer.json["state"]) == (200, "kill", "shutoff")
    assert admin.get(at).status == 404


def test_a_paused_guest_is_not_asked_to_shut_down(admin, create):
    at = f"/v1/vms/{create(with_acpi('paused'))['uuid']}"
    admin.post(f"{at}/suspend")
    answer = admin.post(f"{at}/stop", json={"timeout": LONG})
    assert (answer.status, answer.code, answer.json["state"]) == (409, "wrong_state", "paused")
    assert "resume" in answer.json["hint"]
    answer, seconds = timed(lambda: admin.post(f"{at}/stop", json={"timeout": LONG, "then": "kill"}))
    assert (answer.json["how"], answer.json["state"]) == ("kill", "shutoff")
    assert seconds < 20 * PATIENCE


def test_a_vm_can_be_killed_while_a_stop_waits(narrow, create):
    create(with_acpi("rude"))
    with waiting_stop(narrow, "rude") as stop, narrow.client("admin") as admin:
        answer = admin.post("/v1/vms/rude/stop", json={"mode": "kill"})
        assert (answer.status, answer.json["changed"], answer.json["how"]) == (200, True, "kill")
        answer, seconds = timed(stop.result)
    assert (answer.status, answer.json["state"], answer.json["how"]) == (200, "shutoff", "acpi")
    assert answer.json["reason"] == "destroyed" and seconds < 20 * PATIENCE


def test_a_stop_does_not_kill_a_vm_that_was_started_again(narrow, create):
    create(with_acpi("again"))
    with waiting_stop(narrow, "again", then="kill") as stop:
        virsh("destroy", "again")
        virsh("start", "again")
        pid = qemu_pid("again")
        answer = stop.result()
    assert answer.status == 200 and answer.json["how"] == "acpi", answer
    # A VM is paused while it starts.
    assert answer.json["state"] in ("running", "shutoff", "paused")
    assert virsh("domstate", "again") == "running" and qemu_pid("again") == pid


def test_a_transient_vm_that_ends_while_a_stop_waits_is_gone(narrow, create):
    create(with_acpi("passing"), "?persistent=0")
    with waiting_stop(narrow, "passing") as stop:
        virsh("destroy", "passing")
        answer = stop.result()
    assert (answer.status, answer.json["state"], answer.json["changed"]) == (200, "shutoff", True)


def test_waiting_stops_hold_no_worker_no_connection_and_no_place_of_long_work(narrow, create):
    """Six stops of one deaf guest, on four workers and one connection."""
    create(with_acpi("rude"))
    create(with_acpi("other"))

    def stop():
        with narrow.client("operator", patient=True) as client:  # they wait for the VM's lock first
            return client.post("/v1/vms/rude/stop", json={"timeout": LONG})

    with concurrent.futures.ThreadPoolExecutor(6) as pool, narrow.client("admin") as admin:
        stops = [pool.submit(stop) for _ in range(6)]
        wait_until(lambda: long_work(admin) == 6, "all of them wait")
        for _ in range(20):
            assert admin.get("/v1/vms/rude").json["state"] == "running"
        assert admin.post("/v1/vms/other/save").status == 200
        assert admin.post("/v1/vms:start", json={"refs": ["other"]}).json["succeeded"] == 1
        assert not any(s.done() for s in stops)
        assert admin.post("/v1/vms/rude/stop", json={"mode": "kill"}).status == 200
        answers = [s.result() for s in stops]
        assert {(a.status, a.json["state"], a.json["how"]) for a in answers} == {(200, "shutoff", "acpi")}
        assert long_work(admin) == 0


def test_a_client_that_goes_away_ends_its_waiting_stop(narrow, create):
    create(with_acpi("rude"))
    with narrow.client("admin") as admin, narrow.client("operator") as client:
        client.connect()
        body = b'{"timeout": 60}'
        client.sock.sendall(f"POST /v1/vms/rude/stop HTTP/1.1\r\nHost: localhost\r\n{client.credentials}"
                            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: long_work(admin) == 1, "it waits")
        client.close()
        wait_until(lambda: long_work(admin) == 0, "nobody waits any more")
        assert admin.get("/v1/vms/rude").json["state"] == "running"


def test_a_waiting_stop_does_not_delay_virtgates_end(create):
    with running_gateway(uri="qemu:///system", accel="tcg", workers=4) as gateway:
        create(with_acpi("rude"))
        with waiting_stop(gateway, "rude", then="kill") as stop:
            gateway.virtgate.terminate()
            answer, seconds = timed(stop.result)
        assert (answer.status, answer.code) == (503, "draining") and seconds < 5 * PATIENCE, answer
        assert "was asked by ACPI" in answer.json["detail"]
        assert gateway.virtgate.wait(20 * PATIENCE) == 0
    assert virsh("domstate", "rude") == "running"


# Saving


def test_a_saved_guest_continues_when_it_is_started(admin, create):
    at = f"/v1/vms/{create(domain('counter', 'ticker'))['uuid']}"
    wait_for_tick("counter", 2)
    answer = admin.post(f"{at}/save")
    assert (answer.status, answer.json["changed"], answer.json["state"]) == (200, True, "shutoff")
    assert (answer.json["reason"], answer.json["managed_save"]) == ("saved", True)
    assert admin.post(f"{at}/save").json["changed"] is False
    stood, heard = last_tick("counter"), len(ticks("counter"))
    answer = admin.post(f"{at}/start")
    assert (answer.status, answer.json["state"], answer.json["restored"]) == (200, "running", True)
    assert (answer.json["reason"], answer.json["managed_save"]) == ("restored", False)
    wait_until(lambda: len(ticks("counter")) > heard, "it goes on", 30)
    assert stood <= ticks("counter")[heard] <= stood + 1
    admin.post(f"{at}/stop", json={"mode": "kill"})
    assert admin.post(f"{at}/start").json["restored"] is False


def test_a_guest_saved_while_paused_is_restored_paused(admin, create):
    at = f"/v1/vms/{create(domain('still', 'ticker'))['uuid']}"
    wait_for_tick("still", 1)
    admin.post(f"{at}/suspend")
    assert admin.post(f"{at}/save").json["managed_save"] is True
    answer = admin.post(f"{at}/start")
    assert (answer.status, answer.json["state"], answer.json["restored"]) == (200, "paused", True)
    stood = last_tick("still")
    assert admin.post(f"{at}/resume").json["state"] == "running"
    wait_for_tick("still", stood + 1)


def test_a_guest_with_a_share_mounted_cannot_be_saved(share, start, admin):  # noqa: F811
    nginx = start("nginx", "nginx", SHARED)
    answer = admin.post(f"{nginx}/save")
    assert (answer.status, answer.code) == (422, "unsupported"), answer
    assert "9p share" in answer.json["detail"] and "unmount" in answer.json["hint"], answer
    vm = admin.get(nginx).json
    assert (vm["state"], vm["managed_save"]) == ("running", False)


def test_a_save_that_cannot_be_restored_is_kept(admin, create):
    at = f"/v1/vms/{create(domain('broken', 'ticker'))['uuid']}"
    wait_for_tick("broken", 1)
    admin.post(f"{at}/save")
    file = SAVES / "broken.save"
    whole = file.read_bytes()
    file.write_bytes(whole[:len(whole) // 2])
    answer = admin.post(f"{at}/start")
    assert answer.status == 409 and answer.code == "start_failed", answer
    assert "kept" in answer.json["hint"], answer
    vm = admin.get(at).json
    assert (vm["state"], vm["managed_save"]) == ("shutoff", True)
    file.write_bytes(whole)
    assert admin.post(f"{at}/start").json["restored"] is True


def test_a_save_file_with_other_content_is_reported_as_unreadable(admin, create):
    at = f"/v1/vms/{create(domain('broken', 'ticker'))['uuid']}"
    admin.post(f"{at}/save")
    (SAVES / "broken.save").write_bytes(b"\0" * 4096)
    answer = admin.post(f"{at}/start")
    assert answer.status == 409 and answer.code == "start_failed", answer
    assert "kept" in answer.json["hint"], answer
    assert admin.get(at).json["managed_save"] is True


# Bulk requests


def test_a_bulk_stop_asks_all_guests_before_it_waits(admin, create):
    names = [f"rude-{i}" for i in range(6)]
    for name in names:
        create(with_acpi(name))
    create(domain("deaf"))
    create(with_acpi("paused"))
    admin.post("/v1/vms/paused/suspend")
    refs = [*names, "deaf", "paused"]
    answer, seconds = timed(lambda: admin.post("/v1/vms:stop", json={"refs": refs, "timeout": 3}))
    items = {item["ref"]: item for item in answer.json["items"]}
    assert answer.json["failed"] == 8 and 3 <= seconds < 12 * PATIENCE, (seconds, answer)
    assert {items[name]["error"]["code"] for name in names} == {"still_running"}
    assert items["deaf"]["error"]["code"] == "cannot_shut_down"
    assert items["paused"]["error"]["code"] == "wrong_state"
    assert len(virsh("list", "--name").split()) == 8

    select = {"select": {"name": "*"}, "max": 8, "timeout": 3, "then": "kill"}
    answer, seconds = timed(lambda: admin.post("/v1/vms:stop", json=select))
    assert answer.json["succeeded"] == 8 and seconds >= 3, answer
    assert {item["how"] for item in answer.json["items"]} == {"kill"}
    assert virsh("list", "--name") == ""

    answer = admin.post("/v1/vms:start", json={"refs": refs})
    assert {item["state"] for item in answer.json["items"]} == {"running"}, answer
    answer = admin.post("/v1/vms:delete", json={"refs": refs})
    assert all(item["ok"] and item["stopped"] for item in answer.json["items"]), answer
    assert virsh("list", "--all", "--name") == ""


@contextlib.contextmanager
def waiting_bulk_stop(gateway, create, refs, **how):
    """The same by a bulk request. One connection asks the VMs one after the other; the last VM,
    which has no ACPI, is killed then."""
    create(domain("deaf"))

    def stop():
        with gateway.client("operator") as client:
            return client.post("/v1/vms:stop", json={
                "refs": [*refs, "deaf"], "timeout": LONG, "then": "kill", **how})

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(stop)
        wait_until(lambda: virsh("domstate", "deaf") == "shut off", "all are asked", 30)
        yield running


def test_a_bulk_stop_does_not_kill_vms_that_were_started_again(narrow, create):
    for name in "one", "two":
        create(with_acpi(name))
    with waiting_bulk_stop(narrow, create, ["one", "two"], timeout=8) as stop:
        virsh("destroy", "one")
        virsh("start", "one")
        items = stop.result().json["items"]
    assert [item.get("how") for item in items] == ["acpi", "kill", "kill"], items
    assert virsh("domstate", "one") == "running" and virsh("domstate", "two") == "shut off"


def test_sigterm_ends_a_waiting_bulk_stop(create):
    with running_gateway(uri="qemu:///system", accel="tcg", workers=4, connections=1) as gateway:
        for name in "one", "two":
            create(with_acpi(name))
        with waiting_bulk_stop(gateway, create, ["one", "two"]) as stop:
            gateway.virtgate.terminate()
            items = stop.result().json["items"]
        assert [item["ok"] for item in items] == [False, False, True], items
        assert {item["error"]["code"] for item in items[:2]} == {"draining"}
        assert gateway.virtgate.wait(20 * PATIENCE) == 0
    assert sorted(virsh("list", "--name").split()) == ["one", "two"]
