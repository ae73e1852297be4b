# SPDX-License-Identifier: MIT
"""A file has one format on a host: a guest that writes an image header into its raw disk gains
nothing, whatever its VM or another becomes afterwards.

The test writes what the guest would write. That each way of naming a file counts is tested in
tests/storage/test_formats.c.
"""

import subprocess

import pytest
from gateway import running_gateway
from test_policy import CANARY, canaries, set_files, trace  # noqa: F401
from test_qemu import DISK, IMAGES, domain, no_vm_stays, virsh  # noqa: F401

pytestmark = pytest.mark.qemu

RAW, QCOW2 = DISK.replace("qcow2", "raw").format("guest.img"), DISK.format("guest.img")


@pytest.fixture(scope="module")
def gateway():
    set_files()
    with running_gateway(uri="qemu:///system", accel="tcg") as gateway:
        yield gateway


def write_header(*options):
    """Writes into the image what qemu-img makes, as its guest could."""
    made = IMAGES / "made-by-guest"
    subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", *options, made, "1M"], check=True)
    with open(IMAGES / "guest.img", "r+b") as image:
        image.write(made.read_bytes())
    made.unlink()


def write_hostile_header():
    write_header("-b", str(CANARY / "secret"), "-F", "raw")


@pytest.fixture
def image(canaries):  # noqa: F811
    file = IMAGES / "guest.img"
    file.write_bytes(bytes(1 << 20))
    yield file
    assert trace(CANARY) == canaries
    file.unlink()


def put(admin, name, devices, query=""):
    return admin.request("PUT", f"/v1/vms/{name}/xml{query}", xml=domain(name, devices=devices))


def refused(answer, owner, now="raw"):
    assert (answer.status, answer.code) == (422, "policy_denied"), answer
    detail = answer.json["detail"]
    assert f"image 'guest.img' is {now} in {owner}, so it cannot be" in detail, detail
    assert owner in answer.json["hint"], answer


def define_as_other_tool(name, devices):
    """Without virtgate, or as an older one may have done."""
    xml = domain(name, devices=devices, type="qemu", log=False)
    for before in "<source file='", "<kernel>":
        xml = xml.replace(before, f"{before}{IMAGES}/")
    file = CANARY.parent / "other-tools.xml"
    file.write_text(xml)
    virsh("define", str(file))
    file.unlink()


@pytest.mark.parametrize("start", ["", "?start=1"])
def test_the_raw_disk_of_a_vm_cannot_become_qcow2(admin, operator, image, start):
    assert admin.post(f"/v1/vms{start}", xml=domain("web", devices=RAW)).status == 201
    write_header()
    definition = admin.get("/v1/vms/web/xml").body
    for query in "", "?dry_run=1":
        refused(put(admin, "web", QCOW2, query), "VM 'web'")
    for query in "", "?start=1", "?persistent=0", "?dry_run=1":
        refused(admin.post(f"/v1/vms{query}", xml=domain("led", devices=QCOW2)), "VM 'web'")
    assert admin.get("/v1/vms/web/xml").body == definition
    assert admin.get("/v1/vms/led").status == 404
    # An image above it takes it for qcow2, too.
    subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "guest.img", "-F", "qcow2",
                    IMAGES / "above", "1M"], check=True)
    refused(admin.post("/v1/vms", xml=domain("led", devices=DISK.format("above"))), "VM 'web'")
    (IMAGES / "above").unlink()
    # libvirt starts the VM with the host, by the definition that it has.
    assert operator.request("PATCH", "/v1/vms/web", json={"autostart": True}).status == 200
    assert "type='raw'" in virsh("dumpxml", "--inactive", "web")


def test_what_a_vm_still_runs_with_counts(admin, image):
    assert admin.post("/v1/vms?start=1", xml=domain("web", devices=RAW)).status == 201
    write_header()
    assert put(admin, "web", "").status == 200  # the definition has no disk any longer
    refused(put(admin, "web", QCOW2), "VM 'web'")
    refused(admin.post("/v1/vms", xml=domain("led", devices=QCOW2)), "VM 'web'")
    virsh("undefine", "web")
    refused(admin.post("/v1/vms", xml=domain("led", devices=QCOW2)), "VM 'web'")
    virsh("destroy", "web")
    # Nobody has it as raw: the header decides, and from now on only QEMU writes it.
    write_hostile_header()
    answer = admin.post("/v1/vms", xml=domain("led", devices=QCOW2))
    assert answer.status == 422 and "backing file outside" in str(answer.json["violations"]), answer
    write_header()
    assert admin.post("/v1/vms?start=1", xml=domain("led", devices=QCOW2)).status == 201
    image.write_bytes(bytes(1 << 20))  # so that the policy does not see a header in a raw image
    refused(admin.post("/v1/vms", xml=domain("web", devices=RAW)), "VM 'led'", "qcow2")
    refused(put(admin, "led", RAW), "VM 'led'", "qcow2")


def test_a_managed_save_counts_until_it_is_dropped(admin, operator, image):
    assert admin.post("/v1/vms?start=1", xml=domain("web", devices=RAW)).status == 201
    assert operator.post("/v1/vms/web/save").status == 200
    assert put(admin, "web", "").status == 200
    write_header()
    refused(put(admin, "web", QCOW2), "the managed save of VM 'web'")
    refused(admin.post("/v1/vms", xml=domain("led", devices=QCOW2)), "the managed save of VM 'web'")
    assert operator.delete("/v1/vms/web/save").status == 200
    assert put(admin, "web", QCOW2).status == 200


def test_a_snapshot_counts_and_so_does_a_revert_to_it(admin, operator, image):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", IMAGES / "own.qcow2", "1M"], check=True)
    own = DISK.replace("hda", "hdb").format("own.qcow2")
    medium = RAW.replace("device='disk'", "device='cdrom'")  # no snapshot leaves out a raw disk
    assert admin.post("/v1/vms", xml=domain("web", devices=medium + own)).status == 201
    assert operator.post("/v1/vms/web/snapshots", json={"name": "s"}).status == 201
    assert put(admin, "web", own).status == 200
    write_header()
    refused(put(admin, "web", QCOW2 + own), "a snapshot of VM 'web'")
    refused(admin.post("/v1/vms", xml=domain("led", devices=QCOW2)), "a snapshot of VM 'web'")
    define_as_other_tool("led", QCOW2)
    refused(operator.post("/v1/vms/web/snapshots/s/revert"), "VM 'led'", "qcow2")
    (IMAGES / "own.qcow2").unlink()


def test_a_vm_of_another_tool_that_breaks_the_rule_is_not_started(admin, operator, image):
    assert admin.post("/v1/vms", xml=domain("web", devices=RAW)).status == 201
    write_header()
    define_as_other_tool("led", QCOW2)
    for name, other, now in ("led", "web", "raw"), ("web", "led", "qcow2"):
        refused(operator.post(f"/v1/vms/{name}/start"), f"VM '{other}'", now)
        answer = operator.request("PATCH", f"/v1/vms/{name}", json={"autostart": True, "title": "t"})
        refused(answer, f"VM '{other}'", now)
        vm = admin.get(f"/v1/vms/{name}").json
        assert (vm["state"], vm["autostart"], vm["title"]) == ("shutoff", False, None), vm
    assert operator.request("PATCH", "/v1/vms/led", json={"title": "t"}).status == 200
    assert admin.delete("/v1/vms/web").status == 200
    assert operator.request("PATCH", "/v1/vms/led", json={"autostart": True}).status == 200
    assert operator.post("/v1/vms/led/start").status == 200
