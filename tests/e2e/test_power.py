# SPDX-License-Identifier: MIT
"""Stops, saves and bulk requests, on libvirt's test driver.

The test driver's guests obey at once; test_qemu_power.py has guests that do not.
"""

import concurrent.futures
import itertools
import time

import pytest
from conftest import test_domain
from gateway import PATIENCE

ACPI = "<features><acpi/></features>"
HINT_KILL = '{"mode":"kill"} stops the VM at once'


@pytest.fixture
def put(admin, new_vm):
    """Creates VMs and brings each into a state."""
    def put(state, inside=ACPI, **options):
        vm = new_vm(inside=inside, start=state != "shutoff" and state != "saved", **options)
        at = f"/v1/vms/{vm['uuid']}"
        if state == "paused":
            assert admin.post(f"{at}/suspend").status == 200
        if state == "saved":
            assert admin.post(f"{at}/start").status == 200
            assert admin.post(f"{at}/save").json["managed_save"] is True
        return at
    return put


def expected_stop(state, acpi, mode, then):
    """The status of a stop, and its code or "how", as docs/api.md says."""
    if state in ("shutoff", "saved"):
        return 200, "none"
    if mode == "kill":
        return 200, "kill"
    if mode == "agent":
        refusal = "agent_unavailable"
    elif not acpi:
        refusal = "cannot_shut_down"
    elif state == "paused":
        refusal = "wrong_state"
    else:
        return 200, "acpi"
    return (200, "kill") if then == "kill" else (409, refusal)


@pytest.mark.parametrize("mode", [None, "auto", "acpi", "agent", "kill"])
@pytest.mark.parametrize("then", [None, "fail", "kill"])
@pytest.mark.parametrize("acpi", [True, False])
@pytest.mark.parametrize("state", ["running", "paused", "shutoff", "saved"])
def test_each_stop_mode_works_from_each_state(operator, put, state, acpi, mode, then):
    at = put(state, ACPI if acpi else "")
    body = {name: value for name, value in (("mode", mode), ("then", then)) if value}
    status, word = expected_stop(state, acpi, mode, then)
    answer = operator.post(f"{at}/stop", json=body)
    now = operator.get(at).json
    assert answer.status == status, answer
    if status == 409:
        assert answer.code == word and now["state"] == state, answer
        assert answer.json.get("state") == (state if word == "wrong_state" else None)
        assert HINT_KILL in answer.json["hint"], answer
        return
    known = {member: now[member] for member in answer.json if member in now}
    assert answer.json == {**known, "changed": word != "none", "how": word}
    assert now["state"] == "shutoff" and now["managed_save"] is (state == "saved")
    answer = operator.post(f"{at}/stop", json=body)
    assert (answer.status, answer.json["changed"], answer.json["how"]) == (200, False, "none")


@pytest.mark.parametrize("body, detail", [
    ({"mode": "hard"}, "mode: 'hard' is not one of auto|acpi|agent|kill"),
    ({"timeout": 0}, "timeout: 0 is not from 1 to 600"),
    ({"timeout": 601}, "timeout: 601 is not from 1 to 600"),
    ({"timeout": 1.5}, "timeout: must be a whole number"),
    ({"timeout": "30"}, "timeout: must be a whole number"),
    ({"then": "reset"}, "then: 'reset' is not one of fail|kill"),
    ({"force": True}, "'force' is not a field here"),
])
def test_a_malformed_stop_changes_nothing(admin, put, body, detail):
    at = put("running")
    answer = admin.post(f"{at}/stop", json=body)
    assert answer.status == 400 and answer.json["detail"].startswith(detail), answer
    assert admin.get(at).json["state"] == "running"


@pytest.mark.parametrize("mode", ["auto", "kill"])
def test_stopping_a_transient_vm_shows_it_once_and_then_it_is_gone(admin, put, mode):
    at = put("running", persistent=False)
    answer = admin.post(f"{at}/stop", json={"mode": mode})
    assert (answer.status, answer.json["state"], answer.json["changed"]) == (200, "shutoff", True)
    assert admin.get(at).status == 404 and admin.post(f"{at}/stop").status == 404


