# SPDX-License-Identifier: MIT
"""Fixtures of all tests that are written in Python: gateways, clients and VMs."""

import itertools
import os

import pytest
from gateway import Gateway, running_gateway


def pytest_runtest_setup(item):
    if item.get_closest_marker("qemu") and "LIBVIRTD_PID_FILE" not in os.environ:
        pytest.skip("runs in tests/e2e/namespace only")


numbers = itertools.count(1)
VIDEO = "<devices><video><model type='vga' heads='1'/></video></devices>"


def test_domain(name, inside="", uuid=None):
    """Domain XML for libvirt's test driver."""
    uuid = f"<uuid>{uuid}</uuid>" if uuid else ""
    return (f"<domain type='test'><name>{name}</name>{uuid}<memory unit='KiB'>8192</memory>"
            f"<vcpu>1</vcpu><os><type>hvm</type></os>{inside}</domain>")


test_domain.__test__ = False


@pytest.fixture(scope="module")
def gateway():
    """virtgate behind nginx on libvirt's test driver, shared by the tests of a file."""
    with running_gateway() as gateway:
        yield gateway


@pytest.fixture
def new_gateway():
    """Makes gateways for one test; they are stopped and checked at its end."""
    made = []

    def make(start=True, **how):
        made.append(Gateway(**how))
        return made[-1].start() if start else made[-1]

    yield make
    for gateway in made:
        gateway.stop()


@pytest.fixture
def clients(gateway):
    """Opens one client per user name; their connections are closed at the test's end."""
    opened = {}

    def client(user):
        if user not in opened:
            opened[user] = gateway.client(user)
        return opened[user]

    yield client
    for client in opened.values():
        client.close()


@pytest.fixture
def admin(clients):
    return clients("admin")


@pytest.fixture
def operator(clients):
    return clients("operator")


@pytest.fixture
def viewer(clients):
    return clients("viewer")


@pytest.fixture
def stranger(clients):
    """A client without credentials."""
    return clients(None)


@pytest.fixture
def new_name():
    """Returns a VM's name that no other test uses."""
    return lambda: f"vm-{next(numbers)}"


@pytest.fixture
def new_vm(admin, new_name):
    """Creates VMs on the test driver, returns each as the API shows it, deletes them afterwards."""
    made = []

    def make(name=None, inside="", **options):
        name = name or new_name()
        answer = admin.post("/v1/vms", json={"xml": test_domain(name, inside), **options})
        assert answer.status == 201, answer
        made.append(answer.json["uuid"])
        return answer.json

    yield make
    for uuid in made:
        assert admin.delete(f"/v1/vms/{uuid}").status in (200, 404)
