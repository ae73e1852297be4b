# SPDX-License-Identifier: MIT
"""Screenshots and dropped saves, on libvirt's test driver.

test_qemu_shot.py has real screens and a QEMU that hangs.
"""

import pytest
from conftest import VIDEO

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_screenshot_is_a_png_with_an_entity_tag(operator, new_vm):
    at = f"/v1/vms/{new_vm(inside=VIDEO, start=True)['uuid']}/screenshot"
    answer = operator.get(at)
    assert answer.status == 200 and answer.headers["Content-Type"] == "image/png", answer
    assert answer.body.startswith(PNG) and answer.body.rstrip(b"\0").endswith(b"IEND\xaeB`\x82")
    assert operator.get(f"{at}?screen=0").body == answer.body
    held = operator.get(at, headers=f"If-None-Match: {answer.headers['ETag']}\r\n")
    assert (held.status, held.body) == (304, b"")
    head = operator.request("HEAD", at)
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(answer.body)))


def test_a_paused_vm_has_a_screenshot_and_a_shut_off_one_has_none(operator, new_vm):
    at = f"/v1/vms/{new_vm(inside=VIDEO, start=True)['uuid']}"
    assert operator.post(f"{at}/suspend").status == 200
    assert operator.get(f"{at}/screenshot").status == 200
    assert operator.post(f"{at}/stop", json={"mode": "kill"}).status == 200
    answer = operator.get(f"{at}/screenshot")
    assert (answer.status, answer.code, answer.json["state"]) == (409, "wrong_state", "shutoff")
    assert answer.json["hint"] == "start it first"


def test_a_missing_screen_is_named_in_the_refusal(operator, new_vm):
    blind = operator.get(f"/v1/vms/{new_vm(start=True)['uuid']}/screenshot")
    assert (blind.status, blind.code) == (422, "unsupported")
    assert "no video device" in blind.json["detail"], blind
    at = f"/v1/vms/{new_vm(inside=VIDEO, start=True)['uuid']}/screenshot"
    answer = operator.get(f"{at}?screen=1")
    assert (answer.status, answer.code) == (422, "unsupported")
    assert answer.json["detail"].startswith("screen: 1 is not from 0 to 0"), answer


@pytest.mark.parametrize("query, code", [
    ("screen=16", "bad_request"), ("screen=-1", "bad_request"), ("screen=", "bad_request"),
    ("screen=x", "bad_request"), ("screen=0&screen=0", "bad_request"),
    ("format=png", "unknown_parameter"),
])
def test_an_invalid_screen_number_is_400(operator, new_vm, query, code):
    at = f"/v1/vms/{new_vm(inside=VIDEO, start=True)['uuid']}/screenshot"
    answer = operator.get(f"{at}?{query}")
    assert (answer.status, answer.code) == (400, code), answer


def test_screenshots_need_an_operator(viewer, new_vm):
    vm = new_vm(inside=VIDEO, start=True)
    assert viewer.get(f"/v1/vms/{vm['uuid']}/screenshot").status == 403


# Dropping a save


def test_a_vm_starts_afresh_after_its_save_was_dropped(operator, new_vm):
    at = f"/v1/vms/{new_vm(start=True)['uuid']}"
    assert operator.post(f"{at}/save").json["managed_save"] is True
    answer = operator.delete(f"{at}/save")
    assert (answer.status, answer.json["changed"], answer.json["managed_save"]) == (200, True, False)
    assert operator.get(at).json["managed_save"] is False
    again = operator.delete(f"{at}/save")
    assert (again.status, again.json) == (200, {**answer.json, "changed": False})
    start = operator.post(f"{at}/start")
    assert (start.json["state"], start.json["restored"]) == ("running", False)


def test_dropping_a_save_changes_nothing_if_there_is_none(operator, new_vm):
    for vm in new_vm(), new_vm(start=True), new_vm(persistent=False):
        at = f"/v1/vms/{vm['uuid']}"
        answer = operator.delete(f"{at}/save")
        now = operator.get(at).json
        assert answer.status == 200 and answer.json["changed"] is False, answer
        assert answer.json["state"] == now["state"] == vm["state"]


def test_dropping_a_save_respects_if_match_and_changes_the_entity_tag(operator, new_vm):
    at = f"/v1/vms/{new_vm(start=True)['uuid']}"
    before = operator.get(at).headers["ETag"]
    operator.post(f"{at}/save")
    answer = operator.delete(f"{at}/save", headers=f"If-Match: {before}\r\n")
    assert (answer.status, answer.code) == (412, "precondition_failed")
    saved = operator.get(at)
    assert saved.json["managed_save"] is True
    held = f"If-Match: {saved.headers['ETag']}\r\n"
    assert operator.delete(f"{at}/save", headers=held).json["changed"] is True
    assert operator.delete(f"{at}/save", headers=held).status == 412


def test_dropping_a_save_needs_an_operator(viewer, new_vm):
    assert viewer.delete(f"/v1/vms/{new_vm()['uuid']}/save").status == 403
