# SPDX-License-Identifier: MIT
"""Lists of VMs on libvirt's test driver: filters, members, pages, entity tags."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import test_domain


@pytest.fixture
def fleet(new_vm):
    """Ten VMs: fleet-0 to fleet-9, the even ones running, with labels."""
    made = []
    for i in range(10):
        made.append(new_vm(
            f"fleet-{i}", start=i % 2 == 0,
            labels={"tier": "front" if i < 5 else "back", "n": str(i), "empty": ""}))
    return made


def names(answer):
    assert answer.status == 200, answer
    return [vm["name"] for vm in answer.json["items"]]


def walk(client, query="", limit=3):
    """All names, page by page."""
    found, after = [], ""
    while True:
        answer = client.get(f"/v1/vms?limit={limit}{query}{after}")
        page = names(answer)
        assert len(page) <= limit
        found += page
        if answer.json["next"] is None:
            return found
        assert answer.json["next"] == page[-1] and len(page) == limit
        after = f"&after={answer.json['next']}"


def fleet_names(*numbers):
    return [f"fleet-{n}" for n in numbers]


@pytest.mark.parametrize("query, numbers", [
    ("", range(10)),
    ("&state=running", range(0, 10, 2)),
    ("&state=shutoff", range(1, 10, 2)),
    ("&state=shutoff,running", range(10)),
    ("&state=paused", []),
    ("&label=tier=front", range(5)),
    ("&label=tier%3Dback", range(5, 10)),
    ("&label=tier", range(10)),
    ("&label=tier=front,n=3", [3]),
    ("&label=tier=front,n=7", []),
    ("&label=empty=", range(10)),
    ("&label=n=", []),
    ("&label=ti", []),
    ("&label=tier=front&state=running", [0, 2, 4]),
])
def test_filters_select_the_matching_vms(viewer, fleet, query, numbers):
    assert names(viewer.get(f"/v1/vms?name=fleet-*{query}")) == fleet_names(*numbers)


@pytest.mark.parametrize("pattern, numbers", [
    ("fleet-%3f", range(10)), ("fleet-1", [1]), ("*-1", [1]), ("f*t-*2", [2]), ("fleet", []),
    ("fleet-??", []), ("*fleet-3*", [3]), ("FLEET-*", []), ("[f]leet-1", []), ("a*" * 60, []),
])
def test_a_name_is_a_pattern(viewer, fleet, pattern, numbers):
    found = names(viewer.get(f"/v1/vms?name={pattern}&label=n"))
    assert found == fleet_names(*numbers)


@pytest.mark.parametrize("query", [
    "state=", "state=on", "state=running,", "state=running,,paused", "state=Running",
    "label=", "label==x", "label=a,", "label=a%20b", "label=" + "x" * 64, "name=",
    "fields=", "fields=nothing", "fields=name,", "fields=name,,state", "fields=labels.tier",
    "limit=0", "limit=-1", "limit=1001", "limit=", "limit=ten", "limit=1e2", "limit=99999999999999999999",
    "after=", "after=" + "x" * 300, "page=2", "state=running&state=paused",
])
def test_a_malformed_filter_is_refused(viewer, query):
    answer = viewer.get(f"/v1/vms?{query}")
    assert answer.status == 400 and query.partition("=")[0] in answer.json["detail"]


def test_fields_selects_the_members_of_items(viewer, fleet):
    answer = viewer.get("/v1/vms?name=fleet-1&fields=name,labels,state")
    assert answer.json["items"] == [
        {"name": "fleet-1", "state": "shutoff",
         "labels": {"tier": "front", "n": "1", "empty": ""}}]


def test_pages_join_to_the_whole_list(viewer, fleet):
    for limit in 1, 3, 5, 9, 10, 11:
        assert walk(viewer, "&name=fleet-*", limit) == fleet_names(*range(10))
    # The name in "after" need not exist.
    assert names(viewer.get("/v1/vms?name=fleet-*&after=fleet-41")) == fleet_names(*range(5, 10))
    assert names(viewer.get("/v1/vms?after=zzz")) == []


def test_paging_neither_misses_nor_repeats_a_vm_while_others_come_and_go(gateway, fleet):
    stop = threading.Event()
    failed = []

    def churn():
        with gateway.client("admin", patient=True) as admin:
            for n in range(10_000):
                if stop.is_set():
                    return
                name = f"fleet-{n % 10}-comes"
                made = admin.post("/v1/vms", json={"xml": test_domain(name)})
                gone = admin.delete(f"/v1/vms/{name}")
                if made.status != 201 or gone.status != 200:
                    failed.append((made, gone))
                    return

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        with gateway.client("viewer", patient=True) as viewer:
            for limit in (1, 2, 3, 4) * 10:
                found = walk(viewer, "&name=fleet-*", limit)
                assert found == sorted(set(found))
                assert [n for n in found if not n.endswith("-comes")] == fleet_names(*range(10))
    finally:
        stop.set()
        thread.join()
    assert not failed


def test_a_list_shows_every_create_and_delete_that_was_answered_before(gateway):
    """Eight clients at once, so that a fetch is always under way when a request arrives."""
    def live(n):
        with gateway.client("admin", patient=True) as admin:
            for i in range(25):
                name = f"live-{n}-{i}"
                made = admin.post("/v1/vms", json={"xml": test_domain(name)})
                there = admin.get(f"/v1/vms?name={name}")
                gone = admin.delete(f"/v1/vms/{name}")
                not_there = admin.get("/v1/vms?limit=1000")
                assert (made.status, gone.status) == (201, 200), (made, gone)
                assert there.json["stale"] is not_there.json["stale"] is False
                assert names(there) == [name] and name not in names(not_there)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(8)))


def test_an_unchanged_list_is_304_and_a_changed_one_is_not(viewer, operator, fleet):
    first = viewer.get("/v1/vms?name=fleet-*")
    held = f"If-None-Match: {first.headers['ETag']}\r\n"
    again = viewer.get("/v1/vms?name=fleet-*", headers=held)
    assert again.status == 304 and not again.body and again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Vary"] == "Accept-Encoding"
    # The tag does not match another query.
    assert viewer.get("/v1/vms?name=fleet-1", headers=held).status == 200
    assert operator.post("/v1/vms/fleet-0/suspend").status == 200
    changed = viewer.get("/v1/vms?name=fleet-*", headers=held)
    assert changed.status == 200 and changed.headers["ETag"] != first.headers["ETag"]
    assert operator.post("/v1/vms/fleet-0/resume").status == 200


@pytest.mark.parametrize("target", ["/v1/vms", "/v1", "/v1/openapi.json", "/healthz"])
def test_the_entity_tag_of_a_compressed_answer_matches_later(admin, target):
    plain = admin.get(target)
    packed = admin.get(target, headers="Accept-Encoding: gzip\r\n")
    tag = packed.headers["ETag"]
    assert tag.removeprefix("W/") == plain.headers["ETag"]
    assert packed.headers.get_all("Vary") == ["Accept-Encoding"]
    again = admin.get(target, headers=f"Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n")
    assert again.status == 304 and not again.body


def test_a_large_answer_is_compressed(admin):
    packed = admin.get("/v1/openapi.json", headers="Accept-Encoding: gzip\r\n")
    assert packed.headers["Content-Encoding"] == "gzip" and packed.headers["ETag"].startswith("W/")
    assert len(packed.body) * 5 < len(admin.get("/v1/openapi.json").body)


def flags_of(client):
    return {vm["name"]: tuple(vm[flag] for flag in FLAGS) for vm in client.get("/v1/vms").json["items"]}


FLAGS = "persistent", "autostart", "managed_save", "has_snapshots"
SETS = {
    "autostart": lambda admin, at: admin.request("PATCH", at, b'{"autostart":true}', "application/merge-patch+json"),
    "managed_save": lambda admin, at: admin.post(f"{at}/save"),
    "has_snapshots": lambda admin, at: admin.post(f"{at}/snapshots", json={"name": "s"}),
}


@pytest.mark.parametrize("flag", SETS)
def test_a_flag_is_right_whether_few_or_most_vms_have_it(new_gateway, flag):
    """virtgate asks libvirt for the smaller set: the VMs that have the flag, or those without."""
    gateway = new_gateway()
    with gateway.client("admin") as admin:
        count = 5
        for i in range(count):
            assert admin.post("/v1/vms?start=1", xml=test_domain(f"vm-{i}")).status == 201
        expected = flags_of(admin)
        assert set(expected.values()) == {(True, False, False, False)}
        for name in expected:
            assert SETS[flag](admin, f"/v1/vms/{name}").status in (200, 201)
            values = list(expected[name])
            values[FLAGS.index(flag)] = True
            expected[name] = tuple(values)
            assert flags_of(admin) == expected  # by the counts of the list before
            assert flags_of(admin) == expected  # by the counts of the last list


def test_persistence_is_right_whether_few_or_most_vms_have_it(new_gateway):
    gateway = new_gateway()
    with gateway.client("admin") as admin:
        expected = {"test": True}
        for i in range(4):
            assert admin.post("/v1/vms?start=1&persistent=0", xml=test_domain(f"vm-{i}")).status == 201
            expected[f"vm-{i}"] = False
            for _ in range(2):
                assert {name: flags[0] for name, flags in flags_of(admin).items()} == expected
        for i in range(4):
            assert admin.delete(f"/v1/vms/vm-{i}").status == 200
            del expected[f"vm-{i}"]
            for _ in range(2):
                assert {name: flags[0] for name, flags in flags_of(admin).items()} == expected