def test_a_stop_respects_if_match(admin, put):
    at = put("running")
    old = admin.get(at).headers["ETag"]
    admin.post(f"{at}/suspend")
    answer = admin.post(f"{at}/stop", json={"mode": "kill"}, headers=f"If-Match: {old}\r\n")
    assert (answer.status, answer.code) == (412, "precondition_failed")
    assert admin.get(at).json["state"] == "paused"


def test_concurrent_stops_of_one_vm_all_succeed_and_one_changes_it(gateway, put):
    at = put("running")

    def stop(i):
        with gateway.client("operator", patient=True) as client:
            return client.post(f"{at}/stop", json={"mode": ("auto", "kill")[i % 2]})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(stop, range(8)))
    assert {answer.status for answer in answers} == {200}, answers
    assert [answer.json["changed"] for answer in answers].count(True) == 1
    assert {answer.json["state"] for answer in answers} == {"shutoff"}


@pytest.mark.parametrize("acpi, status", [(True, 200), (False, 409)])
def test_a_reboot_that_the_guest_cannot_react_to_is_refused(operator, put, acpi, status):
    at = put("running", ACPI if acpi else "")
    answer = operator.post(f"{at}/reboot")
    assert answer.status == status, answer
    if status == 409:
        assert answer.code == "cannot_shut_down" and "reset" in answer.json["hint"], answer
        assert operator.get(at).json["state"] == "running"


# Saving


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_saved_vm_is_off_and_is_restored_by_a_start(operator, put, state):
    at = put(state)
    answer = operator.post(f"{at}/save")
    assert answer.status == 200 and answer.json["changed"] is True, answer
    assert (answer.json["state"], answer.json["managed_save"]) == ("shutoff", True)
    again = operator.post(f"{at}/save")
    assert again.status == 200 and again.json == {**answer.json, "changed": False}
    answer = operator.post(f"{at}/start")
    assert (answer.status, answer.json["changed"], answer.json["restored"]) == (200, True, True)
    assert answer.json["managed_save"] is False
    answer = operator.post(f"{at}/start")
    assert answer.status == (409 if answer.json["state"] == "paused" else 200)
    if answer.status == 200:
        assert (answer.json["changed"], answer.json["restored"]) == (False, False)


def test_a_vm_that_is_off_or_transient_cannot_be_saved(operator, put):
    off, passing = put("shutoff"), put("running", persistent=False)
    for at, state in (off, "shutoff"), (passing, "running"):
        answer = operator.post(f"{at}/save")
        assert (answer.status, answer.code) == (409, "wrong_state"), answer
        assert answer.json["state"] == state == operator.get(at).json["state"]
    assert "transient" in answer.json["detail"]


def test_a_start_without_a_save_says_restored_false(operator, put):
    answer = operator.post(f"{put('shutoff')}/start")
    assert (answer.status, answer.json["restored"]) == (200, False)


def test_a_viewer_may_not_save(viewer, put):
    at = put("running")
    assert viewer.post(f"{at}/save").code == "forbidden"
    assert viewer.get(at).json["state"] == "running"


# Bulk requests


@pytest.fixture
def names(new_vm, new_name):
    """Creates so many VMs whose names have a common prefix; returns the names."""
    def make(count, **options):
        prefix = new_name()
        return [new_vm(f"{prefix}-{i:03}", **options)["name"] for i in range(count)]
    return make


def by_ref(answer):
    assert answer.status == 200, answer
    items = answer.json["items"]
    assert answer.json["succeeded"] == sum(item["ok"] for item in items)
    assert answer.json["failed"] == sum(not item["ok"] for item in items)
    for item in items:
        assert item["ok"] == ("error" not in item) == ("changed" in item), item
        assert item["ok"] or item["error"]["request_id"] == answer.request_id
    return {item["ref"]: item for item in items}


def states(client, names):
    all_vms = {vm["name"]: vm["state"] for vm in client.get("/v1/vms?limit=1000").json["items"]}
    return [all_vms.get(name) for name in names]


