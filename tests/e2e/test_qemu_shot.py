# SPDX-License-Identifier: MIT
"""Saves that are dropped, of guests that QEMU runs. In tests/e2e/namespace."""

from pathlib import Path

from conftest import clients  # noqa: F401
from gateway import wait_until
from test_qemu import create, domain, gateway, last_tick, no_vm_stays, wait_for_tick  # noqa: F401

SAVES = Path("/var/lib/libvirt/qemu/save")


# Dropping a save


def test_after_its_save_was_dropped_a_guest_boots_afresh(operator, create):  # noqa: F811
    at = f"/v1/vms/{create(domain('counting', 'ticker'))['uuid']}"
    wait_for_tick("counting", 5)
    assert operator.post(f"{at}/save").json["managed_save"] is True
    answer = operator.delete(f"{at}/save")
    assert (answer.status, answer.json["changed"], answer.json["managed_save"]) == (200, True, False)
    assert not list(SAVES.glob("*.save"))
    assert operator.delete(f"{at}/save").json["changed"] is False
    answer = operator.post(f"{at}/start")
    assert (answer.json["restored"], answer.json["reason"]) == (False, "booted")
    wait_until(lambda: last_tick("counting") < 5, "it counts from the start")


def test_a_save_that_cannot_be_restored_is_dropped_as_the_hint_says(operator, create):  # noqa: F811
    at = f"/v1/vms/{create(domain('broken', 'ticker'))['uuid']}"
    operator.post(f"{at}/save")
    (SAVES / "broken.save").write_bytes(b"\0" * 4096)
    answer = operator.post(f"{at}/start")
    assert answer.code == "start_failed" and "DELETE /v1/vms/{ref}/save" in answer.json["hint"]
    assert operator.delete(f"{at}/save").json["changed"] is True
    assert operator.post(f"{at}/start").json["state"] == "running"
