# SPDX-License-Identifier: MIT
"""Snapshots under QEMU: which VMs can have one, what is refused and why, and keys."""

import concurrent.futures
import re
import subprocess
import threading

import pytest
from gateway import running_gateway, wait_until
from test_guests import SHARED, Starter, share  # noqa: F401
from test_qemu import (  # noqa: F401
    IMAGES, create, domain, gateway, last_tick, no_vm_stays, virsh, wait_for_tick)
from test_snaps import if_match, items, key, names

pytestmark = pytest.mark.qemu


def disk(image, target="vda", bus="virtio", format="qcow2", more="", device="disk", setting=""):
    """XML of a disk with a new image. setting: more attributes; more: more elements."""
    path = IMAGES / f"{image}-{target}.img"
    size = "1440K" if device == "floppy" else "1M"
    subprocess.run(["qemu-img", "create", "-q", "-f", format, path, size], check=True)
    return (f"<disk type='file' device='{device}'{setting}><driver name='qemu' type='{format}'/>"
            f"<source file='{path}'/><target dev='{target}' bus='{bus}'/>{more}</disk>")


def empty(device, target, bus):
    return f"<disk type='file' device='{device}'><target dev='{target}' bus='{bus}'/></disk>"


RO = "<readonly/>"


@pytest.fixture
def define(tmp_path):
    """Defines a VM by virsh, as virtgate's policy would refuse it."""
    def define(xml, os=""):
        file = tmp_path / "vm.xml"
        xml = xml.replace("type='kvm'", "type='qemu'").replace("hello_", f"{IMAGES}/hello_")
        xml = re.sub("<log [^>]*>", "", xml)
        file.write_text(re.sub("<kernel>.*</kernel>", os, xml) if os else xml)
        virsh("define", str(file))
    yield define
    for vm in virsh("list", "--all", "--name").split():
        if virsh("domstate", vm) == "running":
            virsh("destroy", vm)
        virsh("undefine", "--nvram", "--snapshots-metadata", vm)


# Snapshots of kinds of disks


def many_disks(name):
    return (disk(name, "vda") + disk(name, "vdb", more=RO) + disk(name, "vdc", format="raw", more=RO)
            + disk(name, "hdc", "ide", format="raw", device="cdrom", more=RO)
            + empty("cdrom", "hdd", "ide") + empty("floppy", "fda", "fdc"))


def test_a_snapshot_leaves_out_read_only_and_empty_disks(admin, create):
    vm = create(domain("many", devices=many_disks("many")), "")
    at = f"/v1/vms/{vm['uuid']}"
    answer = admin.post(f"{at}/snapshots", json={"name": "off"})
    assert (answer.status, answer.json["memory"], answer.json["disks"]) == (201, False, "internal"), answer
    assert admin.post(f"{at}/start").status == 200
    answer = admin.post(f"{at}/snapshots", json={"name": "on"})
    assert (answer.status, answer.json["memory"], answer.json["disks"]) == (201, True, "internal"), answer
    for name, state in ("off", "shutoff"), ("on", "running"):
        answer = admin.post(f"{at}/snapshots/{name}/revert")
        assert (answer.status, answer.json["state"]) == (200, state), answer


UEFI = ("<loader readonly='yes' type='pflash'>/var/lib/libvirt/images/code.fd</loader>"
        "<nvram>/var/lib/libvirt/images/vars.fd</nvram>")
