# SPDX-License-Identifier: MIT
"""Snapshots on libvirt's test driver: answers, keys, entity tags, states and deletions."""

import concurrent.futures
import re

import pytest

SNAPSHOT = {"name", "parent", "children", "description", "state", "memory", "disks", "created", "current"}
DISK = ("<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        "<source file='a.qcow2'/><target dev='vda' bus='virtio'/></disk></devices>")


def key(text):
    return f"Idempotency-Key: {text}\r\n"


def if_match(tag):
    return f"If-Match: {tag}\r\n"


@pytest.fixture
def vm(new_vm):
    """The path of a running VM."""
    return f"/v1/vms/{new_vm(start=True)['uuid']}"


@pytest.fixture
def take(admin, vm):
    """Takes snapshots of these names, each the parent of the next."""
    def take(*names):
        for name in names:
            answer = admin.post(f"{vm}/snapshots", json={"name": name})
            assert answer.status == 201, answer
    return take


def items(client, vm):
    answer = client.get(f"{vm}/snapshots")
    assert answer.status == 200, answer
    assert all(set(s) == SNAPSHOT for s in answer.json["items"]), answer
    return answer.json["items"]


def names(client, vm):
    return {s["name"] for s in items(client, vm)}


# Members of a snapshot


def test_a_snapshot_says_where_memory_and_disks_are_stored(admin, new_vm):
    for options, memory, disks in ({"start": True}, True, "internal"), ({}, False, "internal"):
        uuid = new_vm(inside=DISK, **options)["uuid"]
        answer = admin.post(f"/v1/vms/{uuid}/snapshots")
        assert (answer.json["memory"], answer.json["disks"]) == (memory, disks), answer
        assert answer.json["state"] == ("running" if memory else "shutoff")
    answer = admin.post(f"/v1/vms/{new_vm()['uuid']}/snapshots")
    assert (answer.json["memory"], answer.json["disks"]) == (False, "none"), answer


def test_each_snapshot_counts_its_children(admin, vm, take):
    take("a", "b")
    admin.post(f"{vm}/snapshots/a/revert")
    take("c")
    assert {s["name"]: s["children"] for s in items(admin, vm)} == {"a": 2, "b": 0, "c": 0}
    for name, children in ("a", 2), ("b", 0):
        assert admin.get(f"{vm}/snapshots/{name}").json["children"] == children


def test_snapshots_and_their_list_have_entity_tags(admin, vm, take):
    take("a")
    assert admin.get(f"{vm}/snapshots/a").headers["ETag"] == admin.get(f"{vm}/snapshots/a").headers["ETag"]
    for target in f"{vm}/snapshots", f"{vm}/snapshots/a":
        before = admin.get(target).headers["ETag"]
        answer = admin.get(target, headers=f"If-None-Match: {before}\r\n")
        assert (answer.status, answer.body) == (304, b"")
    take("b")  # its child, which is the current one
    assert admin.get(f"{vm}/snapshots/a", headers=f"If-None-Match: {before}\r\n").status == 200


# Reverting


@pytest.mark.parametrize("was", ["running", "shutoff", "paused"])
@pytest.mark.parametrize("saved", ["running", "shutoff", "paused"])
@pytest.mark.parametrize("state", [None, "as-saved", "running", "paused"])
def test_a_revert_ends_in_the_requested_state(admin, new_vm, was, saved, state):
    vm = f"/v1/vms/{new_vm(start=True)['uuid']}"
    actions = {"running": [], "paused": ["suspend"], "shutoff": ["stop"]}

    def reach(state):
        for action in "start", "resume", *actions[state]:
            admin.post(f"{vm}/{action}", json={"mode": "kill"} if action == "stop" else {})
        assert admin.get(vm).json["state"] == state

    reach(saved)
    assert admin.post(f"{vm}/snapshots", json={"name": "a"}).json["state"] == saved
    reach(was)
    answer = admin.post(f"{vm}/snapshots/a/revert", **({"json": {"state": state}} if state else {}))
    assert answer.status == 200 and answer.json["changed"] is True, answer
    wanted = saved if state in (None, "as-saved") else state
    assert answer.json["state"] == admin.get(vm).json["state"] == wanted


def test_a_revert_refuses_unknown_values(admin, vm, take):
    take("a")
    for body in {"state": "shutoff"}, {"state": ""}, {"force": "yes"}, {"State": "running"}:
        answer = admin.post(f"{vm}/snapshots/a/revert", json=body)
        assert answer.status == 400, answer
    assert admin.post(f"{vm}/snapshots/a/revert", json={"force": True}).status == 200


def test_the_seeds_revert_goes_to_the_current_snapshot(admin, new_vm):
    vm = new_vm(start=True)
    admin.post(f"/vm/snapshot?name={vm['name']}")
    admin.post(f"/vm/suspend?name={vm['name']}")
    answer = admin.post(f"/vm/snapshot/revert?name={vm['name']}")
    assert (answer.status, answer.json["state"], answer.json["changed"]) == (200, "running", True)


# Deleting


def test_a_delete_lists_every_deleted_snapshot(admin, vm, take):
    take("a", "b", "c")
    answer = admin.delete(f"{vm}/snapshots/b")
    assert answer.json == {"name": "b", "deleted": ["b"], "metadata_only": False}
    assert [(s["name"], s["parent"]) for s in items(admin, vm)] == [("a", None), ("c", "a")]
    take("d")
    answer = admin.delete(f"{vm}/snapshots/a?children=1")
    assert answer.json == {"name": "a", "deleted": ["a", "c", "d"], "metadata_only": False}
    assert items(admin, vm) == []


def test_a_delete_of_metadata_only_says_so(admin, vm, take):
    take("a", "b")
    answer = admin.delete(f"{vm}/snapshots/b?metadata_only=1&children=0")
    assert answer.json == {"name": "b", "deleted": ["b"], "metadata_only": True}
    take("c")
    answer = admin.delete(f"{vm}/snapshots/a?metadata_only=1&children=1")
    assert answer.json == {"name": "a", "deleted": ["a", "c"], "metadata_only": True}
    for query in "children=yes", "children=", "metadata_only=2", "child=1":
        assert admin.delete(f"{vm}/snapshots/a?{query}").status == 400


# If-Match


def test_a_delete_of_a_snapshot_respects_if_match(admin, vm, take):
    take("a")
    tag = admin.get(f"{vm}/snapshots/a").headers["ETag"]
    of_the_vm = admin.get(vm).headers["ETag"]
    take("b")
    for wrong in tag, of_the_vm, '"x"', f'{of_the_vm}, "y"':
        answer = admin.delete(f"{vm}/snapshots/a", headers=if_match(wrong))
        assert (answer.status, answer.code) == (412, "precondition_failed"), answer
    assert names(admin, vm) == {"a", "b"}
    tag = admin.get(f"{vm}/snapshots/a").headers["ETag"]
    assert admin.delete(f"{vm}/snapshots/a", headers=if_match(f'"x", W/{tag}')).status == 200
    assert admin.delete(f"{vm}/snapshots/b", headers=if_match("*")).status == 200
    assert admin.delete(f"{vm}/snapshots/b", headers=if_match("*")).code == "snapshot_not_found"


# Names and descriptions


def test_the_line_that_records_a_key_is_neither_accepted_nor_shown(admin, vm):
    line = "virtgate:request=34435909-152a-532f-8a22-1741626a2158:" + "0" * 32
    for text in line, f"a\n{line}", f"  {line}", f"{line}\nb":
        answer = admin.post(f"{vm}/snapshots", json={"description": text})
        assert (answer.status, answer.code) == (422, "invalid_spec"), answer
        xml = f"<domainsnapshot><description>{text}</description></domainsnapshot>"
        answer = admin.post(f"{vm}/snapshots", xml=xml)
        assert (answer.status, answer.code) == (422, "invalid_spec"), answer
    for i, text in enumerate(["", "one", "two\n\nlines", "ümlaut <&>", "x" * 1000, "x\n" * 499 + "xx"]):
        answer = admin.post(f"{vm}/snapshots", headers=key(f"described-{i}"),
                            json={"description": text} if text else {})
        assert (answer.status, answer.json["description"]) == (201, text), answer
        assert b"virtgate:" not in answer.body + admin.get(answer.location).body
    assert b"virtgate:" not in admin.get(f"{vm}/snapshots").body


# Idempotency-Key


def test_the_same_key_and_body_return_the_first_snapshot(admin, new_vm):
    new = new_vm(start=True)
    vm = f"/v1/vms/{new['uuid']}"
    for how in {"json": {}}, {"json": {"name": "own"}}, \
            {"xml": "<domainsnapshot><name>third</name></domainsnapshot>"}, {}:
        headers = key(f"the key {how}")
        first = admin.post(f"{vm}/snapshots", headers=headers, **how)
        assert (first.status, first.headers["Idempotent-Replay"]) == (201, None), first
        for target in f"{vm}/snapshots", f"/vm/snapshot?name={new['name']}":
            again = admin.post(target, headers=headers, **how)
            assert (again.status, again.headers["Idempotent-Replay"]) == (201, "true"), again
            assert again.json == first.json
        assert again.location.rpartition("/")[2] == first.json["name"]
    assert len(items(admin, vm)) == 4
    assert re.fullmatch("snap-[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}", first.json["name"])


def test_a_key_with_another_body_is_422_key_reused(admin, vm):
    assert admin.post(f"{vm}/snapshots", headers=key("k"), json={"name": "a"}).status == 201
    for body in {"name": "b"}, {"name": "a", "description": "x"}, {}:
        answer = admin.post(f"{vm}/snapshots", headers=key("k"), json=body)
        assert (answer.status, answer.code) == (422, "key_reused"), answer
        assert "'a'" in answer.json["detail"]
    assert names(admin, vm) == {"a"}


def test_a_key_belongs_to_one_user_and_one_vm(admin, operator, new_vm):
    vms = [f"/v1/vms/{new_vm(start=True)['uuid']}" for _ in range(2)]
    made = [client.post(f"{vm}/snapshots", headers=key("shared"), json={})
            for client in (admin, operator) for vm in vms]
    assert [(a.status, a.headers["Idempotent-Replay"]) for a in made] == [(201, None)] * 4
    assert len(names(admin, vms[0])) == len(names(admin, vms[1])) == 2


def test_a_key_does_not_take_over_a_name_that_exists(admin, vm, take):
    take("a")
    answer = admin.post(f"{vm}/snapshots", headers=key("k"), json={"name": "a"})
    assert (answer.status, answer.code) == (409, "already_exists")
    assert admin.post(f"{vm}/snapshots", headers=key("k"), json={"name": "b"}).status == 201


def test_a_deleted_snapshot_is_made_again_by_its_key(admin, vm):
    first = admin.post(f"{vm}/snapshots", headers=key("k"))
    admin.delete(first.location)
    again = admin.post(f"{vm}/snapshots", headers=key("k"))
    assert (again.status, again.headers["Idempotent-Replay"]) == (201, None)
    assert again.json["name"] == first.json["name"]


def test_a_repeated_request_with_if_match_is_answered_although_the_first_changed_the_vm(admin, vm):
    first = admin.post(f"{vm}/snapshots", headers=key("k") + if_match("*"))
    assert first.status == 201, first
    again = admin.post(f"{vm}/snapshots", headers=key("k") + if_match('"a tag of before"'))
    assert (again.status, again.json) == (201, first.json), again
    answer = admin.post(f"{vm}/snapshots", headers=key("l") + if_match('"a tag of before"'))
    assert (answer.status, answer.code) == (412, "precondition_failed")
    assert len(items(admin, vm)) == 1


def test_a_key_of_256_bytes_is_too_long(admin, vm):
    assert admin.post(f"{vm}/snapshots", headers=key("x" * 256)).code == "bad_request"
    assert admin.post(f"{vm}/snapshots", headers=key("x" * 255)).status == 201


@pytest.mark.parametrize("body", [{}, {"name": "own"}])
def test_many_clients_with_one_key_make_one_snapshot(gateway, admin, vm, body):
    def post(_):
        with gateway.client("admin", patient=True) as client:
            return client.post(f"{vm}/snapshots", headers=key("twenty"), json=body)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(16)))
    assert {a.status for a in answers} == {201}, answers
    assert len({a.body for a in answers}) == 1
    assert sum(a.headers["Idempotent-Replay"] is None for a in answers) == 1
    assert len(items(admin, vm)) == 1