def test_bulk_actions_work_on_two_hundred_vms(admin, names):
    refs = names(200, inside=ACPI)
    steps = [("start", "running", {}), ("suspend", "paused", {}), ("resume", "running", {}),
             ("stop", "shutoff", {}), ("start", "running", {}), ("stop", "shutoff", {"mode": "kill"})]
    for action, state, more in steps:
        answer = admin.post(f"/v1/vms:{action}", json={"refs": refs, **more})
        items = by_ref(answer)
        assert list(items) == refs, "in the order that was asked for"
        assert all(item["ok"] and item["changed"] and item["state"] == state
                   and item["name"] == ref for ref, item in items.items()), answer
        assert states(admin, refs) == [state] * 200
    answer = admin.post("/v1/vms:delete", json={"refs": refs})
    assert all(item["changed"] and not item["stopped"] for item in by_ref(answer).values())
    assert states(admin, refs) == [None] * 200


def test_each_vm_of_a_bulk_request_has_the_result_of_a_single_request(operator, put):
    running, paused, off, deaf = put("running"), put("paused"), put("shutoff"), put("running", "")
    refs = [at.rpartition("/")[2] for at in (off, running, deaf, paused)]
    refs.insert(2, "no such VM")
    items = by_ref(operator.post("/v1/vms:stop", json={"refs": refs}))
    assert list(items) == refs
    off, running, missing, deaf, paused = (items[ref] for ref in refs)
    assert (off["ok"], off["changed"], off["how"]) == (True, False, "none")
    assert (running["changed"], running["how"], running["state"]) == (True, "acpi", "shutoff")
    assert missing["error"]["code"] == "vm_not_found" and "uuid" not in missing
    assert "'no such VM'" in missing["error"]["detail"]
    assert (deaf["error"]["status"], deaf["error"]["code"]) == (409, "cannot_shut_down")
    assert (paused["error"]["code"], paused["error"]["state"]) == ("wrong_state", "paused")
    items = by_ref(operator.post("/v1/vms:stop", json={"refs": refs, "then": "kill"}))
    assert [items[ref].get("how") for ref in refs] == ["none", "none", None, "kill", "kill"]
    items = by_ref(operator.post("/v1/vms:suspend", json={"refs": refs[:1]}))
    assert items[refs[0]]["error"]["code"] == "wrong_state"


def test_a_bulk_start_restores_saved_vms(operator, put):
    saved, off = put("saved").rpartition("/")[2], put("shutoff").rpartition("/")[2]
    items = by_ref(operator.post("/v1/vms:start", json={"refs": [saved, off]}))
    assert (items[saved]["restored"], items[off]["restored"]) == (True, False)


def test_a_uuid_may_be_in_capitals(operator, put):
    uuid = put("shutoff").rpartition("/")[2]
    items = by_ref(operator.post("/v1/vms:start", json={"refs": [uuid.upper()]}))
    assert items[uuid.upper()]["uuid"] == uuid and items[uuid.upper()]["state"] == "running"


def test_a_bulk_request_that_names_a_vm_twice_is_400_and_does_nothing(operator, put):
    at = put("shutoff")
    vm = operator.get(at).json
    other = operator.get(put("shutoff")).json
    for refs in ([vm["name"], other["name"], vm["name"]], [vm["name"], vm["uuid"]],
                 [vm["uuid"], vm["uuid"].upper()], ["none", "none", vm["name"]]):
        answer = operator.post("/v1/vms:start", json={"refs": refs})
        assert (answer.status, answer.code) == (400, "bad_request"), answer
        assert "names the same VM as refs[0]" in answer.json["detail"]
    assert states(operator, [vm["name"], other["name"]]) == ["shutoff"] * 2


