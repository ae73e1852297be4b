# SPDX-License-Identifier: MIT
"""VMs changed by a merge patch, and deleted with their disks: on libvirt's test driver."""

import itertools
import json
import re
import subprocess
import uuid
import xml.etree.ElementTree as ET

import pytest
from conftest import test_domain
from gateway import running_gateway

NS = "{urn:virtgate:vm:1}"
MERGE = "application/merge-patch+json"
CHANGES = {"memory_kib": 4096, "vcpus": 1, "title": "a <b> & c", "description": "x\ny",
           "labels": {"tier": "a & b"}}


def definition(client, ref, live=False):
    answer = client.get(f"/v1/vms/{ref}/xml?live={int(live)}")
    assert answer.status == 200, answer
    return ET.fromstring(answer.body)


def values(root):
    """The members that a patch can change, read from a domain's XML."""
    def text(name):
        return root.findtext(name)

    vcpu = root.find("vcpu")
    return {
        "memory_kib": int(root.findtext("currentMemory")),
        "vcpus": int(vcpu.get("current", vcpu.text)),
        "title": text("title"), "description": text("description"),
        "labels": {e.get("name"): e.text or "" for e in root.iter(NS + "label")},
    }


@pytest.fixture
def patch(operator):
    def patch(ref, body, query="", status=200, code=None, type=MERGE, headers=""):
        answer = operator.request("PATCH", f"/v1/vms/{ref}{query}", body=json.dumps(body),
                                  type=type, headers=headers)
        assert answer.status == status and (status == 200 or answer.code == code), answer
        return answer.json
    return patch


@pytest.fixture
def make(admin, new_name):
    """Creates VMs with two vcpus and deletes them afterwards."""
    made = []

    def make(inside="", vcpus="<vcpu>2</vcpu>", balloon="virtio", **options):
        name = new_name()
        xml = (f"<domain type='test'><name>{name}</name><memory unit='KiB'>8192</memory>{vcpus}"
               f"<os><type>hvm</type></os>{inside}<devices><memballoon model='{balloon}'/>"
               f"</devices></domain>")
        answer = admin.post("/v1/vms", json={"xml": xml, **options})
        assert answer.status == 201, answer
        made.append(answer.json["uuid"])
        return name

    yield make
    for id in made:
        assert admin.delete(f"/v1/vms/{id}").status in (200, 404)


STATES = {"off": {}, "running": {"start": True}, "transient": {"persistent": False}}
SEEN_BY_NOBODY = ["title", "description", "labels"]


@pytest.mark.parametrize("state,apply,member",
                         itertools.product(STATES, ["", "config", "live", "both"], CHANGES))
def test_each_member_is_changed_where_apply_says(make, patch, admin, state, apply, member):
    name = make(**STATES[state])
    query = f"?apply={apply}" if apply else ""
    right = {"off": ["", "config"], "running": ["", "config", "live", "both"],
             "transient": ["", "live"]}[state]
    if apply not in right:
        problem = patch(name, {member: CHANGES[member]}, query, 409, "wrong_state")
        assert problem["state"] == ("shutoff" if state == "off" else "running")
        return
    config = state != "transient" and apply in ("", "config", "both")
    live = apply in ("live", "both") or state == "transient" or (
        state == "running" and not apply and member in SEEN_BY_NOBODY)
    before = values(definition(admin, name, live=False))
    now = values(definition(admin, name, live=True))
    answer = patch(name, {member: CHANGES[member]}, query)
    assert answer["changed"] is True and answer["name"] == name
    assert answer["applied"] == {"config": [member] * config, "live": [member] * live}
    assert answer["restart_required"] == [member] * (config != live and state == "running")
    if state != "transient":
        assert values(definition(admin, name)) == {**before, **({member: CHANGES[member]} if config else {})}
    if state != "off":
        assert values(definition(admin, name, live=True)) == {
            **now, **({member: CHANGES[member]} if live else {})}
    again = patch(name, {member: CHANGES[member]}, query)
    assert again["changed"] is False and again["applied"] == {"config": [], "live": []}


