# SPDX-License-Identifier: MIT
"""Reading one VM, its counters and its job: behind nginx, on libvirt's test driver."""

import datetime
import os
import re
import subprocess
import time

import pytest
from gateway import LISTED, PATIENCE, running_gateway, wait_until

MIB = 1 << 20
SPEC = {
    "name": "web", "title": "The web", "description": "two\nlines ", "memory_kib": 8192, "vcpus": 2,
    "kernel": "k", "labels": {"tier": "front", "empty": ""},
    "disks": [{"source": "a.img", "format": "raw"},
              {"source": "dir/b.qcow2", "format": "qcow2", "readonly": True},
              {"device": "cdrom"}],
    "interfaces": [{"network": "default", "mac": "52:54:00:00:00:01"},
                   {"bridge": "virbr0", "mac": "52:54:00:00:00:02", "model": "e1000"}],
    "graphics": {"type": "vnc"},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    images = tmp_path_factory.mktemp("images")
    images.chmod(0o755)
    (images / "dir").mkdir()
    return images


@pytest.fixture(scope="module")
def gateway(images):
    with running_gateway(images=images) as gateway:
        yield gateway


def make_qcow2(file):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", file, "64M"], check=True)


@pytest.fixture
def files(images):
    """The files that SPEC names: 3 MiB of which one is written, and 64 MiB that are empty."""
    with open(images / "a.img", "wb") as raw:
        raw.write(b"x" * MIB)
        raw.truncate(3 * MIB)
    make_qcow2(images / "dir/b.qcow2")
    yield images
    for file in images / "a.img", images / "dir/b.qcow2":
        file.unlink()


@pytest.fixture
def web(admin, files):
    """A shut-off VM with one of each kind of device."""
    answer = admin.post("/v1/vms", json=SPEC)
    assert answer.status == 201, answer
    yield f"/v1/vms/{answer.json['uuid']}"
    assert admin.delete(f"/v1/vms/{answer.json['uuid']}").status in (200, 404)


def moment(text):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), text
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def since(client, at, state):
    """The VM's "since", once it is known: events arrive a moment after the change."""
    wait_until(lambda: client.get(at).json["since"], f"it is known since when it is {state}")
    vm = client.get(at).json
    assert vm["state"] == state, vm
    return moment(vm["since"])


# What it is


def test_one_vm_shows_all_that_its_spec_said(viewer, web):
    vm = viewer.get(web).json
    assert [vm[k] for k in ("title", "description", "labels")] == [
        "The web", "two\nlines ", {"tier": "front", "empty": ""}]
    assert (vm["vcpus"], vm["vcpus_maximum"]) == (2, 2)
    assert (vm["memory_kib"], vm["memory_current_kib"]) == (8192, 8192)
    assert [(d["target"], d["bus"], d["device"], d["format"], d["source"], d["readonly"])
            for d in vm["disks"]] == [
        ("vda", "virtio", "disk", "raw", "a.img", False),
        ("vdb", "virtio", "disk", "qcow2", "dir/b.qcow2", True),
        ("sda", "sata", "cdrom", vm["disks"][2]["format"], None, True)]
    assert [(i["mac"], i["model"], i["network"], i["bridge"], i["target"], i["addresses"])
            for i in vm["interfaces"]] == [
        ("52:54:00:00:00:01", "virtio", "default", None, None, []),
        ("52:54:00:00:00:02", "e1000", None, "virbr0", None, [])]
    assert vm["graphics"] == [
        {"type": "vnc", "listen": "127.0.0.1", "port": None, "websocket": None}]
    assert (vm["snapshots"], vm["pending"]) == (0, [])


def test_members_that_do_not_apply_are_null_or_empty(viewer, new_vm):
    vm = viewer.get(f"/v1/vms/{new_vm()['uuid']}").json
    assert [vm[k] for k in ("title", "description", "labels", "disks", "interfaces", "graphics",
                            "snapshots", "pending")] == [None, None, {}, [], [], [], 0, []]