# The reason of the refusal, a part of the hint, the VM's devices, and its <os> if not a kernel.
REFUSED = {
    "no disk": ("has no disk", "carrier_disk", lambda: ""),
    "an empty drive": ("has no disk", "carrier_disk", lambda: empty("floppy", "fda", "fdc")),
    "a cdrom": ("has no disk", "carrier_disk",
                lambda: disk("x", "hdc", "ide", "raw", RO, "cdrom")),
    "read-only disks": ("all disks of the VM are read-only", "carrier_disk",
                        lambda: disk("x", "vda", more=RO) + disk("x", "vdb", more=RO)),
    "a raw disk": ("disk vda is not qcow2", "qemu-img convert",
                   lambda: disk("x", format="raw")),
    "a raw one behind": ("disk vdb is not qcow2", "qemu-img convert",
                         lambda: disk("x") + disk("x", "vdb", format="raw")),
    "a raw floppy": ("disk fda is not qcow2", "qemu-img convert",
                     lambda: disk("x") + disk("x", "fda", "fdc", "raw", device="floppy")),
    "no driver type": ("disk vda is not qcow2", "qemu-img convert",
                       lambda: re.sub("<driver.*?>", "", disk("x"))),
    "a disk left out": ("disk vdb is defined with snapshot='no'", "definition",
                        lambda: disk("x") + disk("x", "vdb", setting=" snapshot='no'")),
    "an external one": ("disk vda is defined with snapshot='external'", "definition",
                        lambda: disk("x", setting=" snapshot='external'")),
    "UEFI": ("UEFI firmware (pflash), whose variables (nvram)", "BIOS", lambda: disk("x"), UEFI),
}


@pytest.mark.parametrize("running", [True, False], ids=["running", "off"])
@pytest.mark.parametrize("what", REFUSED)
def test_a_vm_that_cannot_be_snapshotted_is_409_with_the_reason(admin, define, what, running):
    detail, hint, devices, *os = REFUSED[what]
    for file in "code.fd", "vars.fd":
        (IMAGES / file).write_bytes(bytes(256 * 1024))
    define(domain("refused", devices=devices()).replace("<devices>", "<features><acpi/></features><devices>"), *os)
    if running:
        virsh("start", "refused")
    images = sorted(IMAGES.iterdir())
    for body in {}, {"name": "a"}:
        answer = admin.post("/v1/vms/refused/snapshots", json=body)
        assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
        assert detail in answer.json["detail"] and hint in answer.json["hint"], answer
    assert items(admin, "/v1/vms/refused") == [] and sorted(IMAGES.iterdir()) == images
    assert admin.get("/v1/vms/refused").json["state"] == ("running" if running else "shutoff")


# Valid choices of disks and memory that do not work for the VM.
CHOSEN = {
    "a disk left out": "<disks><disk name='vda' snapshot='no'/></disks>",
    "no memory": "<memory snapshot='no'/>",
    "no such disk": "<disks><disk name='vdz' snapshot='internal'/></disks>",
    "nothing": "<memory snapshot='no'/><disks><disk name='vda' snapshot='no'/></disks>",
}


@pytest.mark.parametrize("what", CHOSEN)
def test_an_impossible_choice_of_disks_is_4xx(admin, create, what):
    vm = create(domain("chosen", devices=disk("chosen")))
    answer = admin.post(f"/v1/vms/{vm['uuid']}/snapshots",
                        xml=f"<domainsnapshot>{CHOSEN[what]}</domainsnapshot>")
    assert (answer.status, answer.code) in ((409, "snapshot_unsupported"), (422, "invalid_xml")), answer
    assert items(admin, f"/v1/vms/{vm['uuid']}") == []


def test_a_mounted_share_is_409_with_the_hint_to_unmount_it(gateway, admin, share):
    with Starter(gateway) as start:
        at = start("nginx", "nginx", SHARED, carrier_disk=True)
        answer = admin.post(f"{at}/snapshots")
        assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
        assert "9p share mounted" in answer.json["detail"] and "unmount" in answer.json["hint"]
        admin.post(f"{at}/stop", json={"mode": "kill"})
        assert admin.post(f"{at}/snapshots").status == 201


# Reverting and deleting


def test_a_revert_ends_in_the_requested_state(admin, create):
    vm = create(domain("states", devices=disk("states")), "")
    at = f"/v1/vms/{vm['uuid']}"
    for name, action in ("off", "start"), ("on", "suspend"), ("still", "resume"):
        assert admin.post(f"{at}/snapshots", json={"name": name}).status == 201
        assert admin.post(f"{at}/{action}").status == 200
    saved = {"off": "shutoff", "on": "running", "still": "paused"}
    for name in saved:
        for state in "running", "paused", "as-saved":
            answer = admin.post(f"{at}/snapshots/{name}/revert", json={"state": state})
            assert (answer.status, answer.json["changed"]) == (200, True), (name, state, answer)
            wanted = saved[name] if state == "as-saved" else state
            assert answer.json["state"] == wanted == admin.get(at).json["state"], (name, state)


