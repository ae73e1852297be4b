# SPDX-License-Identifier: MIT
"""VMs from specs, templates and XML, dry runs, and definitions that are replaced, on libvirt's test
driver."""

import re
import xml.etree.ElementTree as ET

import pytest
from conftest import test_domain
from gateway import REPO

NS = "{urn:virtgate:vm:1}"


def tree(answer):
    assert answer.status == 200, answer
    text = answer.json["xml"] if answer.headers["Content-Type"] == "application/json" else answer.body
    return ET.fromstring(text)


def found(root, path):
    """The texts of the elements at a path, or the values of an attribute: "devices/disk@type"."""
    path, _, attribute = path.partition("@")
    elements = root.findall(path) if path else [root]
    return [e.get(attribute) if attribute else e.text for e in elements]


@pytest.fixture
def dry(admin):
    """The domain XML that a dry run makes of a spec."""
    def dry(spec):
        return tree(admin.post("/v1/vms?dry_run=1", json=spec))
    return dry


@pytest.fixture
def made(admin):
    """Creates VMs from specs and deletes them afterwards."""
    uuids = []

    def make(spec):
        answer = admin.post("/v1/vms", json=spec)
        assert answer.status == 201, answer
        uuids.append(answer.json["uuid"])
        return answer.json

    yield make
    for uuid in uuids:
        assert admin.delete(f"/v1/vms/{uuid}").status in (200, 404)


# Specs

SPEC = {
    "name": "all", "title": "A <title> & more", "description": "two\nlines", "memory_kib": 65536,
    "vcpus": 2, "kernel": "k", "initrd": "i", "cmdline": "console=ttyS0 a='b'",
    "disks": [
        {"source": "a.img", "format": "raw", "boot_order": 1, "serial": "S-1"},
        {"source": "b/c.img", "format": "raw", "bus": "scsi", "readonly": True},
        {"source": "d.img", "format": "raw", "target": "vdb", "readonly": False},
        {"source": "e.img", "format": "raw"}, {"device": "cdrom"},
    ],
    "interfaces": [
        {"network": "default", "boot_order": 2}, {"bridge": "virbr0", "mac": "52:54:00:12:34:56",
                                                  "model": "e1000"},
    ],
    "graphics": {"type": "vnc"}, "serial": {"type": "pty", "log": "serial-all.log", "append": True},
    "labels": {"tier": "web", "a.b_c+d-e": "x < y & 'z'"},
}


@pytest.mark.parametrize("initrd", ["i", "{images}/i"])
def test_every_field_of_a_spec_becomes_its_part_of_the_xml(gateway, dry, initrd):
    images, logs = gateway.settings["images"], gateway.settings["logs"]
    root = dry({**SPEC, "initrd": initrd.format(images=images)})
    for path, wanted in {
        "name": ["all"], "title": ["A <title> & more"], "description": ["two\nlines"],
        "memory": ["65536"], "memory@unit": ["KiB"], "vcpu": ["2"], "os/type": ["hvm"],
        "os/kernel": [f"{images}/k"], "os/initrd": [f"{images}/i"],
        "os/cmdline": ["console=ttyS0 a='b'"],
        "devices/disk@type": ["file"] * 5, "devices/disk@device": ["disk"] * 4 + ["cdrom"],
        "devices/disk/source@file": [f"{images}/{f}" for f in
                                     ("a.img", "b/c.img", "d.img", "e.img")],
        "devices/disk/driver@type": ["raw"] * 4,
        "devices/disk/target@dev": ["vda", "sda", "vdb", "vdc", "sdb"],
        "devices/disk/target@bus": ["virtio", "scsi", "virtio", "virtio", "sata"],
        "devices/disk/serial": ["S-1"], "devices/disk/boot@order": ["1"],
        "devices/interface@type": ["network", "bridge"],
        "devices/interface/source@network": ["default", None],
        "devices/interface/source@bridge": [None, "virbr0"],
        "devices/interface/model@type": ["virtio", "e1000"],
        "devices/graphics@type": ["vnc"], "devices/graphics/listen@address": ["127.0.0.1"],
        "devices/graphics@websocket": ["-1"], "devices/serial@type": ["pty"],
        "devices/serial/log@file": [f"{logs}/{root.findtext('uuid')}@serial-all.log"],
        "devices/serial/log@append": ["on"],
    }.items():
        assert found(root, path) == wanted, path
    macs = found(root, "devices/interface/mac@address")
    assert re.fullmatch("52:54:00(:[0-9a-f]{2}){3}", macs[0]) and macs[1] == "52:54:00:12:34:56"
    assert [d.find("readonly") is not None for d in root.findall("devices/disk")] == [
        False, True, False, False, False]
    labels = root.findall(f"metadata/{NS}vm/{NS}label")
    assert {label.get("name"): label.text for label in labels} == SPEC["labels"]


