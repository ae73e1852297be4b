# SPDX-License-Identifier: MIT
"""Real Linux guests: Debian's kernel, which takes seconds where a unikernel takes less than one.

The guest is made by tests/slow/build. Its command line gives it an address and says what it serves:
the share fs0 by nginx, or by busybox two words, one in memory and one on its disk.
"""

import contextlib
import http.client
import json
import select
import shutil
import time
from pathlib import Path

import pytest
from gateway import PATIENCE, REPO, running_gateway, wait_until
from test_qemu import IMAGES, make_disk, no_vm_stays, said, virsh  # noqa: F401

pytestmark = pytest.mark.qemu

SHARE = Path("/var/lib/libvirt/fs/fs0")
MEMORY_KIB = 196608
SILENCE = 2  # seconds in which a guest that runs would have answered


@pytest.fixture(scope="module")
def gateway():
    for file in "vmlinuz", "initrd":
        shutil.copy(REPO / "build/slow" / file, IMAGES)
    with running_gateway(uri="qemu:///system", accel="tcg") as gateway:
        yield gateway


def linux(name, address, serve, **fields):
    """A spec of the guest."""
    return {
        "name": name, "kernel": "vmlinuz", "initrd": "initrd", "memory_kib": MEMORY_KIB,
        "cmdline": f"console=ttyS0 quiet ADDRESS={address}/24 SERVE={serve}",
        "serial": {"type": "pty", "log": f"serial-{name}.log", "append": True}, "start": True,
        **fields,
    }


@contextlib.contextmanager
def timed(what):
    start = time.monotonic()
    yield
    print(f"\n  {time.monotonic() - start:5.1f} s  {what}", end=" ", flush=True)


class Guest:
    """A client of the guest's web server."""

    def __init__(self, name, address):
        self.name = name
        self.address = address

    def get(self, path="/"):
        """(status, Server, body), or None if there is no answer."""
        connection = http.client.HTTPConnection(self.address, timeout=SILENCE * PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.headers["Server"], response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def wait(self, path="/", body=b"", seconds=120):
        """Waits for a 200, with this body if one is given."""
        def serves():
            assert "Kernel panic" not in said(self.name)
            answer = self.get(path)
            return answer and answer[0] == 200 and body in (b"", answer[2]) and answer

        try:
            return wait_until(serves, f"{self.name} serves {path}", seconds)
        except AssertionError:
            print("\n" + said(self.name)[-5000:])
            raise

    def state(self, word=""):
        """The boot id and the two words, after an optional change of a word."""
        return json.loads(self.wait(f"/cgi-bin/state?{word}")[2])


def test_nginx_on_linux_serves_a_share_through_the_life_of_its_vm(admin):
    SHARE.mkdir()
    page = SHARE / "index.html"
    page.write_text("the first page\n")
    guest = Guest("web", "192.168.122.50")
    # With a disk, as a snapshot needs one.
    spec = linux("web", guest.address, "nginx", template="nginx", carrier_disk=True)

    with timed("dry run"):
        answer = admin.post("/v1/vms?dry_run=1", json=spec)
    assert answer.status == 200 and answer.json["ok"] is True, answer
    assert f"ADDRESS={guest.address}" in answer.json["command_line"]
    assert virsh("list", "--all", "--name") == "" and guest.get() is None

    with timed("from the request to the first page"):
        with timed("created"):
            answer = admin.post("/v1/vms", json=spec)
        assert (answer.status, answer.json["state"]) == (201, "running"), answer
        status, server, body = guest.wait()
    assert server.startswith("nginx/") and body == b"the first page\n"
    at = answer.location
    vm = admin.get(at).json
    assert (vm["name"], vm["state"], vm["memory_kib"]) == ("web", "running", MEMORY_KIB)
    assert vm["persistent"] is True and vm["has_snapshots"] is False

    with timed("an edited page"):
        page.write_text("the second page\n")
        guest.wait(body=b"the second page\n")

    # A request during the suspension is answered after the resume.
    connection = http.client.HTTPConnection(guest.address, timeout=60 * PATIENCE)
    connection.request("GET", "/")
    connection.getresponse().read()
    assert admin.post(f"{at}/suspend").json["state"] == "paused"
    connection.request("GET", "/")
    assert not select.select([connection.sock], [], [], SILENCE)[0]
    with timed("resumed, and an answer"):
        assert admin.post(f"{at}/resume").json["state"] == "running"
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"the second page\n")
    connection.close()

    answer = admin.post(f"{at}/snapshots", json={"name": "early"})
    assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
    assert "9p share" in answer.json["detail"] and "unmount" in answer.json["hint"], answer
    assert admin.get(f"{at}/snapshots").json == {"items": []}
    guest.wait(body=b"the second page\n")

    with timed("stopped"):
        answer = admin.post(f"{at}/stop", json={"mode": "kill"})
    assert (answer.status, answer.json["state"], answer.json["changed"]) == (200, "shutoff", True)
    assert guest.get() is None and admin.get(at).json["state"] == "shutoff"
    with timed("from the next start to the page"):
        answer = admin.post(f"{at}/start")
        assert (answer.status, answer.json["state"]) == (200, "running"), answer
        guest.wait(body=b"the second page\n")

    answer = admin.delete(at)
    assert (answer.status, answer.json["stopped"]) == (200, True), answer
    assert set(answer.json["removed"]) == {"definition", "carrier_disk"}, answer
    assert admin.get(at).status == 404 and virsh("list", "--all", "--name") == ""
    assert guest.get() is None and page.read_text() == "the second page\n"


