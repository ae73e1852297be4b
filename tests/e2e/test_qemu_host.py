# SPDX-License-Identifier: MIT
"""The host and /metrics under QEMU."""

import concurrent.futures
import os
import platform
import signal
import xml.etree.ElementTree as ET

import exposition
import pytest
from gateway import wait_until
from test_qemu import (  # noqa: F401
    create,
    domain,
    gateway,
    no_vm_stays,
    qemu_pid,
    virsh,
)

pytestmark = pytest.mark.qemu


def scrape(client):
    return exposition.read(client.get("/metrics").body.decode())


def of_host(metrics, name):
    return metrics[(name, frozenset({("host", "local")}))]


def test_host_facts_agree_with_the_kernel_and_libvirt(viewer):
    host = viewer.get("/v1/host").json
    capabilities = ET.fromstring(virsh("capabilities"))
    guests = {arch.get("name") for arch in capabilities.findall("guest/arch")}
    assert (host["driver"], host["architecture"]) == ("QEMU", platform.machine())
    assert set(host["architectures"]) == guests and host["architecture"] in guests
    assert host["cpus"] == os.cpu_count()
    assert host["memory_kib"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") // 1024
    assert 0 < host["memory_free_kib"] + host["memory_cached_kib"] < host["memory_kib"]
    assert host["hostname"] == virsh("hostname").strip()
    features = viewer.get("/v1").json["features"]
    assert (features["kvm"], features["simulated"]) == (host["kvm"], False)


def test_kvm_is_true_if_libvirt_offers_it(viewer):
    offered = {d.get("type") for d in ET.fromstring(virsh("capabilities")).findall("guest/arch/domain")}
    assert viewer.get("/v1/host").json["kvm"] == ("kvm" in offered)


def test_a_waiting_stop_is_counted_as_long_work_and_in_flight(gateway, viewer, create):  # noqa: F811
    acpi = domain("rude").replace("<devices>", "<features><acpi/></features><devices>", 1)
    uuid = create(acpi)["uuid"]

    def stop():
        with gateway.client("operator") as client:
            return client.post(f"/v1/vms/{uuid}/stop", json={"timeout": 60})

    assert of_host(scrape(viewer), "virtgate_long_work") == 0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(stop)
        wait_until(lambda: of_host(scrape(viewer), "virtgate_long_work") == 1, "the stop is seen")
        assert scrape(viewer)[("virtgate_requests_in_flight", frozenset())] == 2
        with gateway.client("operator") as client:
            assert client.post(f"/v1/vms/{uuid}/stop", json={"mode": "kill"}).status == 200
        assert running.result().status == 200
    after = scrape(viewer)
    assert of_host(after, "virtgate_long_work") == 0
    assert after[("virtgate_requests_in_flight", frozenset())] == 1


def test_a_hanging_qemu_does_not_delay_metrics(viewer, create):  # noqa: F811
    vm = create(domain("stuck"))
    os.kill(qemu_pid("stuck"), signal.SIGSTOP)
    try:
        who = {"host": "local", "uuid": vm["uuid"], "name": "stuck", "state": "running"}
        assert scrape(viewer)[("virtgate_vm_state", frozenset(who.items()))] == 1
        assert viewer.get("/v1/host").json["vms"]["running"] == 1
    finally:
        os.kill(qemu_pid("stuck"), signal.SIGCONT)