def test_libvirt_has_the_vm_as_its_spec_says(admin, made):
    vm = made(SPEC)
    assert (vm["name"], vm["vcpus"], vm["memory_kib"], vm["state"]) == ("all", 2, 65536, "shutoff")
    root = tree(admin.get("/v1/vms/all/xml"))
    assert found(root, "title") == ["A <title> & more"]
    assert set(found(root, "devices/disk/target@dev")) == {"vda", "sda", "vdb", "vdc", "sdb"}
    assert {e.get("name"): e.text for e in root.iter(f"{NS}label")} == SPEC["labels"]


def test_a_spec_from_nothing_has_a_console_and_no_more_than_it_says(dry):
    root = dry({"name": "bare", "memory_kib": 2048})
    assert sorted(e.tag for e in root.find("devices")) == ["graphics", "serial"]
    assert found(root, "devices/graphics/listen@address") == ["127.0.0.1"]
    assert [e.tag for e in root.find("features")] == ["acpi", "apic"]
    root = dry({"name": "bare", "memory_kib": 2048, "graphics": {"type": "none"},
                "serial": {"type": "none"}})
    assert list(root.find("devices")) == []


def test_a_template_is_overridden_field_by_field(gateway, dry):
    root = dry({"template": "nginx"})
    assert found(root, "name") == ["vm_nginx"] and found(root, "memory") == ["16384"]
    root = dry({"template": "nginx.xml", "name": "mine", "memory_kib": 32768, "kernel": "other",
                "filesystems": [], "interfaces": [{"bridge": "virbr0"}], "title": "Mine"})
    assert found(root, "name") == ["mine"] and found(root, "title") == ["Mine"]
    assert found(root, "memory") == ["32768"] and found(root, "currentMemory") == []
    assert found(root, "os/kernel") == [f"{gateway.settings['images']}/other"]
    assert found(root, "devices/filesystem") == []
    assert found(root, "devices/interface/address") == []
    assert found(root, "devices/graphics@type") == ["vnc"]
    assert "pages" in found(root, "description")[0]


def test_xml_is_overridden_like_a_template(dry):
    root = dry({"xml": test_domain("a", "<title>old</title>"), "title": "new", "vcpus": 3})
    assert (found(root, "title"), found(root, "vcpu"), found(root, "name")) == (["new"], ["3"], ["a"])


def test_a_dry_run_lists_the_changes_made_to_the_xml(admin):
    """Also if there are many: the domain's type changes last, after 16 interfaces."""
    taps = "".join(f"<interface type='bridge'><source bridge='virbr0'/><target dev='tap{i}'/></interface>"
                   for i in range(16))
    xml = test_domain("told", f"<devices>{taps}</devices>").replace("type='test'", "type='kvm'")
    answer = admin.post("/v1/vms", xml=xml)
    assert answer.status == 201 and len(answer.json["warnings"]) == 17, answer
    assert "test driver" in answer.json["warnings"][-1]
    assert admin.delete("/v1/vms/told").status == 200


def test_a_description_full_of_equals_signs_comes_back(admin, made):
    made({"name": "equal", "memory_kib": 2048, "description": "=" * 8000})
    text = admin.get("/v1/vms/equal/xml").body.decode()
    assert put(admin, "equal", text).status == 200