def test_a_get_of_one_vm_and_the_list_agree(viewer, web):
    vm = viewer.get(web).json
    listed = [v for v in viewer.get("/v1/vms").json["items"] if v["uuid"] == vm["uuid"]]
    assert listed == [{k: vm[k] for k in LISTED}]


def test_a_transient_vm_shows_what_it_was_created_with(admin, files):
    answer = admin.post("/v1/vms", json={**SPEC, "persistent": False})
    vm = admin.get(answer.location).json
    assert (vm["persistent"], vm["title"], vm["labels"]) == (False, "The web", SPEC["labels"])
    assert vm["pending"] == []
    assert admin.delete(answer.location).status == 200


def test_only_a_running_vm_has_interface_names_and_addresses(admin, web):
    admin.post(f"{web}/start")
    on = admin.get(web).json["interfaces"]
    assert all(i["target"] for i in on)
    for i in on:
        # The test driver reports the same address by each source; it is listed once.
        assert [(a["family"], a["prefix"], a["source"]) for a in i["addresses"]] == [
            ("ipv4", 24, "lease")]
    admin.post(f"{web}/stop")
    off = admin.get(web).json["interfaces"]
    assert all(not i["target"] and not i["addresses"] for i in off)


def test_snapshots_are_counted(admin, new_vm):
    at = f"/v1/vms/{new_vm(start=True)['uuid']}"
    for count in 1, 2:
        assert admin.post(f"{at}/snapshots").status == 201
        vm = admin.get(at).json
        assert (vm["snapshots"], vm["has_snapshots"]) == (count, True)


# Disks


def sizes(client, at):
    return [(d["capacity_bytes"], d["allocation_bytes"]) for d in client.get(at).json["disks"]]


def test_disk_sizes_are_those_of_the_image_file(viewer, web, files):
    raw, qcow2, drive = sizes(viewer, web)
    assert raw == (3 * MIB, os.stat(files / "a.img").st_blocks * 512) and raw[1] >= MIB
    assert qcow2 == (64 * MIB, os.stat(files / "dir/b.qcow2").st_blocks * 512)
    assert drive == (None, None)


@pytest.mark.parametrize("thing", ["nothing", "a fifo", "a link out", "a directory", "text"])
def test_a_disk_that_is_no_regular_file_has_no_sizes_and_causes_no_delay(viewer, web, files, tmp_path, thing):
    file = files / "dir/b.qcow2"
    file.unlink()
    (tmp_path / "out").write_bytes(b"QFI\xfb" + bytes(100))
    {"nothing": lambda: None, "a fifo": lambda: os.mkfifo(file), "a directory": file.mkdir,
     "a link out": lambda: file.symlink_to(tmp_path / "out"),
     "text": lambda: file.write_text("no image")}[thing]()
    started = time.monotonic()
    seen = sizes(viewer, web)[1]
    assert time.monotonic() - started < 2 * PATIENCE
    assert seen == ((None, os.stat(file).st_blocks * 512) if thing == "text" else (None, None))
    if thing == "a directory":
        file.rmdir()
    elif thing != "nothing":
        file.unlink()
    file.touch()


# Since when


def test_since_is_when_virtgate_saw_the_state_change(admin, web):
    for action, state in ("start", "running"), ("suspend", "paused"), ("resume", "running"), (
            "stop", "shutoff"):
        before = time.time()
        assert admin.post(f"{web}/{action}").json["changed"] is True
        seen = since(admin, web, state)
        assert before - 0.002 <= seen <= time.time(), action
        assert admin.post(f"{web}/{action}").json["changed"] is False
        assert since(admin, web, state) == seen, "nothing has changed"


def test_since_is_null_if_virtgate_did_not_see_the_change(viewer):
    # The test driver's built-in VM was running before virtgate connected.
    assert viewer.get("/v1/vms/test").json["since"] is None


# Pending changes


def put_xml(admin, at, xml):
    answer = admin.request("PUT", f"{at}/xml", xml=xml)
    assert answer.status == 200, answer


