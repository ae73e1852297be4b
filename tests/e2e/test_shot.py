# SPDX-License-Identifier: MIT
"""Saves that are dropped, behind nginx on libvirt's test driver. QEMU's: test_qemu_shot.py."""


# Dropping a save


def test_after_its_save_was_dropped_a_vm_starts_afresh(operator, new_vm):
    at = f"/v1/vms/{new_vm(start=True)['uuid']}"
    assert operator.post(f"{at}/save").json["managed_save"] is True
    answer = operator.delete(f"{at}/save")
    assert (answer.status, answer.json["changed"], answer.json["managed_save"]) == (200, True, False)
    assert operator.get(at).json["managed_save"] is False
    again = operator.delete(f"{at}/save")
    assert (again.status, again.json) == (200, {**answer.json, "changed": False})
    start = operator.post(f"{at}/start")
    assert (start.json["state"], start.json["restored"]) == ("running", False)


def test_where_there_is_no_save_none_is_dropped_whatever_the_state(operator, new_vm):
    for vm in new_vm(), new_vm(start=True), new_vm(persistent=False):
        at = f"/v1/vms/{vm['uuid']}"
        answer = operator.delete(f"{at}/save")
        now = operator.get(at).json
        assert answer.status == 200 and answer.json["changed"] is False, answer
        assert answer.json["state"] == now["state"] == vm["state"]


def test_dropping_a_save_heeds_if_match_and_makes_another_entity_tag(operator, new_vm):
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


def test_dropping_a_save_is_for_operators(viewer, new_vm):
    assert viewer.delete(f"/v1/vms/{new_vm()['uuid']}/save").status == 403