def test_two_vms_of_one_template_have_addresses_of_their_own(dry):
    seen = {found(dry({"template": "http-reply"}), "devices/interface/mac@address")[0]
            for _ in range(3)}
    assert len(seen) == 3


@pytest.mark.parametrize("name", ["a</name><name>b", "a&lt;/name&gt;", "<!-- -->"])
def test_a_text_that_is_no_name_may_be_a_title_or_a_label(admin, dry, name):
    answer = admin.post("/v1/vms", json={"template": "helloworld", "name": name})
    assert (answer.status, answer.code) == (422, "invalid_spec")
    assert f"name: '{name}' is not 1 to 63" in answer.json["detail"]
    root = dry({"template": "helloworld", "name": "n", "title": name, "labels": {"x": name}})
    assert found(root, "title") == [name] and len(root.findall("name")) == 1
    assert [e.text for e in root.iter(f"{NS}label")] == [name]


NOTHING = "no spec, template or XML", "name:"


@pytest.mark.parametrize("spec, status, where", [
    ({}, 400, "no spec, template or XML"), ({"name": "x"}, 422, "memory_kib: this field is missing;"),
    ({"memory_kib": 2048}, 422, "name: this field is missing;"), ({"start": True}, 422, "name:"),
    ({"memory_kib": 1023}, 400, "memory_kib: 1023 is not from 1024 to 1073741824"),
    ({"memory_kib": (1 << 30) + 1}, 400, "memory_kib:"), ({"vcpus": 0}, 400, "vcpus: 0 is not from 1 to 256"),
    ({"vcpus": 257}, 400, "vcpus:"), ({"vcpus": 1.5}, 400, "vcpus: must be a whole number"),
    ({"title": "x" * 257}, 400, "title: 257 bytes are more than the 256"),
    ({"title": "a\u0007"}, 400, "title: has a control character"),
    ({"title": "a\uffff"}, 400, "title: has a control character"),
    ({"cmdline": "x"}, 422, "kernel: initrd and cmdline need a kernel"),
    ({"initrd": "x"}, 422, "kernel:"), ({"kernel": ""}, 400, "kernel: must not be empty"),
    ({"kernel": "../k"}, 422, "'../k' leads out"),
    ({"disks": [{}]}, 422, "disks[0].source:"), ({"disks": [{"source": "a"}]}, 422, "disks[0].format:"),
    ({"disks": [{"source": "a", "format": "vmdk"}]}, 400, "disks[0].format: 'vmdk' is not one of qcow2|raw"),
    ({"disks": [{"device": "cdrom"}, {"source": 1}]}, 400, "disks[1].source: must be a string"),
    ({"disks": [{"size": 1}]}, 400, "'disks[0].size' is not a field"),
    ({"disks": [[]]}, 400, "disks[0]: must be a JSON object"),
    ({"disks": [None]}, 400, "disks[0]: must be a JSON object"),
    ({"disks": {}}, 400, "disks: must be an array"),
    ({"disks": [{"device": "cdrom"}] * 17}, 400, "disks: 17 are more than the 16"),
    ({"disks": [{"device": "cdrom", "boot_order": 0}]}, 400, "disks[0].boot_order: 0 is not from 1 to 64"),
    ({"disks": [{"device": "floppy", "bus": "sata"}]}, 422, "disks[0].bus: a floppy must be on fdc"),
    ({"disks": [{"device": "cdrom", "bus": "fdc"}]}, 422, "disks[0].bus: a floppy must be on fdc"),
    ({"disks": [{"device": "cdrom", "bus": "virtio"}]}, 422, "disks[0].bus: a cdrom must be on sata"),
    ({"graphics": {"type": "none\0junk"}}, 400, "graphics.type:"),
    ({"interfaces": [{}]}, 422, "interfaces[0]:"),
    ({"interfaces": [{"network": "default", "bridge": "virbr0"}]}, 422, "interfaces[0]:"),
    ({"interfaces": [{"bridge": "virbr0", "model": "ne2k"}]}, 400, "interfaces[0].model:"),
    ({"filesystems": [{"source": "fs0"}]}, 400, "filesystems[0].target: this field is missing"),
    ({"graphics": {}}, 400, "graphics.type: this field is missing"),
    ({"graphics": {"type": "spice"}}, 400, "graphics.type: 'spice' is not one of vnc|none"),
    ({"serial": {"type": "none", "log": "x"}}, 422, "serial:"),
    ({"serial": {"type": "pty", "append": True}}, 422, "serial.append:"),
    ({"labels": {"a b": "x"}}, 400, "labels: the name 'a b' is not"),
    ({"labels": {"a": 1}}, 400, "labels.a: must be a string"),
    ({"labels": {"a": "x" * 257}}, 400, "labels.a: 257 bytes"),
    ({"labels": {f"n{i}": "x" for i in range(65)}}, 400, "labels: 65 are more than the 64"),
])
def test_a_bad_spec_is_refused_by_field_and_rule(admin, spec, status, where):
    if "missing" not in where.removesuffix("this field is missing") and where not in NOTHING:
        spec = {"name": "bad", "memory_kib": 2048, **spec}
    for query in "", "?dry_run=1":
        answer = admin.post("/v1/vms" + query, json=spec)
        assert answer.status == status, answer
        assert where in answer.json["detail"], answer
    assert admin.get("/v1/vms/bad").status == 404


