# SPDX-License-Identifier: MIT
"""A thousand VMs on libvirt's test driver in a daemon, so that the calls to it can be counted."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from calls import Calls, traced
from conftest import test_domain
from gateway import running_gateway

pytestmark = pytest.mark.qemu

COUNT = 1000
CALLS = 5
LABELS = "<metadata><v:vm xmlns:v='urn:virtgate:vm:1'><v:label name='odd'>{}</v:label></v:vm></metadata>"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """(gateway, calls) with COUNT VMs."""
    log = tmp_path_factory.mktemp("calls") / "log"
    calls = Calls(log)
    variables = {f"env_{name}": value for name, value in traced(log).items()}
    with running_gateway(uri="test+unix:///default", **variables) as gateway:

        def make(i):
            with gateway.client("admin", patient=True) as admin:
                xml = test_domain(f"many-{i:04}", LABELS.format(i % 2))
                answer = admin.post("/v1/vms", json={"xml": xml})
                assert answer.status == 201, answer

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(make, range(COUNT)))
        yield gateway, calls


@pytest.fixture
def viewer(host):
    with host[0].client("viewer") as viewer:
        yield viewer


def walk(viewer, query):
    pages, after = [], ""
    while True:
        answer = viewer.get(f"/v1/vms?{query}{after}")
        assert answer.status == 200, answer
        pages.append([vm["name"] for vm in answer.json["items"]])
        if not answer.json["next"]:
            return pages
        after = f"&after={answer.json['next']}"


EXPECTED = [f"many-{i:04}" for i in range(COUNT)]


def test_a_full_list_is_one_page_per_limit(viewer):
    for limit in 1000, 250, 100:
        pages = walk(viewer, f"name=many-*&limit={limit}")
        assert [len(page) for page in pages] == [limit] * (COUNT // limit)
        assert sum(pages, []) == EXPECTED
    assert sum(walk(viewer, "label=odd=1&limit=300"), []) == EXPECTED[1::2]


def test_a_list_of_a_thousand_vms_makes_as_few_calls_as_a_short_one(host, viewer):
    _, calls = host
    viewer.get("/v1/vms")  # each new VM is read once
    everything = calls.least(lambda: viewer.get("/v1/vms?limit=1000"), CALLS)
    one = calls.least(lambda: viewer.get("/v1/vms?name=many-0000"), CALLS)
    assert everything == one == CALLS


def test_an_unchanged_list_of_a_thousand_is_304(viewer):
    first = viewer.get("/v1/vms?limit=1000")
    assert len(first.json["items"]) == COUNT
    again = viewer.get("/v1/vms?limit=1000", headers=f"If-None-Match: {first.headers['ETag']}\r\n")
    assert again.status == 304 and not again.body
