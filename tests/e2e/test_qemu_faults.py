# SPDX-License-Identifier: MIT
"""Faults of libvirtd, of a QEMU and of the disk, under a load of mixed requests on real VMs. Two
virtgates behind one nginx serve the load."""

import concurrent.futures
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from backends import Site
from faults import FAULT_SECONDS, READ_DEADLINE, READS, SLACK, Load
from gateway import PATIENCE, REPO, wait_until
from test_qemu import (  # noqa: F401
    IMAGES,
    check_shown_while_qemu_hangs,
    libvirtd,
    no_vm_stays,
    qemu_pid,
    virsh,
)

pytestmark = [pytest.mark.qemu, pytest.mark.faults]

SOCKET = Path("/run/libvirt/libvirt-sock")
SMALL = Path("/var/lib/libvirt/small")
# Bounds of the latency during a fault; see test_faults.py.
RATIO, AT_LEAST_SECONDS = 5, 0.2 * PATIENCE
# A list waits for a VM that is being destroyed; after half a second it is answered from the last
# one.
STALE_SECONDS = 0.5
UNREACHABLE = {"hypervisor_unavailable", "deadline_exceeded"}


def spec(name, **more):
    return {"json": {"name": name, "memory_kib": 2048, "kernel": "hello_qemu-x86_64",
                     "carrier_disk": True, **more}}


def load_on(site, **how):
    return Load(site, spec, **{"count": 4, **how})


@contextlib.contextmanager
def running_site(**settings):
    for guest in (REPO / "build/guests").iterdir():
        shutil.copy(guest, settings.get("images", IMAGES))
    site = Site(uri="qemu:///system", accel="tcg", **settings)
    try:
        yield site.start()
    finally:
        site.stop()


@pytest.fixture(scope="module")
def site():
    with running_site() as site:
        yield site


# libvirtd


def daemon_pid():
    return int(Path(os.environ["LIBVIRTD_PID_FILE"]).read_text())


def kill_and_start(site, load):
    libvirtd("kill")
    libvirtd("start")


def kill_and_start_later(site, load):
    libvirtd("kill")
    load.go_on_for(2, until_seen=True)
    libvirtd("start")


def terminate_and_start(site, load):
    libvirtd("stop")
    libvirtd("start")


def halt(site, load):
    pid = daemon_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        load.go_on_for(FAULT_SECONDS, until_seen=True)
    finally:
        os.kill(pid, signal.SIGCONT)


def take_socket_away(site, load):
    """Existing connections remain; a virtgate that starts meanwhile cannot connect."""
    away = SOCKET.with_name("away")
    SOCKET.rename(away)
    try:
        site.backends[0].signal(signal.SIGTERM)
        load.go_on_for(2, until_seen=True)
    finally:
        away.rename(SOCKET)


LIBVIRTD = {
    "SIGKILL, restarted": kill_and_start,
    "SIGKILL, restarted after 2 s": kill_and_start_later,
    "SIGTERM, restarted": terminate_and_start,
    f"SIGSTOP for {FAULT_SECONDS:.0f} s": halt,
    "socket gone, a virtgate restarted": take_socket_away,
}


@pytest.mark.parametrize("what", LIBVIRTD)
def test_faults_of_libvirtd_are_reported_and_recovered_from(site, what):
    """Each client also checks that every list has its VM."""
    with load_on(site, tolerated={*UNREACHABLE, "start_failed"}) as load:
        load.wait_for(12)
        with load.fault(f"libvirtd: {what}") as fault:
            LIBVIRTD[what](site, load)
        row = load.report(fault)
        load.settle()
    assert set(row.saw) <= {
        "503 hypervisor_unavailable", "504 deadline_exceeded", "503 draining", "503 vm_busy"}, row
    assert row.saw, "nobody has noticed"
    assert not row.unanswered and row.recovered < 5 * PATIENCE, row
    health = [r for r in load.records(fault.start) if r.kind == "healthz"]
    assert health and not [r for r in health if r.failed]
    # virtgate answers before nginx's timeout.
    slow = [r for r in load.records(fault.start) if r.kind in READS and r.seconds > READ_DEADLINE + SLACK]
    assert not slow, slow[:3]


# QEMU


def kill_one(watchers):
    """Kills the QEMU of one client's VM between two of its requests; returns the client, or None if
    no VM runs."""
    for watcher in watchers:
        with watcher.turning, contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            pid = qemu_pid(watcher.name)
            watcher.may_come(("state", "shutoff"))
            os.kill(pid, signal.SIGKILL)
            return watcher
    return None