@pytest.mark.parametrize("spec, path", [
    ({"kernel": "/etc/shadow"}, "/domain/os/kernel"),
    ({"disks": [{"source": "/etc/shadow", "format": "raw"}]}, "/domain/devices/disk/source/@file"),
    ({"disks": [{"device": "cdrom", "target": "x/y"}]}, "/domain/devices/disk/target/@dev"),
    ({"disks": [{"device": "cdrom", "serial": "a,b=c"}]}, "/domain/devices/disk/serial"),
    ({"interfaces": [{"bridge": "eth0"}]}, "/domain/devices/interface/source/@bridge"),
    ({"interfaces": [{"network": "other"}]}, "/domain/devices/interface/source/@network"),
    ({"interfaces": [{"bridge": "virbr0", "mac": "x"}]}, "/domain/devices/interface/mac/@address"),
    ({"filesystems": [{"source": "/", "target": "t"}]}, "/domain/devices/filesystem/source/@dir"),
    ({"serial": {"type": "pty", "log": "/etc/cron.d/x"}}, "/domain/devices/serial/log/@file"),
    ({"xml": test_domain("bad", "<seclabel type='none'/>")}, "/domain/seclabel"),
])
@pytest.mark.parametrize("query", ["", "?dry_run=1"])
def test_a_spec_goes_through_the_policy(admin, spec, path, query):
    answer = admin.post("/v1/vms" + query, json={"name": "bad", "memory_kib": 2048, **spec})
    assert (answer.status, answer.code) == (422, "policy_denied"), answer
    assert [v["path"] for v in answer.json["violations"]] == [path], answer
    assert admin.get("/v1/vms/bad").status == 404


# Dry run


def checks(answer):
    return {(f["severity"], f["check"]) for f in answer.json["findings"]}


@pytest.mark.parametrize("query", ["", "&start=1", "&persistent=0"])
def test_a_dry_run_creates_no_vm(admin, query):
    before = admin.get("/v1/vms").json
    answer = admin.post("/v1/vms?dry_run=1" + query, json={"template": "helloworld", "name": "dry"})
    assert (answer.status, answer.json["dry_run"], answer.json["name"]) == (200, True, "dry")
    assert "Location" not in answer.headers
    assert admin.get("/v1/vms").json == before
    # A create makes the XML that the dry run has shown.
    assert admin.post("/v1/vms", xml=answer.json["xml"]).status == 201
    vm = admin.get("/v1/vms/dry").json
    assert vm["uuid"] == answer.json["uuid"]
    assert admin.delete("/v1/vms/dry").status == 200