@pytest.mark.parametrize("body, detail", [
    ({}, "body: must name VMs in refs"),
    ({"refs": ["test"], "select": {"name": "*"}, "max": 9}, "body: must name VMs in refs"),
    ({"max": 3}, "body: must name VMs in refs"),
    ({"refs": []}, "refs: must name a VM"),
    ({"refs": ["test", ""]}, "refs[1]: must not be empty"),
    ({"refs": ["test", 7]}, "refs[1]: must be a string"),
    ({"refs": ["test\0"]}, "refs[0]: has a NUL character"),
    ({"refs": ["x" * 257]}, "refs[0]: 257 bytes are more than"),
    ({"refs": [f"vm{i}" for i in range(1001)]}, "refs: 1001 are more than the 1000 allowed"),
    ({"refs": ["test"], "max": 1}, "max: can be used with select only"),
    ({"select": {}, "max": 1}, "select: must have a member"),
    ({"select": {"name": "*"}}, "max: this field is missing"),
    ({"select": {"name": "*"}, "max": 0}, "max: 0 is not from 1 to 1000"),
    ({"select": {"name": "*"}, "max": 1001}, "max: 1001 is not from 1 to 1000"),
    ({"select": {"name": ""}, "max": 1}, "select.name: must not be empty"),
    ({"select": {"state": "asleep"}, "max": 1}, "state: 'asleep' is not a VM state"),
    ({"select": {"label": "=x"}, "max": 1}, "label: '=x' is not NAME or NAME=TEXT"),
    ({"select": {"colour": "red"}, "max": 1}, "'select.colour' is not a field here"),
])
@pytest.mark.parametrize("action", ["start", "stop", "suspend", "resume", "delete"])
def test_a_malformed_bulk_request_does_nothing(admin, action, body, detail):
    before = admin.get("/v1/vms?limit=1000").json
    answer = admin.post(f"/v1/vms:{action}", json=body)
    assert answer.status == 400 and answer.json["detail"].startswith(detail), answer
    assert admin.get("/v1/vms?limit=1000").json == before


def test_only_a_bulk_stop_accepts_the_fields_of_a_stop(admin):
    for action in "start", "suspend", "resume", "delete":
        answer = admin.post(f"/v1/vms:{action}", json={"refs": ["none"], "mode": "kill"})
        assert (answer.status, answer.code) == (400, "unknown_parameter"), answer
    answer = admin.post("/v1/vms:stop", json={"refs": ["none"], "timeout": 301})
    assert answer.status == 400 and answer.json["detail"].startswith("timeout: 301"), answer


@pytest.mark.parametrize("action", ["start", "stop", "suspend", "resume", "delete"])
def test_a_selection_of_more_than_max_vms_is_refused(admin, names, action):
    refs = names(2)
    select = {"name": f"{refs[0].rpartition('-')[0]}-*"}
    answer = admin.post(f"/v1/vms:{action}", json={"select": select, "max": 1})
    assert (answer.status, answer.code) == (409, "too_many_selected"), answer
    assert states(admin, refs) == ["shutoff", "shutoff"]


def test_vms_can_be_selected_by_state_and_glob(operator, names):
    refs = names(5)
    prefix = refs[0].rpartition("-")[0]
    started = by_ref(operator.post("/v1/vms:start", json={"refs": [refs[3], refs[1]]}))
    assert list(started) == [refs[3], refs[1]]
    select = {"name": f"{prefix}-*", "state": "shutoff"}
    answer = operator.post("/v1/vms:start", json={"select": select, "max": 2})
    assert (answer.status, answer.code) == (409, "too_many_selected"), answer
    assert "3 VMs match" in answer.json["detail"]
    assert states(operator, refs) == ["shutoff", "running", "shutoff", "running", "shutoff"]
    answer = operator.post("/v1/vms:start", json={"select": select, "max": 3})
    assert list(by_ref(answer)) == [refs[0], refs[2], refs[4]], "by name"
    answer = operator.post("/v1/vms:suspend", json={"select": {"name": f"{prefix}-0?2"}, "max": 9})
    assert list(by_ref(answer)) == [refs[2]]
    answer = operator.post("/v1/vms:resume", json={"select": {"name": prefix}, "max": 1})
    assert answer.json == {"items": [], "succeeded": 0, "failed": 0}
    assert states(operator, refs) == ["running", "running", "paused", "running", "running"]
    select = {"name": f"{prefix}-*", "state": "paused,shutoff"}
    assert list(by_ref(operator.post("/v1/vms:resume", json={"select": select, "max": 5}))) == [refs[2]]


def test_vms_can_be_selected_by_label(operator, names):
    tier = names(1)[0]
    front, back = names(2, labels={"tier": tier, "side": "front"}), names(1, labels={"tier": tier})
    answer = operator.post("/v1/vms:start", json={
        "select": {"label": f"tier={tier},side=front"}, "max": 2})
    assert list(by_ref(answer)) == front
    answer = operator.post("/v1/vms:start", json={"select": {"label": f"tier={tier}"}, "max": 3})
    assert [item["changed"] for item in answer.json["items"]] == [False, False, True]
    assert states(operator, front + back + [tier]) == ["running"] * 3 + ["shutoff"]


