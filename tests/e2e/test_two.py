# SPDX-License-Identifier: MIT
"""Two virtgates on one libvirtd, as behind one nginx: changes exclude each other across both.

The host is libvirt's test driver in the daemon.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import test_domain
from gateway import Gateway

pytestmark = pytest.mark.qemu


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A client of each of two virtgates."""
    images = str(tmp_path_factory.mktemp("images"))
    first = Gateway(uri="test+unix:///default", images=images)
    second = Gateway(uri="test+unix:///default", images=images, listen=str(first.dir / "second.sock"))
    # The same users, as an Idempotency-Key belongs to a user.
    second.passwords = first.passwords
    (second.dir / "virtgate/htpasswd").write_text(second.htpasswd())
    try:
        with first.start().client(patient=True) as a, second.start().client(patient=True) as b:
            yield a, b
    finally:
        second.stop()
        first.stop()


def both(pair, work):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, pair, range(2)))


def test_only_one_of_two_changes_with_the_same_entity_tag_is_made(pair):
    a, _ = pair
    assert a.post("/v1/vms", xml=test_domain("shared")).status == 201
    for turn in range(40):
        tag = a.get("/v1/vms/shared").headers["ETag"]
        patches = [{"description": f"turn {turn}"}, {"memory_kib": 8192 + 1024 * (turn + 1)}]
        answers = both(pair, lambda client, n: client.request(
            "PATCH", "/v1/vms/shared", json=patches[n], headers=f"If-Match: {tag}\r\n"))
        assert sorted(answer.status for answer in answers) == [200, 412], answers
    assert a.delete("/v1/vms/shared").status == 200


def test_changes_of_different_members_are_both_made(pair):
    a, _ = pair
    assert a.post("/v1/vms", xml=test_domain("both")).status == 201
    for turn in range(20):
        patches = [{"labels": {f"a{turn}": "1"}}, {"labels": {f"b{turn}": "1"}}]
        answers = both(pair, lambda client, n: client.request("PATCH", "/v1/vms/both", json=patches[n]))
        assert [answer.status for answer in answers] == [200, 200], answers
    assert len(a.get("/v1/vms/both").json["labels"]) == 40
    assert a.delete("/v1/vms/both").status == 200


def test_one_key_makes_one_vm_with_its_disk(pair):
    a, _ = pair
    for turn in range(20):
        name = f"once-{turn}"
        spec = {"name": name, "memory_kib": 8192, "start": turn % 2 == 0,
                "disks": [{"source": f"{name}.qcow2", "capacity_bytes": 1 << 20}]}
        answers = both(pair, lambda client, n: client.post(
            "/v1/vms", json=spec, headers=f"Idempotency-Key: {name}\r\n"))
        assert [answer.status for answer in answers] == [201, 201], answers
        assert answers[0].body == answers[1].body
        assert a.delete(f"/v1/vms/{name}?disks=1").json["disks"][0]["removed"] is True


def test_one_file_gets_one_format(pair):
    """One VM takes a file that does not exist yet as raw, and another has it made as qcow2."""
    a, b = pair
    for turn in range(20):
        file = f"turn-{turn}.img"
        disks = [{"source": file, "format": "raw"}, {"source": file, "capacity_bytes": 1 << 20}]
        answers = both(pair, lambda client, n: client.post("/v1/vms", json={
            "name": f"{'ab'[n]}-{turn}", "memory_kib": 8192, "disks": [disks[n]]}))
        assert sorted(answer.status for answer in answers) == [201, 422], answers
        for name in f"a-{turn}", f"b-{turn}":
            assert b.delete(f"/v1/vms/{name}?disks=1").status in (200, 404)