def test_a_revert_on_the_test_driver_does_not_look_into_the_image(new_gateway, tmp_path):
    gateway = new_gateway(images=str(tmp_path))
    with gateway.client("admin") as admin:
        spec = {"name": "held", "memory_kib": 8192, "start": True,
                "disks": [{"source": "held.qcow2", "capacity_bytes": 1 << 20}]}
        assert admin.post("/v1/vms", json=spec).status == 201
        assert admin.post("/v1/vms/held/snapshots", json={"name": "a"}).status == 201
        answer = admin.post("/v1/vms/held/snapshots/a/revert", json={"state": "paused"})
        assert (answer.status, answer.json["state"]) == (200, "paused"), answer
        assert admin.delete("/v1/vms/held?disks=1").status == 200


def test_snapshots_beyond_the_listed_ones_can_be_read_by_name(new_gateway, tmp_path):
    def snapshot(i):
        parent = f"<parent><name>s{i - 1}</name></parent>" if i else ""
        return (f"<test:domainsnapshot><name>s{i}</name>{parent}<creationTime>1</creationTime>"
                f"<state>shutoff</state>"
                "<active>0</active></test:domainsnapshot>")

    (tmp_path / "node.xml").write_text(
        "<node><domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>"
        "<name>many</name><memory>8192</memory><os><type>hvm</type></os>"
        f"<test:runstate>5</test:runstate>{''.join(map(snapshot, range(1025)))}</domain></node>")
    gateway = new_gateway(uri=f"test://{tmp_path}/node.xml")
    with gateway.client("admin") as admin:
        answer = admin.get("/v1/vms/many/snapshots")
        assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
        assert "1025" in answer.json["detail"]
        assert admin.get("/v1/vms/many/snapshots/s7").json["parent"] == "s6"
        assert admin.delete("/v1/vms/many/snapshots/s1024").json["deleted"] == ["s1024"]
