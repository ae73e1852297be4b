# SPDX-License-Identifier: MIT
"""Screenshots and dropped saves, under QEMU."""

import os
import signal
import struct
import time
from pathlib import Path

import pytest
from gateway import PATIENCE, wait_until
from test_qemu import (  # noqa: F401
    create,
    domain,
    gateway,
    hanging,
    last_tick,
    no_vm_stays,
    wait_for_tick,
)

pytestmark = pytest.mark.qemu

PNG = b"\x89PNG\r\n\x1a\n"
SCREEN = "<graphics type='vnc' port='-1'><listen type='address' address='127.0.0.1'/></graphics>"
SAVES = Path("/var/lib/libvirt/qemu/save")


def test_a_screenshot_of_a_guest_is_a_png_of_the_screens_size(operator, create):  # noqa: F811
    create(domain("seen", devices=SCREEN))
    answer = operator.get("/v1/vms/seen/screenshot")
    assert answer.status == 200 and answer.headers["Content-Type"] == "image/png", answer
    assert answer.body.startswith(PNG) and answer.body.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", answer.body[16:24])
    assert 320 <= width <= 4096 and 200 <= height <= 4096, (width, height)
    assert operator.get("/v1/vms/seen/screenshot?screen=1").code == "unsupported"


def test_a_screenshot_needs_a_running_vm_with_a_screen(
        operator, create):  # noqa: F811
    create(domain("blind"))
    answer = operator.get("/v1/vms/blind/screenshot")
    assert (answer.status, answer.code) == (422, "unsupported"), answer
    operator.post("/v1/vms/blind/stop", json={"mode": "kill"})
    answer = operator.get("/v1/vms/blind/screenshot")
    assert (answer.status, answer.code, answer.json["state"]) == (409, "wrong_state", "shutoff")


def test_a_second_screenshot_is_busy_while_qemu_hangs(gateway, operator, create):  # noqa: F811
    create(domain("seen", devices=SCREEN))
    with hanging(gateway, "seen", "GET", "screenshot", "operator") as (pid, stuck):
        start = time.monotonic()
        answer = operator.get("/v1/vms/seen/screenshot")
        assert (answer.status, answer.code) == (503, "vm_busy"), answer
        assert time.monotonic() - start < 4 * PATIENCE
        os.kill(pid, signal.SIGCONT)
        assert stuck.result().body.startswith(PNG)


# Dropping a save


def test_a_guest_boots_afresh_after_its_save_was_dropped(operator, create):  # noqa: F811
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


def test_a_save_that_cannot_be_restored_can_be_dropped_as_the_hint_says(operator, create):  # noqa: F811
    at = f"/v1/vms/{create(domain('broken', 'ticker'))['uuid']}"
    operator.post(f"{at}/save")
    (SAVES / "broken.save").write_bytes(b"\0" * 4096)
    answer = operator.post(f"{at}/start")
    assert answer.code == "start_failed" and "DELETE /v1/vms/{ref}/save" in answer.json["hint"]
    assert operator.delete(f"{at}/save").json["changed"] is True
    assert operator.post(f"{at}/start").json["state"] == "running"