def test_a_killed_qemu_is_noticed_and_disturbs_no_other_vm(site):
    with load_on(site, tolerated={"internal", "start_failed"}) as load:
        load.wait_for(12)
        with load.fault("QEMU: SIGKILL of one; the others' requests") as fault:
            victim = wait_until(lambda: kill_one(load.watchers), "one runs", 20)
            load.wait_for(12)
        others = [w.name for w in load.watchers if w is not victim]
        row = load.report(fault, others)
        load.settle()
    assert not row.saw and not row.unanswered, row
    assert row.p99 <= RATIO * max(row.p99_before, AT_LEAST_SECONDS), row


def kill_when_born(name, given_up):
    while not given_up.is_set():
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(qemu_pid(name), signal.SIGKILL)
            return
        given_up.wait(0.0005)


def test_a_qemu_killed_during_its_start_leaves_nothing(site):
    # libvirt has many messages for this, and some do not say that QEMU died.
    codes = {"start_failed", "storage_unavailable", "internal"}
    carriers = set(IMAGES.glob("carrier-*"))
    with site.client("admin") as admin, concurrent.futures.ThreadPoolExecutor(1) as pool:
        admin.beyond = (500,)
        for i in range(20):
            name, created = f"short-{i}", threading.Event()
            killed = pool.submit(kill_when_born, name, created)
            answer = admin.post("/v1/vms?start=1", **spec(name))
            created.set()
            killed.result()
            if answer.status == 201:  # the VM had started before the kill
                assert admin.delete(f"/v1/vms/{name}").status == 200
            else:
                assert answer.code in codes, answer
            assert name not in virsh("list", "--all", "--name").split()
            assert set(IMAGES.glob("carrier-*")) == carriers


def test_a_hanging_qemu_disturbs_no_other_vm_and_can_be_killed():
    """libvirt sends SIGTERM, and SIGKILL after 10 s."""
    with running_site(long_deadline=int(25 * PATIENCE)) as site, site.client("admin") as admin, \
            load_on(site, count=3) as load, concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert admin.post("/v1/vms?start=1", **spec("victim")).status == 201
        load.wait_for(12)
        before = [r for r in load.records() if not r.failed and r.kind != "list"]

        def timed(method, target, **how):
            with site.client("admin") as client:
                start = time.monotonic()
                answer = client.request(method, target, **how)
                return answer, time.monotonic() - start

        pid = qemu_pid("victim")
        with load.fault("QEMU: SIGSTOP of one, then killed; the others") as fault:
            os.kill(pid, signal.SIGSTOP)
            try:
                stuck = pool.submit(timed, "GET", "/v1/vms/victim/stats")
                wait_until(lambda: stuck.done() or "occupied" in virsh("domcontrol", "victim"),
                           "somebody waits for QEMU")
                answer, seconds = timed("POST", "/v1/vms/victim/suspend")
                assert answer.code in ("vm_busy", "deadline_exceeded"), answer
                answer, seconds = stuck.result()
                assert (answer.status, answer.code) == (504, "deadline_exceeded"), answer
                assert READ_DEADLINE <= seconds < READ_DEADLINE + SLACK, seconds
                answer, seconds = timed("GET", "/v1/vms/victim")
                check_shown_while_qemu_hangs(answer)
                assert seconds < 1 * PATIENCE, seconds
                assert "victim" in [vm["name"] for vm in admin.get("/v1/vms").json["items"]]
                answer, seconds = timed("POST", "/v1/vms/victim/stop", json={"mode": "kill"})
                assert (answer.status, answer.json["state"]) == (200, "shutoff"), answer
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        row = load.report(fault, before=before)
        lists = load.records(fault.start, fault.end, kind=["list"])
        rest = row.of(load, fault, before=before)
        load.settle()
        assert admin.delete("/v1/vms/victim").status == 200
    assert not row.saw and not row.unanswered, row
    assert max(r.seconds for r in lists) < STALE_SECONDS + 1 * PATIENCE, row
    limit = RATIO * max(rest.p99_before, AT_LEAST_SECONDS)
    slow = [r for r in load.records(fault.start, fault.end) if r.kind != "list" and r.seconds > limit]
    assert not slow, (limit, slow[:3])


# virtgate, in the middle of a change


