# SPDX-License-Identifier: MIT
"""The errors of error_cases.py under QEMU."""

import subprocess

import pytest
from error_cases import CASES, check
from test_qemu import IMAGES, gateway, no_vm_stays  # noqa: F401

pytestmark = pytest.mark.qemu


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.rows}: {c.what}")
def test_a_libvirt_error_becomes_the_same_answer_with_either_driver(admin, new_name, case):
    image = IMAGES / "errors.qcow2"
    (IMAGES / "there.img").write_bytes(bytes(1 << 20))
    if "disk" in case.before[0]:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
    check(admin, case, "qemu", new_name(), image.name)