def test_a_revert_to_an_external_snapshot_is_refused_and_the_vm_keeps_running(admin, create):
    vm = create(domain("outside", "ticker", disk("outside")))
    at = f"/v1/vms/{vm['uuid']}"
    virsh("snapshot-create-as", "outside", "disks", "--disk-only")
    virsh("snapshot-create-as", "outside", "all", "--memspec", f"{IMAGES}/memory", "--diskspec",
          f"vda,snapshot=external,file={IMAGES}/second")
    listed = {s["name"]: (s["memory"], s["disks"], s["state"]) for s in items(admin, at)}
    assert listed == {"disks": (False, "external", "disk-snapshot"), "all": (True, "external", "running")}
    ticks = last_tick("outside")
    for name in listed:
        for how in {}, {"force": True}, {"state": "paused"}:
            answer = admin.post(f"{at}/snapshots/{name}/revert", json=how)
            assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
            assert "external" in answer.json["detail"]
    assert admin.post("/vm/snapshot/revert?name=outside").code == "snapshot_unsupported"
    wait_for_tick("outside", ticks + 1)
    answer = admin.delete(f"{at}/snapshots/disks?metadata_only=1&children=1")
    assert answer.json == {"name": "disks", "deleted": ["disks", "all"], "metadata_only": True}, answer
    assert admin.post(f"{at}/stop", json={"mode": "kill"}).status == 200 and admin.post(f"{at}/start").status == 200


def test_an_external_snapshot_above_an_internal_one_is_not_deleted(admin, create):
    vm = create(domain("both", devices=disk("both")), "")
    at = f"/v1/vms/{vm['uuid']}"
    assert admin.post(f"{at}/snapshots", json={"name": "inside"}).status == 201
    virsh("snapshot-create-as", "both", "outside", "--disk-only")
    answer = admin.delete(f"{at}/snapshots/outside")
    assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
    assert "metadata_only=1" in answer.json["hint"] and names(admin, at) == {"inside", "outside"}


def test_a_revert_to_a_snapshot_missing_in_the_image_does_not_stop_the_vm(admin, create):
    vm = create(domain("lost", devices=disk("lost", "vda") + disk("lost", "vdb")))
    at = f"/v1/vms/{vm['uuid']}"
    for name in "a", "b":
        assert admin.post(f"{at}/snapshots", json={"name": name}).status == 201
    assert admin.post(f"{at}/stop", json={"mode": "kill"}).status == 200
    subprocess.run(["qemu-img", "snapshot", "-d", "b", IMAGES / "lost-vdb.img"], check=True)
    assert admin.post(f"{at}/start").status == 200
    for how in {}, {"force": True}:
        answer = admin.post(f"{at}/snapshots/b/revert", json=how)
        assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
        assert "disk vdb does not contain snapshot 'b'" in answer.json["detail"], answer
    assert admin.get(at).json["state"] == "running"
    assert admin.post(f"{at}/snapshots/a/revert").json["state"] == "running"
    assert admin.delete(f"{at}/snapshots/b?metadata_only=1").json["deleted"] == ["b"]
    assert names(admin, at) == {"a"}


def test_a_revert_that_fails_after_the_stop_says_that_the_vm_is_off(admin, create):
    vm = create(domain("fails", devices=disk("fails")))
    at = f"/v1/vms/{vm['uuid']}"
    assert admin.post(f"{at}/snapshots", json={"name": "a"}).status == 201
    assert admin.post(f"{at}/stop", json={"mode": "kill"}).status == 200
    # The image's table still has the snapshot, but its content is lost.
    image = IMAGES / "fails-vda.img"
    subprocess.run(["qemu-img", "snapshot", "-d", "a", image], check=True)
    subprocess.run(["qemu-img", "snapshot", "-c", "a", image], check=True)
    assert admin.post(f"{at}/start").status == 200
    answer = admin.post(f"{at}/snapshots/a/revert")
    assert (answer.status, answer.code, answer.json["state"]) == (409, "start_failed", "shutoff"), answer
    assert "now shutoff" in answer.json["hint"]
    assert admin.get(at).json["state"] == "shutoff"
    assert [v["state"] for v in admin.get("/v1/vms").json["items"]] == ["shutoff"]


