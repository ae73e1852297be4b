# SPDX-License-Identifier: MIT
"""Two virtgates behind one nginx, each under a supervisor that holds its socket: what clients see
when one of them ends or hangs.

The host is libvirt's test driver in the daemon. Its mutations take hardly any time, so that many
are made, and a fault meets them at every point between client and libvirt.
"""

import contextlib
import os
import re
import resource
import signal
import subprocess
import time
from collections import Counter

import pytest
from backends import Site, limited
from conftest import test_domain
from faults import FAULT_SECONDS, READS, Load
from gateway import PATIENCE, Process, wait_until

pytestmark = [pytest.mark.qemu, pytest.mark.faults]

URI = "test+unix:///default"
TURNS = 6


@pytest.fixture(scope="module")
def host():
    """The test driver loses its VMs with its last connection: this fixture keeps one open."""
    keeper = subprocess.Popen(["virsh", "-q", "-c", URI, "event", "--all", "--loop"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield
        assert keeper.poll() is None
    finally:
        keeper.kill()
        keeper.wait()


@contextlib.contextmanager
def running(**how):
    site = Site(uri=URI, **how)
    try:
        yield site.start()
    finally:
        site.stop()


@pytest.fixture
def site(host):
    with running() as site:
        yield site


@pytest.fixture
def single(host):
    with running(count=1) as site:
        yield site


def load_on(site, **how):
    return Load(site, lambda name: {"xml": test_domain(name)}, **{"count": 8, "think": 0.002, **how})


def failed_but_readyz(load, fault):
    """The failed requests, but for a 503 of /readyz, which a draining virtgate is meant to
    answer."""
    return [r for r in load.records(fault.start)
            if r.failed and (r.kind, r.said()) != ("readyz", "503 draining")]


def served(site, methods=r"\w+"):
    return Counter(re.findall(rf' request id=(\w+) method="(?:{methods})"', site.log()))


@pytest.mark.parametrize("how", ["SIGTERM", "POST /shutdown"])
def test_no_request_fails_when_one_of_two_virtgates_is_asked_to_end(site, how):
    with load_on(site) as load:
        load.wait_for(30)
        with load.fault(f"virtgate: {how}, one of two ({TURNS} times)") as fault:
            for turn in range(TURNS):
                count = sum(len(backend.ends) for backend in site.backends)
                if how == "SIGTERM":
                    site.backends[turn % 2].signal(signal.SIGTERM)
                else:
                    with site.client("admin") as admin:
                        assert admin.post("/shutdown").status == 200
                    wait_until(lambda n=count: all(b.serves() for b in site.backends) and
                               sum(len(b.ends) for b in site.backends) > n, "it is back", 40)
                load.wait_for(10)
        load.report(fault)
        load.settle()
    assert not failed_but_readyz(load, fault)
    assert all(status == 0 for backend in site.backends for _, status in backend.ends)
    assert max(served(site).values()) == 1, "each reaches virtgate once"


def test_no_request_fails_when_the_only_virtgate_is_asked_to_end(single):
    """The supervisor holds the socket: a request that arrives meanwhile waits a moment."""
    with load_on(single) as load:
        load.wait_for(30)
        with load.fault(f"virtgate: SIGTERM, the only one ({TURNS} times)") as fault:
            for _ in range(TURNS):
                single.backends[0].signal(signal.SIGTERM)
                load.wait_for(10)
        load.report(fault)
        load.settle()
    assert not failed_but_readyz(load, fault)


def test_no_read_fails_and_no_change_is_repeated_when_a_virtgate_is_killed(site):
    with load_on(site, tolerated={"backend_unavailable"}) as load:
        load.wait_for(30)
        with load.fault(f"virtgate: SIGKILL, one of two ({TURNS} times)") as fault:
            took = []
            for turn in range(TURNS):
                start = time.monotonic()
                site.backends[turn % 2].signal(signal.SIGKILL)
                took.append(time.monotonic() - start)
                load.wait_for(10)
        row = load.report(fault)
        reads = [r for r in load.records(fault.start) if r.failed and r.kind in READS]
        load.settle()
    assert not reads, reads[:3]
    assert set(row.saw) <= {"502 backend_unavailable"} and not row.unanswered, row
    # A busy machine may take its time now and then.
    assert min(took) < 1 * PATIENCE and max(took) < 5 * PATIENCE, took
    # nginx repeats a read whose answer was lost.
    assert max(served(site, "POST|DELETE").values()) == 1, "no change is sent twice"


def test_another_virtgate_takes_over_the_reads_of_one_that_hangs(site):
    """nginx notices by its timeout that one hangs; it repeats reads, but not changes."""
    with load_on(site, tolerated={"backend_unavailable", "deadline_exceeded"}) as load:
        load.wait_for(30)
        with load.fault("virtgate: SIGSTOP, one of two") as fault:
            hanging = site.backends[0].pid
            os.kill(hanging, signal.SIGSTOP)
            try:
                load.go_on_for(FAULT_SECONDS)
            finally:
                os.kill(hanging, signal.SIGCONT)
        row = load.report(fault)
        load.settle()
    reads = load.records(fault.start, fault.end, kind=READS)
    assert not [r for r in reads if r.failed], row
    assert not row.unanswered and row.recovered < 2 * PATIENCE, row


def test_a_virtgate_out_of_memory_answers_500_or_is_restarted(site):
    with load_on(site, tolerated={"backend_unavailable", "internal", "host_busy"}) as load:
        load.wait_for(30)
        backend = site.backends[0]
        process = Process(backend.pid)
        size, data = (process.status(field) * 1024 for field in ("VmSize", "VmData"))
        with load.fault("virtgate: no memory left, one of two") as fault, site.client("admin") as admin, \
                limited(backend.pid, (resource.RLIMIT_AS, size), (resource.RLIMIT_DATA, data)):
            admin.beyond = (500,)
            # virtgate may still have enough freed memory for the first of them.
            large = [admin.post("/v1/vms", body=b" " * (250 << 10), type="application/json")
                     for _ in range(20)]
            load.wait_for(10)
        row = load.report(fault)
        load.settle()
    assert {answer.status for answer in large} <= {400, 500, 502}, large
    assert set(row.saw) <= {"500 internal", "502 backend_unavailable", "503 host_busy"}, row
    assert not row.unanswered and row.recovered < 2 * PATIENCE, row