@pytest.mark.parametrize("part, old, new", [
    ("title", "The web", "Another"),
    ("description", "two\nlines", "one line"),
    ("labels", ">front<", ">back<"),
    ("vcpus", ">2</vcpu>", ">1</vcpu>"),
    ("memory_kib", ">8192<", ">16384<"),
    ("boot", "/k<", "/other<"),
    ("disks", "a.img", "c.img"),
    ("interfaces", "e1000", "rtl8139"),
    ("graphics", "(?s)<graphics.*</graphics>", ""),
    ("devices", "<rng(?s:.)*</rng>|</devices>",
     "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices>"),
])
def test_a_changed_definition_is_pending_until_the_next_start(admin, web, files, part, old, new):
    admin.post(f"{web}/start")
    assert admin.get(web).json["pending"] == []
    was = admin.get(f"{web}/xml").body.decode()
    now, count = re.subn(old, new, was)
    assert count
    put_xml(admin, web, now)
    assert admin.get(web).json["pending"] == [part]
    put_xml(admin, web, was)
    assert admin.get(web).json["pending"] == []
    put_xml(admin, web, now)
    admin.post(f"{web}/stop")
    assert admin.get(web).json["pending"] == []


@pytest.mark.parametrize("template", ["helloworld", "http-reply", "linux", "nginx"])
def test_nothing_is_pending_after_a_start(admin, images, template, new_name):
    make_qcow2(images / "linux.qcow2")
    answer = admin.post("/v1/vms", json={"template": template, "name": new_name(), "start": True})
    assert answer.status == 201, answer
    assert admin.get(answer.location).json["pending"] == []
    assert admin.delete(answer.location).status == 200


# Its entity tag


def test_an_entity_tag_matches_until_the_vm_is_changed(admin, web):
    admin.post(f"{web}/start")
    since(admin, web, "running")
    tag = admin.get(web).headers["ETag"]
    assert admin.get(web, headers=f"If-None-Match: {tag}\r\n").status == 304
    answer = admin.post(f"{web}/suspend", headers=f"If-Match: {tag}\r\n")
    assert (answer.status, answer.json["changed"]) == (200, True), answer
    answer = admin.post(f"{web}/resume", headers=f"If-Match: {tag}\r\n")
    assert (answer.status, answer.code) == (412, "precondition_failed")
    assert admin.get(web).json["state"] == "paused"


def test_volatile_members_change_the_tag_but_do_not_fail_if_match(admin, web, files):
    old = admin.get(web).headers["ETag"]
    with open(files / "a.img", "r+b") as raw:
        raw.seek(2 * MIB)
        raw.write(b"y" * 65536)
        raw.flush()
        os.fsync(raw.fileno())
    new = admin.get(web)
    assert new.headers["ETag"] != old
    assert admin.post(f"{web}/start", headers=f"If-Match: {old}\r\n").status == 200


# Counters and jobs


def test_counters_that_the_driver_lacks_are_null(admin, web):
    off = admin.get(f"{web}/stats").json
    assert (off["state"], off["cpu"]["time_ns"], off["memory"]["current_kib"]) == (
        "shutoff", None, None)
    admin.post(f"{web}/start")
    on = admin.get(f"{web}/stats").json
    assert (on["name"], on["state"]) == ("web", "running")
    assert on["cpu"]["time_ns"] > 0 and on["cpu"]["user_ns"] is None
    assert (on["memory"]["current_kib"], on["memory"]["maximum_kib"]) == (8192, 8192)
    assert on["memory"]["rss_kib"] is None
    assert abs(moment(on["time"]) - time.time()) < 60
    assert (on["vcpus"], on["disks"], on["interfaces"]) == ([], [], [])


def test_aborting_a_job_is_refused_if_there_is_none(operator, admin, web):
    for _ in "off", "on":
        assert operator.get(f"{web}/job").json == {"job": None}
        answer = operator.delete(f"{web}/job")
        assert (answer.status, answer.json["name"], answer.json["changed"]) == (200, "web", False)
        admin.post(f"{web}/start")
