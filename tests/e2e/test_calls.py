# SPDX-License-Identifier: MIT
"""The number of calls to libvirtd that a request for one VM makes.

The tests count them in the log of virtgate's libvirt.
"""

import shutil

import pytest
from calls import Calls, traced
from gateway import REPO, running_gateway
from test_qemu import xml_waits_for_qemu

pytestmark = pytest.mark.qemu

IMAGES = "/var/lib/libvirt/images"
SPEC = {"template": "helloworld", "name": "counted", "persistent": False,
        "interfaces": [{"bridge": "virbr0"}]}

# One call to find the VM, one each for state, persistence, snapshots and so on; a persistent VM has
# two more: autostart and managed save.
LOOK = {True: 1 + 5, False: 1 + 3}
REASON = 1
ACTION = 1


def document_calls():
    """One for the XML; before that, one that asks whether libvirt would wait for QEMU with it."""
    return 2 if xml_waits_for_qemu() else 1


@pytest.fixture(scope="module", params=["qemu:///system", "test+unix:///default"])
def counted(request, tmp_path_factory):
    """(client, calls, refs, number of calls for reading it) of a running VM."""
    log = tmp_path_factory.mktemp("calls") / "log"
    variables = {f"env_{name}": value for name, value in traced(log).items()}
    qemu = request.param.startswith("qemu")
    if qemu:
        shutil.copy(REPO / "build/guests/hello_qemu-x86_64", IMAGES)
        variables["accel"] = "tcg"
    with running_gateway(uri=request.param, **variables) as gateway:
        with gateway.client("admin") as admin:
            if qemu:
                assert admin.post("/v1/vms", json=SPEC).status == 201
            vm = admin.get(f"/v1/vms/{SPEC['name'] if qemu else 'test'}").json
            assert vm["state"] == "running"
            yield admin, Calls(log), (vm["name"], vm["uuid"]), LOOK[vm["persistent"]]
            if qemu:
                assert admin.delete(f"/v1/vms/{vm['name']}").status == 200


def ask(client, method, path, **how):
    answer = client.request(method, path, **how)
    assert answer.status == 200, answer
    return answer.json


def test_suspend_and_resume_read_the_vm_before_and_its_state_after(counted):
    admin, calls, refs, look = counted
    enough = 2 * (look + ACTION + REASON)
    for ref in refs:
        def turn():
            assert ask(admin, "POST", f"/v1/vms/{ref}/suspend")["changed"]
            assert ask(admin, "POST", f"/v1/vms/{ref}/resume")["changed"]

        assert calls.least(turn, enough) == enough


def test_an_action_whose_target_is_reached_already_makes_no_call_for_it(counted):
    admin, calls, refs, look = counted
    for ref in refs:
        def resume():
            assert not ask(admin, "POST", f"/v1/vms/{ref}/resume")["changed"]

        assert calls.least(resume, look + REASON) == look + REASON


def test_an_action_with_if_match_also_reads_the_definition_and_the_reason(counted):
    admin, calls, refs, look = counted
    enough = look + REASON + document_calls() + ACTION + REASON
    for ref in refs:
        def suspend_if(tag):
            ask(admin, "POST", f"/v1/vms/{ref}/suspend", headers=f"If-Match: {tag}\r\n")

        costs = []
        for _ in range(5):
            tag = admin.get(f"/v1/vms/{ref}").headers["ETag"]
            costs.append(calls.during(lambda tag=tag: suspend_if(tag)))
            assert ask(admin, "POST", f"/v1/vms/{ref}/resume")["changed"]
        assert min(costs) == enough


def test_a_get_of_one_vm_makes_the_known_number_of_calls(counted):
    admin, calls, refs, look = counted
    interface, = ask(admin, "GET", f"/v1/vms/{refs[0]}")["interfaces"]
    addresses = 2 if interface["network"] else 1  # of the host's neighbours; and of its leases
    enough = look + REASON + 2 * document_calls() + addresses
    for ref in refs:
        assert calls.least(lambda: ask(admin, "GET", f"/v1/vms/{ref}"), enough) == enough