def test_a_dry_run_lists_what_it_could_not_check(admin):
    answer = admin.post("/v1/vms?dry_run=1", json={"name": "dry", "memory_kib": 2048})
    assert answer.json["ok"] is True
    assert answer.json["command_line"] is None
    assert checks(answer) == {("info", "command"), ("warning", "changes")}, answer
    texts = " ".join(f["detail"] for f in answer.json["findings"])
    assert "test driver" in texts and "no QEMU command lines" in texts


def test_a_dry_run_finds_a_name_in_use(admin, new_vm):
    vm = new_vm()
    for spec in {"name": vm["name"]}, {"name": "dry", "xml": test_domain("x", uuid=vm["uuid"])}:
        answer = admin.post("/v1/vms?dry_run=1", json={"memory_kib": 2048, **spec})
        assert answer.status == 200 and answer.json["ok"] is False
        assert ("error", "names") in checks(answer)


def test_a_dry_run_validates_by_libvirts_schema(admin):
    # Only the schema refuses this: the policy accepts any text as a title.
    xml = test_domain("dry", "<title>two\nlines</title>")
    answer = admin.post("/v1/vms?dry_run=1", xml=xml)
    assert answer.status == 200 and answer.json["ok"] is False
    assert ("error", "schema") in checks(answer)
    real = admin.post("/v1/vms", xml=xml)
    assert (real.status, real.code) == (422, "invalid_xml")


def test_a_dry_run_refuses_malformed_requests(admin):
    for body, code in {"<domain>": "invalid_xml", "<!DOCTYPE x><domain/>": "invalid_xml",
                       test_domain(".."): "invalid_spec",
                       test_domain("x", "<seclabel/>"): "policy_denied"}.items():
        answer = admin.post("/v1/vms?dry_run=1", xml=body)
        assert (answer.status, answer.code) == (422, code), answer


def test_a_dry_run_is_for_admins(operator):
    assert operator.post("/v1/vms?dry_run=1", json={"template": "helloworld"}).status == 403


def test_a_dry_run_finds_missing_files(new_gateway, tmp_path):
    for directory in "images", "shares":
        (tmp_path / directory).mkdir()
    (tmp_path / "shares/private").mkdir(mode=0o700)
    gateway = new_gateway(images=str(tmp_path / "images"), shares=str(tmp_path / "shares"))
    spec = {"name": "dry", "memory_kib": 2048, "kernel": "missing",
            "disks": [{"source": "no/disk.img", "format": "raw"}],
            "filesystems": [{"source": "private", "target": "t"}]}
    with gateway.client("admin") as admin:
        for start, severity in (False, "warning"), (True, "error"):
            answer = admin.post("/v1/vms?dry_run=1", json={**spec, "start": start})
            files = [(f["severity"], f["path"]) for f in answer.json["findings"] if f["check"] == "files"]
            assert files == [(severity, "/domain/os/kernel"),
                             (severity, "/domain/devices/disk/source/@file"),
                             ("warning", "/domain/devices/filesystem/source/@dir")], answer
            assert answer.json["ok"] is (not start)
        (tmp_path / "images/missing").touch()
        (tmp_path / "images/no").mkdir()
        (tmp_path / "images/no/disk.img").touch()
        (tmp_path / "shares/private").chmod(0o755)
        answer = admin.post("/v1/vms?dry_run=1", json=spec)
        assert "files" not in {f["check"] for f in answer.json["findings"]}, answer


# The definition


def put(client, ref, xml, etag=None, query=""):
    headers = f"If-Match: {etag}\r\n" if etag else ""
    return client.request("PUT", f"/v1/vms/{ref}/xml{query}", xml=xml, headers=headers)


def test_the_xml_of_a_get_can_be_put_unchanged(admin, new_vm):
    vm = new_vm()
    got = admin.get(f"/v1/vms/{vm['uuid']}/xml")
    answer = put(admin, vm["name"], got.body.decode(), got.headers["ETag"])
    assert answer.status == 200, answer
    assert (answer.json["uuid"], answer.json["effective"]) == (vm["uuid"], "next-start")
    assert answer.json["warnings"] == []
    again = admin.get(f"/v1/vms/{vm['uuid']}/xml")
    assert again.body == got.body and again.headers["ETag"] == got.headers["ETag"]