def snapshots_of(vm):
    return virsh("snapshot-list", "--name", vm).split()


def test_a_change_under_way_when_virtgate_is_killed_is_made_once_and_its_outcome_is_unknown(site):
    with site.client("admin") as admin, concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert admin.post("/v1/vms?start=1", **spec("cut")).status == 201
        os.kill(qemu_pid("cut"), signal.SIGSTOP)
        try:
            # Without a name: a repeated request would make a second snapshot.
            asked = pool.submit(admin.post, "/v1/vms/cut/snapshots")
            wait_until(lambda: "ok" not in virsh("domcontrol", "cut"), "QEMU is waited for")
            for backend in site.backends:
                backend.signal(signal.SIGKILL)
            answer = asked.result()
            assert (answer.status, answer.code) == (502, "backend_unavailable"), answer
            assert answer.json["retryable"] is False and "not known" in answer.json["detail"]
        finally:
            os.kill(qemu_pid("cut"), signal.SIGCONT)
        wait_until(lambda: snapshots_of("cut"), "libvirtd has gone on with it")
        wait_until(lambda: "ok" in virsh("domcontrol", "cut"), "nothing more is under way")
        assert len(snapshots_of("cut")) == 1
        assert admin.delete("/v1/vms/cut").status == 200


def test_a_change_is_made_although_its_client_disconnects(site):
    with site.client("admin") as admin:
        client = site.client("admin")
        client.connect()
        body = b'{"name":"alone","memory_kib":2048,"kernel":"hello_qemu-x86_64","start":true}'
        client.sock.sendall(
            f"POST /v1/vms HTTP/1.1\r\nHost: localhost\r\n{client.credentials}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: "alone" in virsh("list", "--all", "--name").split(), "it is under way")
        client.close()
        wait_until(lambda: admin.get("/v1/vms/alone").json.get("state") == "running", "it runs", 20)
        assert admin.delete("/v1/vms/alone").status == 200


# The disk


@contextlib.contextmanager
def filled(directory):
    """Fills the file system for the length of a block, and keeps filling what becomes free."""
    filler, ended = directory / "filler", threading.Event()

    def fill():
        with filler.open("wb", buffering=0) as file:
            while not ended.is_set():
                try:
                    file.write(bytes(4096))
                except OSError:
                    full.set()
                    ended.wait(0.001)

    full, thread = threading.Event(), threading.Thread(target=fill)
    thread.start()
    try:
        assert full.wait(20 * PATIENCE)
        yield
    finally:
        ended.set()
        thread.join()
        filler.unlink()


def refused(client, target, body, made):
    """Repeats a POST that needs space until it is refused: space may have become free just then."""
    def ask():
        answer = client.post(target, json=body)
        if answer.status != 201:
            return answer
        client.delete(made)
        return None

    return wait_until(ask, "there is no room")


def test_only_what_needs_space_fails_while_the_images_disk_is_full():
    SMALL.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", SMALL], check=True)
    try:
        with running_site(images=str(SMALL)) as site, site.client("admin") as admin, load_on(
                site, snapshots=False, tolerated={"storage_unavailable", "start_failed"}) as load:
            assert admin.post("/v1/vms?start=1", **spec("there")).status == 201
            assert admin.post("/v1/vms", **spec("off")).status == 201
            load.wait_for(12)
            with load.fault("disk full under the images root") as fault, filled(SMALL):
                late = refused(admin, "/v1/vms?start=1", spec("late")["json"], "/v1/vms/late")
                snapshots = [refused(admin, f"/v1/vms/{vm}/snapshots", {"name": "s"},
                                     f"/v1/vms/{vm}/snapshots/s") for vm in ("there", "off")]
                load.wait_for(12)
            row = load.report(fault)
            assert admin.get("/v1/vms/late").status == 404
            for vm in ("there", "off"):
                assert admin.get(f"/v1/vms/{vm}/snapshots").json["items"] == []
                assert admin.post(f"/v1/vms/{vm}/snapshots", json={"name": "s"}).status == 201
                assert admin.delete(f"/v1/vms/{vm}").status == 200
            load.settle()
    finally:
        subprocess.run(["umount", SMALL], check=True)
        SMALL.rmdir()
    assert not row.saw and not row.unanswered, row
    assert late.code == "storage_unavailable", late
    for snapshot in snapshots:
        assert snapshot.code == "storage_unavailable" and "free space" in snapshot.json["hint"], snapshot
