# SPDX-License-Identifier: MIT
"""GET /v1 and /v1/host, on libvirt's test driver."""

from gateway import running_gateway


def counts(client):
    return client.get("/v1/host").json["vms"]


def test_a_viewer_may_read_the_hosts_facts(viewer):
    host = viewer.get("/v1/host").json
    assert (host["name"], host["driver"], host["kvm"]) == ("local", "TEST", False)
    assert host["cpus"] == 16 and host["memory_kib"] == 3145728, host
    assert host["memory_free_kib"] is None, "the test driver does not tell"
    assert host["hostname"] and host["architecture"] in host["architectures"], host


def test_vms_are_counted_by_state(admin, new_vm):
    before = counts(admin)
    off = new_vm()
    on = new_vm(start=True)
    after = counts(admin)
    assert after["total"] == before["total"] + 2
    assert after["running"] == before["running"] + 1
    assert after["shutoff"] == before["shutoff"] + 1
    assert after.pop("stale") is False
    assert after["total"] == sum(n for state, n in after.items() if state != "total")
    admin.post(f"/v1/vms/{on['uuid']}/suspend")
    assert counts(admin)["paused"] == before["paused"] + 1
    admin.delete(f"/v1/vms/{off['uuid']}")
    assert counts(admin)["total"] == before["total"] + 1


def test_features_reflect_host_and_settings(viewer):
    about = viewer.get("/v1").json
    assert about["features"] == {"kvm": False, "simulated": True, "accel": "auto", "policy": True}
    assert about["limits"] == {"memory_kib": None, "vcpus": 64, "vms": 10000, "disk_bytes": 2 << 40}
    assert viewer.get(about["openapi"]).json["openapi"] == "3.1.0"
    with running_gateway(policy="off", accel="tcg") as other, other.client("viewer") as client:
        features = client.get("/v1").json["features"]
    assert features == {"kvm": False, "simulated": True, "accel": "tcg", "policy": False}


def test_features_of_an_unreachable_host_are_null(new_gateway):
    gateway = new_gateway(start=False, uri="test:///no/such/file")
    gateway.start_virtgate()
    gateway.start_nginx()
    gateway.wait_ready("/healthz")
    with gateway.client("viewer") as client:
        answer = client.get("/v1")
        assert answer.status == 200 and answer.json["hosts"][0]["reachable"] is False, answer
        assert (answer.json["features"]["kvm"], answer.json["features"]["simulated"]) == (None, None)
        answer = client.get("/v1/host")
        assert (answer.status, answer.code) == (503, "hypervisor_unavailable"), answer
