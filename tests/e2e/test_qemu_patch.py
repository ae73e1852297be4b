# SPDX-License-Identifier: MIT
"""VMs changed by a merge patch and deleted with their disks, under QEMU."""

import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from test_patch import CHANGES, definition, patch, values  # noqa: F401
from test_qemu import IMAGES, create, gateway, no_vm_stays, virsh  # noqa: F401

pytestmark = pytest.mark.qemu

BALLOON = "<memballoon model='virtio'/>"


def guest(name, vcpus="<vcpu>1</vcpu>", inside="", devices="", type="kvm"):
    return (f"<domain type='{type}'><name>{name}</name><memory unit='KiB'>8192</memory>{vcpus}"
            f"<os><type>hvm</type><kernel>hello_qemu-x86_64</kernel></os>"
            f"<features><acpi/><apic/></features>{inside}"
            f"<devices>{devices}{BALLOON}</devices></domain>")


def now(admin, ref):
    return values(definition(admin, ref, live=True))


def test_a_patch_changes_the_running_guest(create, patch, admin):
    create(guest("live", "<vcpu current='1'>2</vcpu>"))
    answer = patch("live", {"vcpus": 2, "title": "t", "labels": {"a": "b"}}, "?apply=live")
    assert answer["applied"] == {"config": [], "live": ["vcpus", "title", "labels"]}
    assert answer["restart_required"] == ["vcpus", "title", "labels"] and answer["vcpus"] == 2
    assert virsh("vcpucount", "live", "--live", "--active") == "2"
    assert virsh("vcpucount", "live", "--config", "--active") == "1"
    assert virsh("desc", "live", "--live", "--title") == "t"
    assert "<label name=\"a\">b</label>" in virsh("metadata", "live", "urn:virtgate:vm:1")
    assert now(admin, "live")["labels"] == {"a": "b"}
    assert values(definition(admin, "live"))["title"] is None

    answer = patch("live", {"memory_kib": 4096}, "?apply=live")  # the balloon changes this one
    assert answer["applied"]["live"] == ["memory_kib"]
    patch("live", {"memory_kib": 9000}, "?apply=live", 422, "invalid_spec")
    patch("live", {"vcpus": 3}, "?apply=both", 422, "invalid_spec")


def test_a_patch_changes_a_transient_guest(create, patch, admin):
    create(guest("gone", "<vcpu current='1'>2</vcpu>"), "?persistent=0")
    assert patch("gone", CHANGES | {"vcpus": 2})["applied"] == {"config": [], "live": list(CHANGES)}
    assert now(admin, "gone")["vcpus"] == 2
    assert {**now(admin, "gone"), "memory_kib": 0, "vcpus": 1} == {**CHANGES, "memory_kib": 0}


def test_a_patch_of_the_definition_takes_effect_at_the_next_start(create, patch, admin):
    create(guest("next"), "")
    before = admin.get("/v1/vms/next/xml").body
    patch("next", {"memory_kib": 8000, "vcpus": 1})  # libvirt has rounded it up
    assert admin.get("/v1/vms/next/xml").body == before
    assert patch("next", CHANGES | {"vcpus": 2})["applied"]["config"] == list(CHANGES)
    assert values(definition(admin, "next")) == {**CHANGES, "vcpus": 2}
    assert admin.post("/v1/vms/next/start").status == 200
    assert now(admin, "next") == {**CHANGES, "vcpus": 2}
    assert patch("next", {"memory_kib": 8192, "vcpus": 1})["restart_required"] == [
        "memory_kib", "vcpus"]


def test_a_patch_that_fails_in_the_guest_leaves_the_definition(create, patch, admin):
    create(guest("back", "<vcpu>2</vcpu>"))
    before = [admin.get(f"/v1/vms/back/xml?live={live}").body for live in (0, 1)]
    body = {"vcpus": 1, "memory_kib": 4096, "title": "t", "autostart": True, "labels": {"a": "b"}}
    problem = patch("back", body, "?apply=both", 422, "unsupported")
    assert "rolled back" in problem["hint"] and problem["detail"].startswith("vcpus: ")
    assert [admin.get(f"/v1/vms/back/xml?live={live}").body for live in (0, 1)] == before
    assert admin.get("/v1/vms/back").json["autostart"] is False
    patch("back", {"vcpus": 1}, "?apply=live", 422, "unsupported")
    assert patch("back", body)["restart_required"] == ["memory_kib", "vcpus"]