def test_a_put_with_the_current_entity_tag_replaces(admin, new_vm):
    vm = new_vm()
    at = f"/v1/vms/{vm['uuid']}/xml"
    first = admin.get(at)
    etag, text = first.headers["ETag"], first.body.decode()
    assert re.fullmatch('"[0-9a-f]{32}"', etag)
    for stale in '"x"', "x", '"', "W/", f"x{etag}", etag.upper().replace("W/", ""), etag[:-1]:
        if stale == etag:
            continue
        for query in "", "?dry_run=1":
            answer = put(admin, vm["uuid"], text.replace("8192", "4096"), stale, query)
            assert (answer.status, answer.code) == (412, "precondition_failed"), (stale, answer)
    assert admin.get(at).headers["ETag"] == etag
    for match in etag, f"W/{etag}", f'"x", {etag}', f'"x" ,W/{etag}', "*":
        size = 4096 + len(match) * 4
        answer = put(admin, vm["uuid"], text.replace("8192", str(size)), match)
        assert answer.status == 200 and answer.json["memory_kib"] == size, (match, answer)
        changed = admin.get(at)
        assert changed.headers["ETag"] != etag
        put(admin, vm["uuid"], text)
        assert admin.get(at).headers["ETag"] == etag


def test_the_second_of_two_conflicting_puts_fails(gateway, admin, new_vm):
    vm = new_vm()
    got = admin.get(f"/v1/vms/{vm['uuid']}/xml")
    text, etag = got.body.decode(), got.headers["ETag"]
    first = put(admin, vm["uuid"], text.replace("8192", "4096"), etag)
    second = put(admin, vm["uuid"], text.replace("8192", "2048"), etag)
    assert (first.status, second.status) == (200, 412)
    assert admin.get(f"/v1/vms/{vm['uuid']}").json["memory_kib"] == 4096


def test_replacing_the_definition_leaves_the_running_guest_alone(admin, new_vm):
    vm = new_vm(start=True)
    text = admin.get(f"/v1/vms/{vm['uuid']}/xml").body.decode()
    answer = put(admin, vm["uuid"], text.replace("8192", "4096"))
    assert (answer.status, answer.json["state"], answer.json["effective"]) == (
        200, "running", "after-stop"), answer
    assert b"4096" in admin.get(f"/v1/vms/{vm['uuid']}/xml").body
    assert b"8192" in admin.get(f"/v1/vms/{vm['uuid']}/xml?live=1").body
    admin.post(f"/v1/vms/{vm['uuid']}/stop", json={"mode": "kill"})
    assert admin.get(f"/v1/vms/{vm['uuid']}").json["memory_kib"] == 4096


def test_a_put_may_omit_name_and_uuid_but_not_change_them(admin, new_vm):
    vm = new_vm()
    bare = "<domain type='test'>{}<memory unit='KiB'>4096</memory><os><type>hvm</type></os></domain>"
    answer = put(admin, vm["name"], bare.format(""))
    assert (answer.status, answer.json["uuid"], answer.json["memory_kib"]) == (200, vm["uuid"], 4096)
    assert put(admin, vm["name"], bare.format(f"<uuid>{vm['uuid'].upper()}</uuid>")).status == 200
    for other in "<name>other</name>", "<uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>", \
            f"<name>{vm['name']}</name><name>x</name>":
        answer = put(admin, vm["name"], bare.format(other))
        assert answer.status == 422 and answer.code in ("invalid_spec", "invalid_xml"), answer
    assert admin.get("/v1/vms/other").status == 404
    assert admin.get(f"/v1/vms/{vm['uuid']}").json["name"] == vm["name"]