def test_linux_with_a_disk_goes_back_to_a_snapshot_of_memory_and_disk(admin):
    make_disk("words.qcow2")
    guest = Guest("words", "192.168.122.51")
    spec = linux("words", guest.address, "httpd", interfaces=[{"bridge": "virbr0"}],
                 disks=[{"source": "words.qcow2", "format": "qcow2", "bus": "virtio"}])
    with timed("from the request to the first answer"):
        answer = admin.post("/v1/vms", json=spec)
        assert (answer.status, answer.json["state"]) == (201, "running"), answer
        early = guest.state("early")
    assert (early["memory"], early["disk"]) == ("early", "early")
    at = answer.location

    with timed("a snapshot"):
        answer = admin.post(f"{at}/snapshots", json={"name": "early"})
    assert (answer.status, answer.json["state"]) == (201, "running"), answer
    assert guest.state("late") == {"boot": early["boot"], "memory": "late", "disk": "late"}
    with timed("reverted, and an answer"):
        revert = admin.post(f"{answer.location}/revert")
        assert (revert.status, revert.json["state"]) == (200, "running"), revert
        assert guest.state() == early
    assert admin.get(at).json["has_snapshots"] is True

    answer = admin.delete(at)
    assert (answer.status, answer.json["stopped"]) == (200, True), answer
    assert set(answer.json["removed"]) == {"definition", "snapshot_metadata"}, answer
    assert (IMAGES / "words.qcow2").exists()


def test_linux_obeys_a_request_to_shut_down(admin):
    make_disk("polite.qcow2")
    guest = Guest("polite", "192.168.122.52")
    spec = linux("polite", guest.address, "httpd", interfaces=[{"bridge": "virbr0"}],
                 disks=[{"source": "polite.qcow2", "format": "qcow2", "bus": "virtio"}])
    answer = admin.post("/v1/vms", json=spec)
    assert (answer.status, answer.json["state"]) == (201, "running"), answer
    at = answer.location
    guest.state("early")
    with timed("shut down by ACPI"):
        answer = admin.post(f"{at}/stop", json={"timeout": 60})
    assert (answer.status, answer.json["state"]) == (200, "shutoff"), answer
    assert (answer.json["changed"], answer.json["how"]) == (True, "acpi")
    assert answer.json["reason"] == "shutdown" == admin.get(at).json["reason"]
    assert "the power button was pressed" in said("polite")

    assert admin.post(f"{at}/start").json["state"] == "running"
    assert guest.state("late")["disk"] == "late"
    answer = admin.post("/v1/vms:stop", json={"refs": ["polite"], "timeout": 60})
    assert [item.get("how") for item in answer.json["items"]] == ["acpi"], answer
    assert admin.delete(at).status == 200


def test_addresses_from_the_guest_agent_are_shown_without_delay(admin):
    guest = Guest("agent", "192.168.122.53")
    answer = admin.post("/v1/vms", json=linux(
        "agent", guest.address, "httpd", template="linux", disks=[],
        interfaces=[{"bridge": "virbr0"}]))
    assert (answer.status, answer.json["state"]) == (201, "running"), answer
    at = answer.location
    slowest = 0

    def addresses():
        nonlocal slowest
        start = time.monotonic()
        interface, = admin.get(at).json["interfaces"]
        slowest = max(slowest, time.monotonic() - start)
        return {a["address"]: a for a in interface["addresses"] if a["source"] == "agent"}

    with timed("from the request to what the agent says"):
        said_by_agent = wait_until(
            lambda: {a["family"] for a in addresses().values()} == {"ipv4", "ipv6"} and addresses(),
            "the agent has told its addresses of both families", 120)
    assert said_by_agent[guest.address] == {
        "address": guest.address, "prefix": 24, "family": "ipv4", "source": "agent"}
    assert any(a["family"] == "ipv6" for a in said_by_agent.values())
    # An agent that does not answer: its last addresses are shown meanwhile.
    assert admin.post(f"{at}/suspend").json["state"] == "paused"
    until = time.monotonic() + 7 * PATIENCE
    while time.monotonic() < until:
        assert guest.address in addresses()
        time.sleep(0.2)
    assert slowest < 1 * PATIENCE

    assert admin.post(f"{at}/resume").json["state"] == "running"
    with timed("shut down by the agent"):
        answer = admin.post(f"{at}/stop", json={"mode": "agent", "timeout": 60})
    assert (answer.status, answer.json["state"], answer.json["how"]) == (200, "shutoff", "agent"), answer
    assert "the agent was asked" in said("agent")
    assert admin.delete(at).status == 200