def test_a_patch_does_not_expose_a_secret_of_the_definition(patch, admin, tmp_path):
    xml = guest("hush", devices="<graphics type='vnc' port='-1' passwd='secret7'>"
                "<listen type='address' address='127.0.0.1'/></graphics>", type="qemu")
    file = tmp_path / "hush.xml"
    file.write_text(xml.replace("hello_", f"{IMAGES}/hello_"))
    virsh("define", str(file))
    assert patch("hush", {"title": "t", "vcpus": 2})["changed"] is True
    assert "passwd='secret7'" in virsh("dumpxml", "--security-info", "--inactive", "hush")
    assert "secret7" not in admin.get("/v1/vms/hush/xml").body.decode()
    virsh("start", "hush")
    assert patch("hush", {"description": "d"})["applied"]["live"] == ["description"]
    for inactive in [], ["--inactive"]:
        assert "passwd='secret7'" in virsh("dumpxml", "--security-info", *inactive, "hush")


def test_a_patch_keeps_what_the_policy_would_refuse_in_another_tools_vm(patch, tmp_path):
    xml = guest("theirs", type="qemu", inside="<cpu><topology sockets='1' cores='2' threads='1'/>"
                "<numa><cell id='0' cpus='0-1' memory='8' unit='MiB'/></numa></cpu>",
                vcpus="<vcpu>2</vcpu>")
    xml = xml.replace("<domain ", "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0' ")
    xml = xml.replace("</domain>", "<q:commandline><q:env name='A' value='b'/></q:commandline></domain>")
    file = tmp_path / "theirs.xml"
    file.write_text(xml.replace("hello_", f"{IMAGES}/hello_"))
    virsh("define", str(file))
    patch("theirs", {"title": "t"})
    after = virsh("dumpxml", "--inactive", "theirs")
    assert "<qemu:env name='A' value='b'/>" in after and "<title>t</title>" in after
    patch("theirs", {"memory_kib": 4096}, status=422, code="unsupported")
    patch("theirs", {"vcpus": 4}, status=422, code="unsupported")
    for name in "a b", "<i>":
        file.write_text(guest(name.replace("<", "&lt;"), type="qemu").replace("hello_", f"{IMAGES}/hello_"))
        virsh("define", str(file))
        uuid = virsh("domuuid", name)
        patch(uuid, {"title": "t"}, status=422, code="unsupported")
        assert patch(uuid, {})["changed"] is False


# Disks


def disk(name, **more):
    return {"source": name, "capacity_bytes": 1 << 20, "bus": "ide", **more}


def spec(name, *disks, **more):
    return {"name": name, "memory_kib": 8192, "kernel": "hello_qemu-x86_64", "disks": list(disks),
            **more}


@pytest.fixture
def make(admin):
    def make(spec, status=201):
        answer = admin.post("/v1/vms", json=spec)
        assert answer.status == status, answer
        return answer.json
    return make


def disks_of(answer):
    assert answer.status == 200, answer
    return {d["source"]: d["reason"] for d in answer.json["disks"]}


def test_a_made_disk_holds_a_snapshot_and_is_deleted_with_its_vm(make, admin):
    make(spec("made", disk("made.qcow2"), disk("made.img", format="raw", target="hdc"), start=True))
    file = IMAGES / "made.qcow2"
    assert admin.post("/v1/vms/made/stop", json={"mode": "kill"}).status == 200
    subprocess.run(["qemu-img", "check", "-q", file], check=True)
    (IMAGES / "made.img").unlink()
    assert disks_of(admin.delete("/v1/vms/made?disks=1")) == {
        "made.qcow2": None, "made.img": "virtgate does not find it"}
    make(spec("made", disk("made.qcow2"), start=True))
    assert admin.post("/v1/vms/made/snapshots", json={"name": "one"}).status == 201
    answer = admin.delete("/v1/vms/made?disks=1")
    assert disks_of(answer) == {"made.qcow2": None} and answer.json["stopped"] is True
    assert not file.exists()


