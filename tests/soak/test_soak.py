# SPDX-License-Identifier: MIT
"""Mixed requests for SOAK_SECONDS (600) with one random fault after the other.

After each fault all requests must succeed again. At the end each VM must be as the accepted
requests explain, and virtgate no larger than before. SOAK_SEED repeats a run's order of faults. The
first of the two virtgates is never ended, so that it shows what accumulates.
"""

import contextlib
import os
import random
import resource
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import faults
import pytest
from backends import limited
from faults import FAULT_SECONDS, Load, Row
from gateway import PATIENCE, Process, stopped, wait_until
from test_faults import SLOW, Rude
from test_qemu import qemu_pid
from test_qemu_faults import LIBVIRTD, SMALL, filled, kill_one, running_site, spec

pytestmark = [pytest.mark.qemu, pytest.mark.faults]

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or random.randrange(1, 1 << 31)
CLIENTS = 6
CONNECTIONS = 8  # from a virtgate to libvirt
# How much may differ between two idle moments. Connections to libvirt are opened as needed and have
# two descriptors each; malloc keeps freed memory.
MORE_DESCRIPTORS, MORE_THREADS, MORE_KIB = 2 * CONNECTIONS, 2, 8 * 1024
TOLERATED = {
    "hypervisor_unavailable", "deadline_exceeded", "backend_unavailable", "internal",
    "start_failed", "storage_unavailable", "snapshot_unsupported",
    "policy_denied",  # without descriptors it cannot check a VM's files, and refuses them
}


# The faults. Each is a function of the site, the load and the random generator.

def kill_qemu(site, load, chance):
    kill_one(chance.sample(load.watchers, CLIENTS))
    load.go_on_for(2)


def pid_of_running(watchers):
    for watcher in watchers:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return qemu_pid(watcher.name)
    return None


def stop_qemu(site, load, chance):
    pid = pid_of_running(chance.sample(load.watchers, CLIENTS))
    if pid:
        with stopped(pid):
            load.go_on_for(FAULT_SECONDS)


def reload_nginx(site, load, chance):
    site.reload_nginx()


def restart_nginx(site, load, chance):
    site.nginx.send_signal(signal.SIGQUIT)
    assert site.nginx.wait(60 * PATIENCE) == 0
    load.go_on_for(1)
    site.start_nginx()


def signal_virtgate(number):
    return lambda site, load, chance: site.backends[1].signal(number)


def stop_virtgate(site, load, chance):
    with stopped(site.backends[1].pid):
        load.go_on_for(FAULT_SECONDS)


def starve_of_descriptors(site, load, chance):
    pid = site.backends[0].pid
    with limited(pid, (resource.RLIMIT_NOFILE, Process(pid).descriptors())):
        load.go_on_for(2)


def starve_of_memory(site, load, chance):
    process = Process(site.backends[1].pid)
    size, data = (process.status(field) * 1024 for field in ("VmSize", "VmData"))
    with limited(site.backends[1].pid, (resource.RLIMIT_AS, size), (resource.RLIMIT_DATA, data)), \
            site.client("admin") as admin:
        admin.beyond = (500,)
        for _ in range(8):
            admin.post("/v1/vms", body=b" " * (250 << 10), type="application/json")
        load.go_on_for(1)


def be_slow(site, load, chance):
    with Rude(site) as rude:
        SLOW[chance.choice(list(SLOW))](rude)
        load.go_on_for(5)


def fill_disk(site, load, chance):
    with filled(SMALL):
        load.go_on_for(3)


FAULTS = {
    **{f"libvirtd: {name}": lambda site, load, chance, f=f: f(site, load)
       for name, f in LIBVIRTD.items() if "socket" not in name},
    "QEMU: SIGKILL of one": kill_qemu,
    f"QEMU: SIGSTOP of one for {FAULT_SECONDS:.0f} s": stop_qemu,
    "nginx: reload": reload_nginx,
    "nginx: SIGQUIT, restarted after 1 s": restart_nginx,
    "virtgate: SIGTERM, one of two": signal_virtgate(signal.SIGTERM),
    "virtgate: SIGKILL, one of two": signal_virtgate(signal.SIGKILL),
    f"virtgate: SIGSTOP of one for {FAULT_SECONDS:.0f} s": stop_virtgate,
    "virtgate: no descriptor left for 2 s": starve_of_descriptors,
    "virtgate: no memory left for 1 s, one of two": starve_of_memory,
    "clients: 20 to 50 are slow": be_slow,
    "disk full under the images root for 3 s": fill_disk,
}


class Size:
    """The size of an idle virtgate, with all its connections to libvirt and none from nginx."""

    def __init__(self, site):
        def ask(_):
            with site.client("admin") as client:
                return [client.get("/v1/vms").status for _ in range(5)]

        with ThreadPoolExecutor(2 * CONNECTIONS) as pool:
            assert {s for all in pool.map(ask, range(2 * CONNECTIONS)) for s in all} == {200}
        process = Process(site.backends[0].pid)
        site.stop_nginx()
        seen = []

        def steady():
            seen.append(process.descriptors())
            return seen[-20:] == [seen[-1]] * 20

        wait_until(steady, "the descriptors are steady", 30)
        self.descriptors, self.threads, self.kib = seen[-1], process.threads(), process.rss_kib()
        site.start_nginx()
        site.wait_ready()

    def __str__(self):
        return f"{self.descriptors} descriptors, {self.threads} threads, {self.kib} KiB"


@pytest.fixture
def site():
    SMALL.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", SMALL], check=True)
    try:
        with running_site(images=str(SMALL), connections=CONNECTIONS) as site:
            yield site
    finally:
        subprocess.run(["umount", SMALL], check=True)
        SMALL.rmdir()


def play(site, chance, seconds):
    """Runs a load with faults, each equally often; returns fault -> rows, and all requests."""
    rows, names = {}, []
    end = time.monotonic() + seconds
    with Load(site, spec, count=CLIENTS, seed=chance.random(), tolerated=TOLERATED) as load:
        load.wait_for(12)
        while time.monotonic() < end:
            names = names or chance.sample(list(FAULTS), len(FAULTS))
            name = names.pop()
            print(f"{end - time.monotonic():6.1f} s left: {name}", flush=True)
            with load.fault(name) as fault:
                FAULTS[name](site, load, chance)
            rows.setdefault(name, []).append(load.report(fault))
            load.settle_on_the_way()
        load.settle()
        return rows, load.records()


def test_random_faults_under_load_are_all_recovered_from(site, capsys):
    with capsys.disabled():
        print(f"\nSOAK_SEED={SEED} SOAK_SECONDS={SECONDS:.0f}", flush=True)
        chance = random.Random(SEED)
        play(site, chance, SECONDS / 5)
        faults.rows.clear()
        before = Size(site)
        rows, records = play(site, chance, SECONDS * 4 / 5)
        after = Size(site)
        faults.rows[:] = [Row.worst(rows[name]) for name in FAULTS if name in rows]
        print(f"{faults.table()}\n\n{len(records)} requests, {sum(r.failed for r in records)} failed, "
              f"{sum(r.unanswered for r in records)} unanswered; virtgate before: {before}; "
              f"after: {after}", flush=True)
    assert not [r for r in records if r.unanswered]
    assert after.descriptors <= before.descriptors + MORE_DESCRIPTORS, (str(before), str(after))
    assert after.threads <= before.threads + MORE_THREADS, (str(before), str(after))
    assert after.kib <= before.kib + MORE_KIB, (str(before), str(after))