def test_an_empty_patch_changes_nothing(make, patch):
    for options in STATES.values():
        answer = patch(make(**options), {})
        assert answer["changed"] is False and answer["restart_required"] == []
        assert answer["applied"] == {"config": [], "live": []}


def test_a_patch_may_be_plain_json_but_not_xml(make, patch, operator):
    name = make()
    assert patch(name, {"title": "t"}, type="application/json")["changed"] is True
    answer = operator.request("PATCH", f"/v1/vms/{name}", body="<a/>", type="application/xml")
    assert answer.status == 415 and MERGE in answer.json["detail"]


def test_a_viewer_may_not_patch(make, viewer):
    answer = viewer.request("PATCH", f"/v1/vms/{make()}", body="{}", type=MERGE)
    assert answer.status == 403 and answer.code == "forbidden"


def test_null_removes_a_member(make, patch, admin):
    name = make(start=True)
    patch(name, {"title": "t", "description": "d", "labels": {"a": "1", "b": "2", "c": ""}})
    answer = patch(name, {"title": None, "labels": {"a": None, "b": "3", "d": "4", "z": None}})
    assert answer["applied"]["config"] == answer["applied"]["live"] == ["title", "labels"]
    for live in False, True:
        root = definition(admin, name, live)
        assert root.find("title") is None and root.findtext("description") == "d"
        assert values(root)["labels"] == {"b": "3", "c": "", "d": "4"}
    patch(name, {"description": None, "labels": None})
    for live in False, True:
        root = definition(admin, name, live)
        assert root.find("description") is None and root.find(f"metadata/{NS}vm") is None
    assert patch(name, {"title": None, "labels": None})["changed"] is False
    assert patch(name, {"labels": {"none": None}})["changed"] is False


def test_a_list_shows_a_patch_at_once(make, patch, admin):
    for options in STATES.values():
        name = make(**options)
        patch(name, {"labels": {"list": name}, "vcpus": 1})
        items = admin.get(f"/v1/vms?label=list={name}").json["items"]
        assert [(vm["name"], vm["labels"]) for vm in items] == [(name, {"list": name})]
        patch(name, {"labels": None})
        assert admin.get(f"/v1/vms?label=list={name}").json["items"] == []


@pytest.mark.parametrize("member", ["autostart", "vcpus", "memory_kib"])
def test_required_members_cannot_be_null(make, patch, member):
    patch(make(), {member: None}, status=400, code="bad_request")


@pytest.mark.parametrize("body", [
    {"vcpus": 0}, {"vcpus": 257}, {"vcpus": "2"}, {"vcpus": 1.5}, {"memory_kib": 1023},
    {"memory_kib": 2**30 + 1}, {"title": ""}, {"title": "x" * 257}, {"title": 1},
    {"description": "x" * 8193}, {"labels": {"a b": "c"}}, {"labels": {"a": 1}}, {"labels": []},
    {"labels": {"a": "x" * 257}}, {"autostart": 1}, {"labels": {f"l{i}": "" for i in range(65)}},
])
def test_a_value_out_of_bounds_is_400_and_changes_nothing(make, patch, admin, body):
    name = make()
    before = admin.get(f"/v1/vms/{name}/xml").body
    patch(name, body, status=400, code="bad_request")
    patch(name, {"colour": "red", **body}, status=400, code="unknown_parameter")
    assert admin.get(f"/v1/vms/{name}/xml").body == before


def test_a_patch_cannot_lead_to_more_than_64_labels(make, patch, admin):
    name = make()
    patch(name, {"labels": {f"l{i}": str(i) for i in range(64)}})
    patch(name, {"labels": {"one.more": ""}}, status=422, code="invalid_spec")
    assert len(values(definition(admin, name))["labels"]) == 64
    patch(name, {"labels": {"l1": None, "one.more": ""}})
    patch(name, {"labels": {f"l{i}": None for i in range(2, 33)} | {f"m{i}": "" for i in range(31)}})
    assert len(values(definition(admin, name))["labels"]) == 64


