#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints each (operation, status) of the OpenAPI document that no test has met, and fails if there
is one beyond those below. The tests write down what they meet: see openapi.py."""

import sys

import openapi

# What no test can bring about, and why.
BEYOND = {
    # libvirt's test driver and QEMU support what these ask of them.
    501: "no driver at hand lacks what this needs",
}


def main():
    met = {line for file in openapi.SEEN.glob("*") for line in file.read_text().splitlines()}
    pairs = {f"{method} {path} {status}": int(status)
             for method, path, operation in openapi.operations()
             for status in operation["responses"] if status != "default"}
    missing = sorted(set(pairs) - met)
    for pair in missing:
        print(f"  not met: {pair}{': ' + BEYOND[pairs[pair]] if pairs[pair] in BEYOND else ''}")
    print(f"  {len(pairs) - len(missing)} of {len(pairs)} documented answers were met by a test")
    return any(pairs[pair] not in BEYOND for pair in missing)


if __name__ == "__main__":
    sys.exit(main())