def test_a_delete_with_children_removes_them_from_the_image_too(admin, create):
    vm = create(domain("tree", devices=disk("tree")))
    at = f"/v1/vms/{vm['uuid']}"
    for name in "a", "b", "c":
        assert admin.post(f"{at}/snapshots", json={"name": name}).status == 201
    tag = admin.get(f"{at}/snapshots/b").headers["ETag"]
    answer = admin.delete(f"{at}/snapshots/b?children=1", headers=if_match(tag))
    assert answer.json == {"name": "b", "deleted": ["b", "c"], "metadata_only": False}
    answer = admin.delete(f"{at}/snapshots/a?metadata_only=1")
    assert answer.json == {"name": "a", "deleted": ["a"], "metadata_only": True}
    assert items(admin, at) == []
    listed = subprocess.run(["qemu-img", "snapshot", "-lU", IMAGES / "tree-vda.img"],
                            capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in listed.splitlines()[2:]] == ["a"]


def test_a_delete_with_children_checks_their_images_first(admin, create, tmp_path):
    vm = create(domain("heir", devices=disk("heir", "vda")), "")
    at = f"/v1/vms/{vm['uuid']}"

    def define(xml):
        (tmp_path / "heir.xml").write_text(xml)
        virsh("define", str(tmp_path / "heir.xml"))

    assert admin.post(f"{at}/snapshots", json={"name": "a"}).status == 201
    before = virsh("dumpxml", "--inactive", "heir")
    define(before.replace("</devices>", disk("heir", "vdb") + "</devices>"))
    assert admin.post(f"{at}/snapshots", json={"name": "b"}).status == 201
    define(before)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw",
                    IMAGES / "heir-vdb.img", "1M"], check=True)
    answer = admin.delete(f"{at}/snapshots/a?children=1")
    assert (answer.status, answer.code) == (422, "policy_denied"), answer
    assert names(admin, at) == {"a", "b"}
    assert admin.delete(f"{at}/snapshots/a?children=1&metadata_only=1").json["deleted"] == ["a", "b"]


def test_snapshots_can_be_listed_while_others_are_made_and_deleted(gateway, admin, create):
    vm = create(domain("busy", devices=disk("busy")))
    at = f"/v1/vms/{vm['uuid']}"
    assert admin.post(f"{at}/snapshots", json={"name": "first"}).status == 201
    done = threading.Event()

    def read(_):
        seen = []
        with gateway.client("viewer") as client:
            while not done.is_set():
                seen.append(items(client, at))
        return seen

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        reading = [pool.submit(read, i) for i in range(3)]
        try:
            for _ in range(5):
                assert admin.post(f"{at}/snapshots", json={"name": "more"}).status == 201
                assert admin.delete(f"{at}/snapshots/more").status == 200
        finally:
            done.set()
        lists = [seen for reader in reading for seen in reader.result()]
    assert {tuple(s["name"] for s in seen) for seen in lists} == {("first",), ("first", "more")}


# Idempotency-Key


@pytest.mark.parametrize("body", [{}, {"name": "own"}])
def test_twenty_clients_of_two_gateways_with_one_key_make_one_snapshot(gateway, admin, create, body):
    vm = create(domain("twenty", devices=disk("twenty")))
    at = f"/v1/vms/{vm['uuid']}"

    def post(gateway):
        with gateway.client("admin") as client:
            def created():
                answer = client.post(f"{at}/snapshots", headers=key("twenty"), json=body)
                assert answer.status in (201, 503), answer
                return answer if answer.status == 201 else None
            return wait_until(created, "it is made, or was", 30)

    second = str(gateway.dir / "second.sock")
    with running_gateway(uri="qemu:///system", accel="tcg", listen=second) as other, \
            concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, [gateway, other] * 10))
    assert len({a.body for a in answers}) == 1, answers
    assert sum(a.headers["Idempotent-Replay"] is None for a in answers) == 1
    assert len(items(admin, at)) == 1
    answer = admin.post(f"{at}/snapshots", headers=key("twenty"), json={"name": "other"})
    assert (answer.status, answer.code) == (422, "key_reused")