def test_a_create_whose_start_fails_leaves_no_disk(make, admin):
    problem = make(spec("never", disk("never.qcow2"), start=True,
                        interfaces=[{"network": "default"}]), status=422)
    assert problem["code"] == "unknown_network"
    problem = make(spec("never", disk("never.qcow2"), start=True, kernel="none"), status=422)
    assert problem["code"] == "not_bootable"
    assert not (IMAGES / "never.qcow2").exists() and admin.get("/v1/vms/never").status == 404


def test_a_delete_keeps_the_backing_file_of_a_running_guest(make, admin):
    make(spec("base", disk("base.qcow2")))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2",
                    IMAGES / "over.qcow2"], check=True)
    over = {"source": "over.qcow2", "format": "qcow2", "bus": "ide"}
    make(spec("over", over, persistent=False))
    assert disks_of(admin.delete("/v1/vms/base?disks=1")) == {"base.qcow2": "VM 'over' uses it"}
    assert admin.get("/v1/vms/over").json["state"] == "running"
    assert disks_of(admin.delete("/v1/vms/over?disks=1")) == {"over.qcow2": "virtgate did not make it"}
    for file in "base.qcow2", "over.qcow2":
        (IMAGES / file).unlink()


@pytest.mark.parametrize("what", ["managed save", "snapshot"])
def test_a_delete_keeps_the_image_of_another_vms_snapshot(make, admin, tmp_path, what):
    make(spec("first", disk("first.qcow2")))
    make(spec("later", {"source": "first.qcow2", "format": "qcow2", "bus": "ide"}, start=True))
    if what == "snapshot":
        assert admin.post("/v1/vms/later/snapshots", json={"name": "one"}).status == 201
        assert admin.post("/v1/vms/later/stop", json={"mode": "kill"}).status == 200
    else:
        virsh("managedsave", "later")
    xml = virsh("dumpxml", "--inactive", "later")
    (tmp_path / "later.xml").write_text(re.sub("<disk .*</disk>", "", xml, flags=re.DOTALL))
    virsh("define", str(tmp_path / "later.xml"))
    assert disks_of(admin.delete("/v1/vms/first?disks=1")) == {
        "first.qcow2": f"{'the' if what == 'managed save' else 'a'} {what} of VM 'later' uses it"}
    assert (IMAGES / "first.qcow2").exists()
    admin.delete("/v1/vms/later")
    (IMAGES / "first.qcow2").unlink()


def test_a_delete_keeps_files_outside_the_images_directory(admin, tmp_path):
    # The answer names the file, so it must not match gateway.HOST_PATH, as tmp_path would.
    elsewhere = Path(tempfile.mkdtemp(dir="/srv")) / "elsewhere.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", elsewhere, "1M"], check=True)
    try:
        xml = guest("far", type="qemu", inside=f"<metadata><v:vm xmlns:v='urn:virtgate:vm:1'>"
                    f"<v:disk path='{elsewhere}'/></v:vm></metadata>", devices=f"<disk type='file'>"
                    f"<driver name='qemu' type='qcow2'/><source file='{elsewhere}'/><target dev='hda'/></disk>")
        (tmp_path / "far.xml").write_text(xml.replace("hello_", f"{IMAGES}/hello_"))
        virsh("define", str(tmp_path / "far.xml"))
        assert disks_of(admin.delete("/v1/vms/far?disks=1")) == {
            elsewhere.name: "it is outside VIRTGATE_IMAGES"}
        assert elsewhere.exists()
    finally:
        elsewhere.unlink()
        elsewhere.parent.rmdir()