def test_a_title_is_one_line(make, patch):
    for options in STATES.values():
        patch(make(**options), {"title": "a\nb"}, status=422, code="invalid_spec")


def test_autostart_is_changed_on_the_host_for_persistent_vms(make, patch, admin):
    name = make()
    answer = patch(name, {"autostart": True})
    assert answer["changed"] is True and answer["autostart"] is True
    assert answer["applied"] == {"config": [], "live": []}
    assert patch(name, {"autostart": True}, "?apply=config")["changed"] is False
    assert admin.get(f"/v1/vms/{name}").json["autostart"] is True
    assert patch(name, {"autostart": False})["autostart"] is False
    problem = patch(make(persistent=False), {"autostart": False}, status=409, code="wrong_state")
    assert problem["state"] == "running"


def test_a_patch_respects_if_match(make, patch, admin):
    name = make()
    patch(name, {"title": "t"}, status=412, code="precondition_failed",
          headers='If-Match: "0123456789abcdef"\r\n')
    assert definition(admin, name).find("title") is None
    assert patch(name, {"title": "t"}, headers="If-Match: *\r\n")["changed"] is True


def test_more_than_the_running_guests_maximum_is_refused(make, patch, admin):
    name = make(start=True)
    for body, bound in ({"vcpus": 3}, "at most 2"), ({"memory_kib": 16384}, "at most 8192"):
        for apply in "live", "both":
            problem = patch(name, {"title": "t", **body}, f"?apply={apply}", 422, "invalid_spec")
            assert bound in problem["detail"]
    assert definition(admin, name).find("title") is None
    assert patch(name, {"vcpus": 3, "memory_kib": 16384})["restart_required"] == [
        "memory_kib", "vcpus"]


def test_without_a_balloon_memory_does_not_change_while_the_guest_runs(make, patch):
    name = make(balloon="none", start=True)
    patch(name, {"memory_kib": 4096}, "?apply=live", 422, "unsupported")
    answer = patch(name, {"memory_kib": 4096})
    assert answer["applied"]["config"] == answer["restart_required"] == ["memory_kib"]


def test_a_topology_must_fit_the_vcpus(make, patch):
    name = make("<cpu><topology sockets='1' dies='1' cores='2' threads='1'/></cpu>")
    problem = patch(name, {"vcpus": 4}, status=422, code="invalid_spec")
    assert "topology is for 2" in problem["detail"]
    assert patch(name, {"vcpus": 2})["changed"] is False


def test_a_patch_removes_the_current_number_of_vcpus(make, patch, admin):
    name = make(vcpus="<vcpu current='1'>4</vcpu>")
    assert patch(name, {"vcpus": 1})["applied"]["config"] == ["vcpus"]
    vcpu = definition(admin, name).find("vcpu")
    assert vcpu.text == "1" and vcpu.get("current") is None


def test_a_patch_keeps_metadata_of_other_tools(make, patch, admin):
    inside = "<metadata><o:it xmlns:o='urn:other'><o:a b='c'>d</o:a></o:it></metadata>"
    name = make(inside, start=True)
    patch(name, {"labels": {"a": "b"}})
    patch(name, {"labels": None})
    for live in False, True:
        root = definition(admin, name, live)
        assert root.find("metadata/{urn:other}it/{urn:other}a").text == "d"
        assert root.find(f"metadata/{NS}vm") is None


def test_a_patch_of_a_missing_vm_is_404(patch):
    patch(str(uuid.uuid4()), {"title": "t"}, status=404, code="vm_not_found")


# Disks that virtgate makes


MIB = 1 << 20


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def store(images):
    """An admin of a gateway whose images lie in a directory of its own."""
    with running_gateway(images=str(images), max_disk=0) as gateway, gateway.client() as client:
        yield client


@pytest.fixture
def spec(new_name):
    def spec(*disks, **more):
        return {"name": new_name(), "memory_kib": 8192, "disks": list(disks), **more}
    return spec


