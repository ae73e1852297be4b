# SPDX-License-Identifier: MIT
"""The errors of error_cases.py under QEMU."""

import subprocess

import pytest
from error_cases import CASES, LIMITS, check
from gateway import running_gateway
from test_qemu import IMAGES, no_vm_stays  # noqa: F401
from test_qemu import gateway as guests  # noqa: F401

pytestmark = pytest.mark.qemu


@pytest.fixture(scope="module")
def gateway(guests):  # noqa: F811
    with running_gateway(uri="qemu:///system", accel="tcg", **LIMITS) as gateway:
        yield gateway


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.rows}: {c.what}")
def test_a_libvirt_error_becomes_the_same_answer_with_either_driver(admin, new_name, case):
    image = IMAGES / "errors.qcow2"
    (IMAGES / "there.img").write_bytes(bytes(1 << 20))
    if "disk" in case.before[0]:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
    check(admin, case, "qemu", new_name(), image.name)