@pytest.mark.parametrize("how", ["syntax", "policy", "schema"])
def test_a_failed_put_leaves_the_old_definition(admin, new_vm, how):
    vm = new_vm()
    got = admin.get(f"/v1/vms/{vm['uuid']}/xml")
    bad = {"syntax": "<domain", "policy": test_domain(vm["name"], "<seclabel type='none'/>"),
           "schema": test_domain(vm["name"], "<title>two\nlines</title>")}[how]
    answer = put(admin, vm["uuid"], bad)
    assert answer.status == 422, answer
    again = admin.get(f"/v1/vms/{vm['uuid']}/xml")
    assert again.body == got.body and again.headers["ETag"] == got.headers["ETag"]


def test_a_transient_vm_has_no_definition(admin):
    vm = admin.post("/v1/vms?persistent=0", xml=test_domain("passing")).json
    answer = put(admin, vm["uuid"], admin.get(f"/v1/vms/{vm['uuid']}/xml").body.decode())
    assert (answer.status, answer.code, answer.json["state"]) == (409, "wrong_state", "running")
    assert admin.get(f"/v1/vms/{vm['uuid']}").json["persistent"] is False
    assert admin.delete(f"/v1/vms/{vm['uuid']}").status == 200


def test_a_dry_run_of_a_put_replaces_nothing(admin, new_vm):
    vm = new_vm()
    got = admin.get(f"/v1/vms/{vm['uuid']}/xml")
    answer = put(admin, vm["uuid"], got.body.decode().replace("8192", "4096"), query="?dry_run=1")
    assert (answer.status, answer.json["ok"], answer.json["uuid"]) == (200, True, vm["uuid"])
    assert ">4096<" in answer.json["xml"]
    assert ("error", "names") not in checks(answer)
    assert admin.get(f"/v1/vms/{vm['uuid']}/xml").body == got.body


def test_a_put_needs_xml_and_an_admin(admin, operator, new_vm):
    vm = new_vm()
    at = f"/v1/vms/{vm['uuid']}/xml"
    assert operator.request("PUT", at, xml="<domain/>").status == 403
    answer = admin.request("PUT", at, json={"xml": "<domain/>"})
    assert answer.status == 415 and answer.json["detail"].endswith("send application/xml")
    answer = admin.request("PUT", at)
    assert answer.status == 400 and "definition" in answer.json["detail"]


# Metadata of other tools


def test_metadata_of_other_tools_is_kept(admin, made):
    xml = test_domain("meta", "<metadata><o:os xmlns:o='urn:other'><o:id>7</o:id></o:os></metadata>")
    made({"xml": xml, "labels": {"a": "1"}})
    root = tree(admin.get("/v1/vms/meta/xml"))
    assert [e.text for e in root.iter("{urn:other}id")] == ["7"]
    assert [e.text for e in root.iter(f"{NS}label")] == ["1"]
    # A spec's labels replace the labels of the XML.
    text = admin.get("/v1/vms/meta/xml").body.decode()
    answer = admin.post("/v1/vms?dry_run=1", json={"xml": text, "labels": {"b": "2"}})
    assert [e.get("name") for e in tree(answer).iter(f"{NS}label")] == ["b"]
    answer = admin.post("/v1/vms?dry_run=1", json={"xml": text, "labels": {}})
    assert [e.get("name") for e in tree(answer).iter(f"{NS}label")] == []


def test_every_template_can_be_created(admin, new_gateway, tmp_path):
    """The test provides the files that the templates name."""
    (tmp_path / "fs0").mkdir()
    header = bytearray(b"QFI\xfb\0\0\0\3") + bytes(96)
    header[103] = 104
    (tmp_path / "linux.qcow2").write_bytes(header)
    gateway = new_gateway(images=str(tmp_path), shares=str(tmp_path))
    with gateway.client("admin") as client:
        names = [t["name"] for t in client.get("/v1/templates").json["items"]]
        assert set(names) == {p.stem for p in (REPO / "xml").glob("*.xml")}
        for name in names:
            answer = client.post("/v1/vms?dry_run=1", json={"template": name})
            assert answer.status == 200, (name, answer)
            assert ("error", "schema") not in checks(answer), answer
            assert client.post("/v1/vms", json={"template": name, "name": name}).status == 201
