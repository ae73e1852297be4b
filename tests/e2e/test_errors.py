# SPDX-License-Identifier: MIT
"""The errors of error_cases.py on libvirt's test driver."""

import re

import pytest
from error_cases import CASES, LEAKS, LIMITS, NOT_PROVOKED, check, table
from gateway import running_gateway


@pytest.fixture(scope="module")
def gateway():
    with running_gateway(**LIMITS) as gateway:
        yield gateway


@pytest.mark.parametrize("case", [c for c in CASES if c.test != LEAKS],
                         ids=lambda c: f"{c.rows}: {c.what}")
def test_a_libvirt_error_becomes_the_same_answer_with_either_driver(admin, new_name, case):
    check(admin, case, "test", new_name())


def test_case_names_are_unique_and_no_code_is_listed_as_both_covered_and_not(capsys):
    assert len({c.what for c in CASES}) == len(CASES)
    covered = {row for case in CASES for row in case.rows.split()}
    assert covered.isdisjoint(row for rows in NOT_PROVOKED for row in re.split("[ -]", rows))
    with capsys.disabled():
        print(f"\n{table()}")
