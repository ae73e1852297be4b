# SPDX-License-Identifier: MIT
"""Stopping and saving, behind nginx on libvirt's test driver.

That driver's guests obey at once: those that do not are in test_qemu_power.py.
"""

import concurrent.futures
import itertools

import pytest

ACPI = "<features><acpi/></features>"
HINT_KILL = '{"mode":"kill"} stops it at once'


@pytest.fixture
def put(admin, new_vm):
    """Makes a VM and brings it into a state."""
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
    """Status, and code or how, of a stop as docs/api.md has it."""
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
def test_every_way_to_stop_from_every_state(operator, put, state, acpi, mode, then):
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
    assert answer.json == {**now, "changed": word != "none", "how": word}
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
def test_a_stop_that_is_not_understood_changes_nothing(admin, put, body, detail):
    at = put("running")
    answer = admin.post(f"{at}/stop", json=body)
    assert answer.status == 400 and answer.json["detail"].startswith(detail), answer
    assert admin.get(at).json["state"] == "running"


@pytest.mark.parametrize("mode", ["auto", "kill"])
def test_a_transient_vm_is_shown_off_and_then_gone(admin, put, mode):
    at = put("running", persistent=False)
    answer = admin.post(f"{at}/stop", json={"mode": mode})
    assert (answer.status, answer.json["state"], answer.json["changed"]) == (200, "shutoff", True)
    assert admin.get(at).status == 404 and admin.post(f"{at}/stop").status == 404


def test_a_stop_heeds_if_match(admin, put):
    at = put("running")
    old = admin.get(at).headers["ETag"]
    admin.post(f"{at}/suspend")
    answer = admin.post(f"{at}/stop", json={"mode": "kill"}, headers=f"If-Match: {old}\r\n")
    assert (answer.status, answer.code) == (412, "precondition_failed")
    assert admin.get(at).json["state"] == "paused"


def test_many_who_stop_one_vm_all_succeed_and_one_of_them_did_it(gateway, put):
    at = put("running")

    def stop(i):
        with gateway.client("operator") as client:
            return client.post(f"{at}/stop", json={"mode": ("auto", "kill")[i % 2]})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(stop, range(8)))
    assert {answer.status for answer in answers} == {200}, answers
    assert [answer.json["changed"] for answer in answers].count(True) == 1
    assert {answer.json["state"] for answer in answers} == {"shutoff"}


@pytest.mark.parametrize("acpi, status", [(True, 200), (False, 409)])
def test_a_reboot_that_nobody_would_hear_is_refused(operator, put, acpi, status):
    at = put("running", ACPI if acpi else "")
    answer = operator.post(f"{at}/reboot")
    assert answer.status == status, answer
    if status == 409:
        assert answer.code == "cannot_shut_down" and "reset" in answer.json["hint"], answer
        assert operator.get(at).json["state"] == "running"


# Saving


@pytest.mark.parametrize("state", ["running", "paused"])
def test_what_is_saved_is_off_and_goes_on_when_it_is_started(operator, put, state):
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


def test_what_is_off_or_has_no_place_for_it_cannot_be_saved(operator, put):
    off, passing = put("shutoff"), put("running", persistent=False)
    for at, state in (off, "shutoff"), (passing, "running"):
        answer = operator.post(f"{at}/save")
        assert (answer.status, answer.code) == (409, "wrong_state"), answer
        assert answer.json["state"] == state == operator.get(at).json["state"]
    assert "transient" in answer.json["detail"]


def test_a_start_says_that_it_restored_nothing(operator, put):
    answer = operator.post(f"{put('shutoff')}/start")
    assert (answer.status, answer.json["restored"]) == (200, False)


def test_a_save_is_not_for_viewers(viewer, put):
    at = put("running")
    assert viewer.post(f"{at}/save").code == "forbidden"
    assert viewer.get(at).json["state"] == "running"


# Many at a time


def test_fifty_who_toggle_one_vm_get_answers_that_explain_its_state(gateway, operator, put):
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
    # Changes alternate, so the last one is told by how many there were of each.
    paused, resumed = done.count(("suspend", True)), done.count(("resume", True))
    assert paused - resumed in (0, 1) and paused > 0, done
    assert operator.get(at).json["state"] == ("paused" if paused > resumed else "running")