def test_a_bulk_delete_needs_an_admin(operator, admin, names):
    refs = names(2, start=True)
    assert operator.post("/v1/vms:delete", json={"refs": refs}).code == "forbidden"
    assert states(admin, refs) == ["running"] * 2
    items = by_ref(admin.post("/v1/vms:delete", json={"refs": refs + ["none"]}))
    assert all(items[ref]["stopped"] for ref in refs)
    assert items["none"]["error"]["code"] == "vm_not_found"
    assert states(admin, refs) == [None] * 2


def test_a_bulk_request_refuses_if_match(operator):
    answer = operator.post("/v1/vms:start", json={"refs": ["none"]}, headers='If-Match: "x"\r\n')
    assert answer.status == 400 and "If-Match" in answer.json["detail"]


# Concurrent requests


def test_concurrent_changes_of_one_vm_have_answers_that_explain_its_state(gateway, operator, put):
    at = put("running")
    clients = [gateway.client("operator") for _ in range(50)]

    def toggle(i):
        answers = []
        for action in itertools.islice(itertools.cycle(["suspend", "resume"]), i % 2, i % 2 + 6):
            answer = clients[i].post(f"{at}/{action}")
            assert answer.status in (200, 409, 503), answer
            if answer.status == 200:
                assert answer.json["state"] == {"suspend": "paused", "resume": "running"}[action]
                answers.append((action, answer.json["changed"]))
            else:
                assert answer.code in ("wrong_state", "vm_busy", "host_busy"), answer
        return answers

    try:
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            done = [answer for answers in pool.map(toggle, range(50)) for answer in answers]
    finally:
        for client in clients:
            client.close()
    # Changes alternate, so the numbers of each kind show which was the last.
    paused, resumed = done.count(("suspend", True)), done.count(("resume", True))
    assert paused - resumed in (0, 1) and paused > 0, done
    assert operator.get(at).json["state"] == ("paused" if paused > resumed else "running")


def test_concurrent_bulk_requests_leave_each_vm_in_one_state(gateway, operator, names):
    refs = names(20, start=True)

    def act(i):
        with gateway.client("operator", patient=True) as client:
            return client.post(f"/v1/vms:{('suspend', 'resume')[i % 2]}", json={"refs": refs})

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(act, range(6)))
    for answer in answers:
        for item in by_ref(answer).values():
            assert item["ok"] or item["error"]["code"] in ("vm_busy", "host_busy"), item
    answer = operator.post("/v1/vms:suspend", json={"refs": refs})
    assert {item["state"] for item in by_ref(answer).values()} == {"paused"}


def test_short_requests_are_answered_during_a_bulk_request(gateway, operator, names):
    refs = names(100)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(operator.post, "/v1/vms:start", json={"refs": refs})
        with gateway.client("viewer", patient=True) as client:
            slowest = 0
            while not running.done():
                start = time.monotonic()
                assert client.get(f"/v1/vms/{refs[0]}").status == 200
                slowest = max(slowest, time.monotonic() - start)
    assert by_ref(running.result()) and slowest < 2 * PATIENCE


def test_a_bulk_request_needs_only_one_worker_and_one_connection(new_gateway):
    gateway = new_gateway(workers=1, connections=1)
    with gateway.client("admin") as admin:
        for i in range(5):
            answer = admin.post("/v1/vms", json={"xml": test_domain(f"one-{i}", ACPI)})
            assert answer.status == 201
        select = {"select": {"name": "one-*"}, "max": 5}
        for action, state in ("start", "running"), ("stop", "shutoff"):
            items = by_ref(admin.post(f"/v1/vms:{action}", json=select))
            assert {item["state"] for item in items.values()} == {state}
        assert admin.post("/v1/vms/one-0/start").status == 200
        assert admin.post("/v1/vms/one-0/save").json["managed_save"] is True
        assert admin.post("/v1/vms/one-0/start").json["restored"] is True
        assert admin.post("/v1/vms/one-0/stop").json["how"] == "acpi"
        assert by_ref(admin.post("/v1/vms:delete", json=select))
