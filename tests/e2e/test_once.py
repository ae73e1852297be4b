# SPDX-License-Identifier: MIT
"""An Idempotency-Key creates one VM for any number of requests; races of requests without one."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import test_domain

CLIENTS = 16


def key(value):
    return f"Idempotency-Key: {value}\r\n"


@pytest.fixture
def many(gateway):
    """Calls work with each of that many clients at once; returns the results."""
    def at_once(work, count=CLIENTS):
        def one(number):
            with gateway.client("admin", patient=True) as admin:
                return work(admin, number)
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))
    return at_once


@pytest.fixture
def gone(admin):
    """A list of names: the VMs are removed after the test."""
    names = []
    yield names
    for name in names:
        assert admin.delete(f"/v1/vms/{name}").status in (200, 404)


@pytest.mark.parametrize("options", [{}, {"start": True}, {"persistent": False}])
def test_many_clients_with_one_key_make_one_vm(admin, many, new_name, gone, options):
    name = new_name()
    gone.append(name)
    body = {"template": "helloworld", "name": name, **options}
    answers = many(lambda client, _: client.post("/v1/vms", json=body, headers=key(f'"{name}"')))
    assert [answer.status for answer in answers] == [201] * CLIENTS, answers
    assert len({answer.body for answer in answers}) == 1, answers
    assert len({answer.location for answer in answers}) == 1
    assert sum("Idempotent-Replay" not in answer.headers for answer in answers) == 1
    assert {answer.headers["Idempotent-Replay"] for answer in answers} == {None, "true"}
    found = admin.get(f"/v1/vms?name={name}").json["items"]
    assert [vm["uuid"] for vm in found] == [answers[0].json["uuid"]]


def test_a_different_request_with_a_used_key_is_refused(admin, new_name, gone):
    name = new_name()
    gone += [name, f"{name}-other"]
    first = admin.post("/v1/vms", json={"template": "helloworld", "name": name}, headers=key(name))
    assert first.status == 201
    for how in (
        {"json": {"template": "helloworld", "name": f"{name}-other"}},
        {"json": {"template": "helloworld", "name": name, "vcpus": 2}},
        {"xml": test_domain(name)},
    ):
        answer = admin.post("/v1/vms", headers=key(name), **how)
        assert answer.status == 422 and answer.code == "key_reused" and name in answer.json["detail"]
    # A different query is a different request, too; a dry run creates nothing and is allowed.
    target = "/v1/vms?start=1"
    answer = admin.post(target, json={"template": "helloworld", "name": name}, headers=key(name))
    assert answer.code == "key_reused"
    assert admin.get(f"/v1/vms/{name}-other").status == 404


def test_the_same_request_without_the_key_is_409(admin, new_name, gone):
    name = new_name()
    gone.append(name)
    body = {"template": "helloworld", "name": name}
    assert admin.post("/v1/vms", json=body, headers=key(name)).status == 201
    assert admin.post("/v1/vms", json=body).code == "already_exists"
    assert admin.post("/v1/vms", json=body, headers=key(f"{name}-2")).code == "already_exists"


def test_a_key_lasts_as_long_as_the_vm(admin, new_name, gone):
    name = new_name()
    gone.append(name)
    body = {"template": "helloworld", "name": name}
    first = admin.post("/v1/vms", json=body, headers=key(name))
    assert admin.delete(f"/v1/vms/{name}").status == 200
    again = admin.post("/v1/vms", json=body, headers=key(name))
    assert again.status == 201 and "Idempotent-Replay" not in again.headers
    assert again.json["uuid"] == first.json["uuid"]


def test_a_key_outlives_a_change_of_the_vm(admin, operator, new_name, gone):
    name = new_name()
    gone.append(name)
    body = {"template": "helloworld", "name": name, "labels": {"a": "b"}}
    assert admin.post("/v1/vms", json=body, headers=key(name)).status == 201
    assert operator.request("PATCH", f"/v1/vms/{name}", json={"labels": None, "title": "t"}).status == 200
    xml = admin.get(f"/v1/vms/{name}/xml").body
    assert admin.request("PUT", f"/v1/vms/{name}/xml", xml=xml).status == 200
    again = admin.post("/v1/vms", json=body, headers=key(name))
    assert again.status == 201 and again.headers["Idempotent-Replay"] == "true"


def test_a_client_cannot_set_the_metadata_of_a_key(admin, new_name, gone):
    name = new_name()
    gone.append(name)
    forged = ("<metadata><v:vm xmlns:v='urn:virtgate:vm:1'>"
              f"<v:request hash='{'0' * 32}'/></v:vm></metadata>")
    assert admin.post("/v1/vms", xml=test_domain(name, forged)).status == 201
    assert b"request" not in admin.get(f"/v1/vms/{name}/xml").body


def test_a_failed_request_can_be_repeated_with_its_key(admin, new_name, gone, new_vm):
    name = new_name()
    gone.append(name)
    holder = new_vm(name)
    body = {"template": "helloworld", "name": name}
    assert admin.post("/v1/vms", json=body, headers=key(name)).code == "already_exists"
    assert admin.delete(f"/v1/vms/{holder['uuid']}").status == 200
    again = admin.post("/v1/vms", json=body, headers=key(name))
    assert again.status == 201 and "Idempotent-Replay" not in again.headers


@pytest.mark.parametrize("bad", ["x" * 256, "ü" * 200])
def test_a_key_that_is_too_long_is_refused(admin, bad):
    answer = admin.post(
        "/v1/vms", json={"template": "helloworld"}, headers=f"Idempotency-Key: {bad}\r\n".encode().decode("latin-1"))
    assert answer.status == 400 and "Idempotency-Key" in answer.json["detail"]


def test_the_uuid_is_derived_from_the_key(admin, new_name):
    uuid = "6f2fd1c4-8c0f-4f0b-9a46-5c1fbb5a2c11"
    answer = admin.post("/v1/vms", xml=test_domain(new_name(), uuid=uuid), headers=key("k"))
    assert answer.status == 422 and answer.json["detail"].startswith("uuid:")


# Without a key


def test_only_one_of_two_concurrent_creates_of_a_name_succeeds(admin, many, new_name, gone):
    for _ in range(10):
        name = new_name()
        gone.append(name)
        answers = many(lambda client, _: client.post("/v1/vms", xml=test_domain(name)), 4)
        assert sorted(answer.status for answer in answers) == [201, 409, 409, 409], answers
        assert {answer.code for answer in answers if answer.status == 409} == {"already_exists"}
        made = next(answer for answer in answers if answer.status == 201)
        assert admin.get(f"/v1/vms/{name}").json["uuid"] == made.json["uuid"]


def test_a_concurrent_delete_and_start_leave_nothing_half_done(admin, many, new_name):
    for _ in range(10):
        name = new_name()
        assert admin.post("/v1/vms", xml=test_domain(name)).status == 201

        def act(client, number):
            return (client.delete(f"/v1/vms/{name}") if number == 1
                    else client.post(f"/v1/vms/{name}/start"))
        started, deleted, *_ = many(act, 3)
        assert deleted.status == 200, deleted
        assert started.status in (200, 404), started
        assert admin.get(f"/v1/vms/{name}").status == 404
