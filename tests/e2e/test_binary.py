# SPDX-License-Identifier: MIT
"""The program has the compiler's and the linker's protections, as it is built for users."""

import functools
import platform
import re
import subprocess

import pytest
from gateway import REPO

PROGRAM = REPO / "build/virtgate"  # not the one with sanitizers, which lacks some of them


@functools.cache
def readelf(*options, of=PROGRAM):
    return subprocess.run(["readelf", "-W", *options, of], capture_output=True, text=True,
                          check=True).stdout


def test_it_is_loaded_at_a_random_address():
    assert re.search(r"^\s*Type:\s+DYN", readelf("-h"), re.M)
    assert re.search(r"FLAGS_1.*\bPIE\b", readelf("-d"))


def test_its_tables_are_read_only_after_linking():
    assert "GNU_RELRO" in readelf("-l")
    assert re.search(r"FLAGS_1.*\bNOW\b", readelf("-d"))


def test_its_stack_is_not_executable():
    assert re.search(r"GNU_STACK.* RW +0x", readelf("-l"))


def test_it_checks_its_buffers():
    symbols = readelf("--dyn-syms")
    assert "__stack_chk_fail" in symbols
    assert re.search(r"__(?:snprintf|vsnprintf|memcpy|fprintf)_chk", symbols)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a protection of x86-64")
def test_it_was_compiled_for_control_flow_protection():
    """The objects show it: the linker drops the note, since Debian's start files have none."""
    for source in (REPO / "fcgi-app").glob("**/*.c"):
        path = REPO / "build/obj" / source.relative_to(REPO / "fcgi-app").with_suffix(".o")
        assert re.search(r"x86 feature:.*\bIBT\b.*\bSHSTK\b", readelf("-n", of=path)), path
