# SPDX-License-Identifier: MIT
"""What needs no password is exactly three paths, spelled as they are, with no body."""

import pytest

OPEN = ["/healthz", "/readyz", "/v1/openapi.json"]


@pytest.mark.parametrize("path", OPEN)
def test_an_open_path_needs_no_password(stranger, path):
    assert stranger.get(path).status == 200
    assert stranger.request("HEAD", path).status == 200


@pytest.mark.parametrize("path", [
    "/v1/vms/..%2f..%2fhealthz",
    "/v1/vms/..%2F..%2Freadyz",
    "/v1/vms/test/..%2f..%2fopenapi.json",
    "/v1/vms/../../healthz",
    "/v1/vms/test/xml/../../../openapi.json",
    "//healthz",
    "/./healthz",
    "/%68ealthz",
    "/v1/openapi%2ejson",
])
def test_another_spelling_of_an_open_path_needs_the_password(stranger, path):
    """nginx chooses the location by the normalised path, virtgate its route by the raw one. nginx
    itself must refuse: only its 401s count as wrong guesses, and virtgate must not see them."""
    answer = stranger.get(path)
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert answer.json["detail"] == "Credentials are missing or wrong."


@pytest.mark.parametrize("path", OPEN)
def test_an_open_path_takes_no_large_body(stranger, path):
    answer = stranger.request("GET", path, json={"a": "\n" * 1024})
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")
