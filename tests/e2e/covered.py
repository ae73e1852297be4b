#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints each (operation, status) of the OpenAPI document that no test has met. Fails if there is
one that EXCUSED does not list. The tests record what they meet: see openapi.py."""

import sys

import openapi

# What no test can bring about: a part of its line, and why.
EXCUSED = {
    " 501": "no driver at hand lacks what this needs",
    "DELETE /v1/vms/{ref} 409": "another tool makes a snapshot between two calls of ours",
    "DELETE /vm 409": "the same",
    "DELETE /v1/vms/{ref}/job 409": "only a migration cannot be aborted",
}


def reason(pair):
    return next((why for part, why in EXCUSED.items() if part in pair), None)


def main():
    met = {line for file in openapi.SEEN.glob("*") for line in file.read_text().splitlines()}
    pairs = {f"{method} {path} {status}"
             for method, path, operation in openapi.operations()
             for status in operation["responses"] if status != "default"}
    missing = sorted(pairs - met)
    for pair in missing:
        print(f"  not met: {pair}{': ' + reason(pair) if reason(pair) else ''}")
    print(f"  {len(pairs) - len(missing)} of {len(pairs)} documented answers were met by a test")
    return any(not reason(pair) for pair in missing)


if __name__ == "__main__":
    sys.exit(main())