@pytest.fixture
def keep(store, images):
    """Creates VMs from specs at the store; removes VMs and images afterwards."""
    made = []

    def keep(spec, status=201, code=None, query=""):
        answer = store.post("/v1/vms" + query, json=spec)
        assert answer.status == status and (status < 400 or answer.code == code), answer
        if status == 201:
            made.append(answer.json["uuid"])
        return answer.json

    yield keep
    for id in made:
        assert store.delete(f"/v1/vms/{id}").status in (200, 404)
    for file in sorted(images.rglob("*"), reverse=True):
        file.unlink() if file.is_symlink() or not file.is_dir() else file.rmdir()


def recorded(client, ref):
    return [e.get("path") for e in definition(client, ref).iter(NS + "disk")]


def qemu_img(*arguments):
    run = subprocess.run(["qemu-img", *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run
    return run.stdout


@pytest.mark.parametrize("capacity", [MIB, 10 << 30, (1 << 40) + 512, 64 << 40])
def test_a_create_makes_a_disk_that_has_a_capacity(keep, spec, store, images, capacity):
    vm = keep(spec({"source": "a.qcow2", "capacity_bytes": capacity}, {"device": "cdrom"},
                   {"source": "b.img", "format": "raw", "capacity_bytes": 5 * MIB},
                   labels={"a": "b"}))
    qemu_img("check", "-q", str(images / "a.qcow2"))
    info = json.loads(qemu_img("info", "--output=json", str(images / "a.qcow2")))
    assert (info["format"], info["virtual-size"]) == ("qcow2", capacity)
    assert info["actual-size"] < MIB and (images / "b.img").stat().st_size == 5 * MIB
    assert (images / "b.img").stat().st_blocks == 0
    assert oct((images / "a.qcow2").stat().st_mode) == "0o100600"
    root = definition(store, vm["name"])
    assert [e.get("type") for e in root.iter("driver")][:1] == ["qcow2"]
    assert recorded(store, vm["name"]) == [str(images / "a.qcow2"), str(images / "b.img")]
    assert values(root)["labels"] == {"a": "b"}


def test_a_create_never_overwrites_a_file(keep, spec, images):
    (images / "there").write_text("precious")
    problem = keep(spec({"source": "new", "capacity_bytes": MIB},
                        {"source": "there", "format": "raw", "capacity_bytes": MIB}), 409, "already_exists")
    assert "disks[1].source" in problem["detail"]
    assert (images / "there").read_text() == "precious" and not (images / "new").exists()
    (images / "link").symlink_to("new")
    keep(spec({"source": "link", "format": "raw", "capacity_bytes": MIB}), 409, "already_exists")
    assert not (images / "new").exists()


@pytest.mark.parametrize("disk,status,code", [
    ({"capacity_bytes": MIB - 512}, 400, "bad_request"),
    ({"capacity_bytes": (64 << 40) + 512}, 400, "bad_request"),
    ({"capacity_bytes": str(MIB)}, 400, "bad_request"),
    ({"capacity_bytes": MIB + 1}, 422, "invalid_spec"),
    ({"source": None}, 422, "invalid_spec"),
    ({"device": "cdrom"}, 422, "invalid_spec"),
    ({"source": "../x"}, 422, "invalid_spec"),
    ({"source": "/etc/x"}, 422, "policy_denied"),
    ({"source": "out/x"}, 422, "policy_denied"),
    ({"source": "none/x"}, 409, "storage_unavailable"),
    ({"source": "in/x"}, 409, "storage_unavailable"),
])
def test_a_create_whose_disk_fails_leaves_nothing(keep, spec, store, images, disk, status, code):
    (images / "sub").mkdir()
    (images / "in").symlink_to("sub")
    (images / "out").symlink_to("/tmp")
    disk = {"source": "x", "capacity_bytes": MIB, **disk}
    disk = {key: value for key, value in disk.items() if value is not None}
    wanted = spec({"source": "first", "capacity_bytes": MIB}, disk)
    keep(wanted, status, code)
    assert sorted(p.name for p in images.iterdir()) == ["in", "out", "sub"]
    assert not list((images / "sub").iterdir()) and store.get(f"/v1/vms/{wanted['name']}").status == 404


def test_a_create_cannot_make_two_disks_at_one_path(keep, spec, images):
    disk = {"source": "x", "capacity_bytes": MIB}
    keep(spec(disk, {**disk, "source": str(images / "x")}), 422, "invalid_spec")
    assert not (images / "x").exists()


def test_a_failed_create_leaves_no_disks(keep, spec, store, images):
    vm = keep(spec())
    disk = {"source": "x", "capacity_bytes": MIB}
    keep({**spec(disk), "name": vm["name"]}, 409, "already_exists")
    keep(spec(disk, interfaces=[{"network": "default", "mac": "00:00"}]), 422, "policy_denied")
    keep(spec(disk, disk | {"source": "y", "target": "vda"}, {"source": "z", "format": "raw", "target": "vda"}),
         422, "invalid_xml")
    assert not list(images.iterdir())


def test_no_disk_is_made_for_a_transient_vm(keep, spec, images):
    problem = keep(spec({"source": "x", "capacity_bytes": MIB}, persistent=False), 400, "bad_request")
    assert "capacity_bytes" in problem["detail"] and not list(images.iterdir())


def test_a_dry_run_describes_a_disk_without_making_it(keep, spec, images):
    wanted = spec({"source": "x", "capacity_bytes": MIB})
    answer = keep(wanted, 200, query="?dry_run=1")
    assert answer["ok"] is True and not list(images.iterdir())
    assert [f["detail"] for f in answer["findings"] if f["check"] == "files"] == [
        f"virtgate would make it: empty, qcow2, of {MIB} bytes"]
    (images / "x").touch()
    answer = keep(wanted, 200, query="?dry_run=1")
    assert answer["ok"] is False and (images / "x").stat().st_size == 0


# The record of made disks


CLAIM = ("<metadata><v:vm xmlns:v='urn:virtgate:vm:1'><v:label name='a'>b</v:label>"
         "<v:disk path='{0}'/></v:vm></metadata>"
         "<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/>"
         "<source file='{0}'/><target dev='vda'/></disk></devices>")


def test_a_client_cannot_set_the_metadata_of_a_made_disk(keep, spec, store, images, new_name):
    theirs = images / "theirs"
    theirs.write_text("precious")
    claim = test_domain(new_name(), CLAIM.format(theirs))
    vm = keep({"xml": claim})
    assert recorded(store, vm["name"]) == []
    assert values(definition(store, vm["name"]))["labels"] == {"a": "b"}
    put = store.request("PUT", f"/v1/vms/{vm['name']}/xml", xml=claim)
    assert put.status == 200 and recorded(store, vm["name"]) == []
    store.request("PATCH", f"/v1/vms/{vm['name']}", json={"labels": {"c": "d"}})
    assert recorded(store, vm["name"]) == []


def test_a_put_keeps_the_record_of_made_disks(keep, spec, store, images):
    vm = keep(spec({"source": "a", "capacity_bytes": MIB}, {"source": "b", "capacity_bytes": MIB}))
    at = f"/v1/vms/{vm['name']}/xml"
    xml = store.get(at).body.decode()
    assert store.request("PUT", at, xml=xml).status == 200
    assert recorded(store, vm["name"]) == [str(images / "a"), str(images / "b")]
    bare = re.sub(r"<metadata>.*</metadata>", "", xml, flags=re.S)
    assert store.request("PUT", at + "?dry_run=1", xml=bare).json["ok"] is True
    assert store.request("PUT", at, xml=bare).status == 200
    assert recorded(store, vm["name"]) == [str(images / "a"), str(images / "b")]
    one = re.sub(r"<disk type.*?</disk>", "", bare, count=1, flags=re.S)
    assert store.request("PUT", at, xml=one).status == 200
    assert recorded(store, vm["name"]) == [str(images / "b")]
    assert store.request("PUT", at, xml=xml).status == 200  # the file was the user's own in between
    assert recorded(store, vm["name"]) == [str(images / "b")]
    store.request("PATCH", f"/v1/vms/{vm['name']}", json={"labels": None})
    assert recorded(store, vm["name"]) == [str(images / "b")]


# Deleting


NOT_ASKED, NOT_MADE = "the request does not have disks=1", "virtgate did not make it"


def overlay(images, name, backing, *more):
    qemu_img("create", "-q", "-f", "qcow2", "-b", str(backing), "-F", *(more or ["qcow2"]),
             str(images / name))
    return {"source": name, "format": "qcow2"}


@pytest.fixture
def delete(store):
    """Deletes a VM with its disks; returns source -> what became of the disk."""
    def delete(vm, query="?disks=1"):
        answer = store.delete(f"/v1/vms/{vm['uuid']}{query}")
        assert answer.status == 200 and "definition" in answer.json["removed"], answer
        for disk in answer.json["disks"]:
            assert disk["removed"] == (disk["reason"] is None), disk
        return {disk["source"]: disk["reason"] for disk in answer.json["disks"]}
    return delete


def test_a_delete_removes_only_made_disks_and_only_on_request(keep, spec, delete, images):
    (images / "sub").mkdir()
    (images / "theirs").write_bytes(bytes(MIB))
    qemu_img("create", "-q", "-f", "qcow2", str(images / "theirs.qcow2"), "1M")
    wanted = spec({"source": "sub/a", "capacity_bytes": MIB},
                  {"source": "b", "format": "raw", "capacity_bytes": MIB},
                  {"source": "theirs", "format": "raw", "readonly": True},
                  {"source": "theirs.qcow2", "format": "qcow2"}, {"device": "cdrom"})
    vm = keep(wanted)
    assert delete(vm, "") == {"sub/a": NOT_ASKED, "b": NOT_ASKED, "theirs": NOT_ASKED,
                              "theirs.qcow2": NOT_ASKED, None: "it is empty"}
    assert (images / "sub/a").exists() and (images / "b").exists()
    (images / "sub/a").unlink()
    (images / "b").unlink()
    vm = keep(wanted)
    assert delete(vm) == {"sub/a": None, "b": None, "theirs": NOT_MADE, "theirs.qcow2": NOT_MADE,
                          None: "it is empty"}
    assert sorted(p.name for p in images.iterdir()) == ["sub", "theirs", "theirs.qcow2"]
    assert not list((images / "sub").iterdir())


def test_a_delete_stops_the_vm_before_it_removes_disks(keep, spec, store, images):
    vm = keep(spec({"source": "a", "capacity_bytes": MIB}, start=True))
    answer = store.delete(f"/v1/vms/{vm['name']}?disks=1")
    assert answer.json["stopped"] is True
    assert answer.json["disks"] == [{"target": "vda", "source": "a", "removed": True, "reason": None}]
    assert not list(images.iterdir())


def test_a_delete_always_removes_the_carrier_disk(keep, spec, store, images):
    vm = keep(spec(carrier_disk=True))
    answer = store.delete(f"/v1/vms/{vm['uuid']}")
    assert "carrier_disk" in answer.json["removed"]
    assert [(d["source"], d["removed"]) for d in answer.json["disks"]] == [
        (f"carrier-{vm['uuid']}.qcow2", True)]
    assert not list(images.iterdir())


def test_a_delete_keeps_the_carrier_disk_of_another_vm(keep, spec, delete, store, images, new_name):
    vm = keep(spec(carrier_disk=True))
    carrier = images / f"carrier-{vm['uuid']}.qcow2"
    user = keep(spec({"source": carrier.name, "format": "qcow2"}))
    assert delete(vm, "") == {carrier.name: f"VM '{user['name']}' uses it"}
    # A name is no proof: a client chooses the uuid, and what metadata it sends is dropped.
    claims = "".join(f"<v:{what} path='{carrier}'/>" for what in ("carrier", "disk"))
    disk = (f"<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
            f"<source file='{carrier}'/><target dev='vda'/></disk></devices>")
    for inside in "", disk:
        xml = test_domain(new_name(), f"<uuid>{vm['uuid']}</uuid><metadata>"
                          f"<v:vm xmlns:v='urn:virtgate:vm:1'>{claims}</v:vm></metadata>{inside}")
        same = keep({"xml": xml})
        assert same["uuid"] == vm["uuid"]
        assert store.request("PUT", f"/v1/vms/{vm['uuid']}/xml", xml=xml).status == 200
        assert delete(same) == ({carrier.name: NOT_MADE} if inside else {})
    assert delete(user) == {carrier.name: NOT_MADE}
    assert carrier.exists()


@pytest.mark.parametrize("start", [False, True])
def test_a_delete_keeps_a_disk_that_another_vm_uses(keep, spec, delete, images, start):
    vm = keep(spec(*({"source": s, "format": "raw", "capacity_bytes": MIB} for s in "abcd")))
    (images / "alias").symlink_to("b")
    user = keep(spec({"source": "a", "format": "raw"}, {"source": "alias", "format": "raw"}, start=start))
    other = keep(spec(kernel="c"))
    used = f"VM '{user['name']}' uses it"
    assert delete(vm) == {"a": used, "b": used, "c": f"VM '{other['name']}' uses it", "d": None}
    assert sorted(p.name for p in images.iterdir()) == ["a", "alias", "b", "c"]


def test_a_delete_keeps_the_backing_file_of_another_vms_image(keep, spec, delete, images):
    vm = keep(spec(*({"source": s, "capacity_bytes": MIB} for s in "abc")))
    overlay(images, "one", images / "a")
    overlay(images, "two", "one")
    user = keep(spec(overlay(images, "three", images / "two")))
    assert delete(vm) == {"a": f"VM '{user['name']}' uses it", "b": None, "c": None}
    qemu_img("check", "-q", str(images / "three"))


def test_a_delete_keeps_the_backing_file_of_a_disk_that_stays(keep, spec, delete, store, images):
    vm = keep(spec({"source": "a", "capacity_bytes": MIB}))
    at = f"/v1/vms/{vm['name']}/xml"
    overlay(images, "over", images / "a")
    disk = (f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
            f"<source file='{images / 'over'}'/><target dev='vdb' bus='virtio'/></disk></devices>")
    xml = store.get(at).body.decode().replace("</devices>", disk)
    assert store.request("PUT", at, xml=xml).status == 200
    assert delete(vm) == {"a": "another disk of the VM uses it", "over": NOT_MADE}
    assert (images / "a").exists()


def test_a_delete_keeps_a_disk_if_its_users_cannot_be_determined(keep, spec, delete, images):
    vm = keep(spec({"source": "a", "capacity_bytes": MIB}))
    qemu_img("create", "-q", "-f", "qcow2", str(images / "odd"), "1M")
    user = keep(spec({"source": "odd", "format": "qcow2"}))
    with open(images / "odd", "r+b") as file:
        file.seek(4)
        file.write(b"\0\0\0\x09")
    assert delete(vm) == {"a": f"whether VM '{user['name']}' uses it is not known"}
    assert (images / "a").exists()


def test_a_delete_follows_no_symbolic_link(keep, spec, delete, images, tmp_path):
    (images / "sub").mkdir()
    vm = keep(spec({"source": "a", "capacity_bytes": MIB}, {"source": "sub/b", "capacity_bytes": MIB},
                   {"source": "c", "capacity_bytes": MIB}, {"source": "d", "capacity_bytes": MIB}))
    (images / "a").rename(tmp_path / "a")
    (images / "a").symlink_to(tmp_path / "a")
    (images / "sub").rename(tmp_path / "sub")
    (images / "sub").symlink_to(tmp_path / "sub")
    (images / "c").unlink()
    (images / "c").mkdir()
    (images / "d").unlink()
    assert delete(vm) == {"a": "it is not a regular file", "sub/b": "its path has a symbolic link",
                          "c": "it is not a regular file", "d": "virtgate does not find it"}
    assert (tmp_path / "a").exists() and (tmp_path / "sub/b").exists()


def test_the_name_and_disks_of_a_deleted_vm_can_be_used_again(keep, spec, delete):
    wanted = spec({"source": "a", "capacity_bytes": MIB})
    for _ in range(3):
        assert delete(keep(wanted)) == {"a": None}
