# SPDX-License-Identifier: MIT
"""Reading one VM, its counters and its job, under QEMU."""

import concurrent.futures
import datetime
import os
import re
import signal
import subprocess
import time

import pytest
from gateway import PATIENCE, process_is_alive, wait_until
from test_qemu import (  # noqa: F401
    IMAGES,
    check_shown_while_qemu_hangs,
    create,
    domain,
    gateway,
    hanging,
    last_tick,
    libvirtd,
    make_disk,
    no_vm_stays,
    timed,
    virsh,
    wait_for_tick,
)

pytestmark = pytest.mark.qemu

MIB = 1 << 20
# Not virbr0, which exists already. open: libvirt adds no firewall rules.
NETWORK = """<network><name>default</name><forward mode='open'/>
  <bridge name='virbr1' stp='off' delay='0'/><ip address='192.168.123.1' netmask='255.255.255.0'>
  <dhcp><range start='192.168.123.100' end='192.168.123.120'/></dhcp></ip></network>"""


@pytest.fixture
def network(tmp_path):
    """A network of libvirt's own, with its DHCP server."""
    file = tmp_path / "network.xml"
    file.write_text(NETWORK)
    virsh("net-define", str(file))
    virsh("net-start", "default")
    yield
    virsh("net-destroy", "default")
    virsh("net-undefine", "default")


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# What it is


def test_a_guests_lease_is_shown_at_its_interface(admin, create, network):  # noqa: F811
    answer = admin.post("/v1/vms", json={
        "template": "http-reply", "name": "web", "start": True,
        "interfaces": [{"network": "default"}, {"bridge": "virbr0"}]})
    assert answer.status == 201, answer

    def addresses():
        return admin.get("/v1/vms/web").json["interfaces"][0]["addresses"]

    wait_until(addresses, "the guest has an address", 30)
    leased, bridged = admin.get("/v1/vms/web").json["interfaces"]
    address = leased["addresses"][0]
    assert re.fullmatch(r"192\.168\.123\.1\d\d", address["address"]), address
    assert (address["prefix"], address["family"], address["source"]) == (24, "ipv4", "lease")
    assert re.fullmatch(r"vnet\d+", leased["target"]) and leased["target"] != bridged["target"]
    assert (leased["network"], leased["bridge"]) == ("default", "virbr1")
    assert (bridged["network"], bridged["bridge"], bridged["addresses"]) == (None, "virbr0", [])
    assert admin.get("/v1/vms/web").json["pending"] == []


def test_disks_have_their_sizes_and_graphics_their_ports_while_it_runs(admin, create):  # noqa: F811
    with open(IMAGES / "raw.img", "wb") as raw:
        raw.write(b"x" * MIB)
        raw.truncate(3 * MIB)
    make_disk("one.qcow2")
    answer = admin.post("/v1/vms", json={
        "name": "vm", "memory_kib": 2500, "kernel": "hello_qemu-x86_64",
        "disks": [{"source": "raw.img", "format": "raw"},
                  {"source": "one.qcow2", "format": "qcow2"}, {"device": "cdrom"}]})
    for action, body in ("start", {}), ("stop", {"mode": "kill"}):
        assert admin.post(f"{answer.location}/{action}", json=body).status == 200
        vm = admin.get(answer.location).json
        assert vm["pending"] == []
        raw, qcow2, drive = vm["disks"]
        assert (raw["source"], raw["capacity_bytes"]) == ("raw.img", 3 * MIB)
        assert raw["allocation_bytes"] == os.stat(IMAGES / "raw.img").st_blocks * 512 >= MIB
        assert (qcow2["source"], qcow2["capacity_bytes"]) == ("one.qcow2", MIB)
        assert qcow2["allocation_bytes"] == os.stat(IMAGES / "one.qcow2").st_blocks * 512
        assert (drive["source"], drive["capacity_bytes"]) == (None, None)
        graphics = vm["graphics"][0]
        assert (graphics["type"], graphics["listen"]) == ("vnc", "127.0.0.1")
        ports = graphics["port"], graphics["websocket"]
        if action == "start":
            assert vm["memory_kib"] == vm["memory_current_kib"] == 3072
            assert 5900 <= ports[0] < 6000 and 5700 <= ports[1] < 5800
        else:
            assert ports == (None, None)


# A VM for which libvirt chooses as many values as possible.
RICH = """<domain type='qemu'><name>rich</name><title>T</title><memory unit='KiB'>65536</memory>
<currentMemory unit='KiB'>32768</currentMemory><vcpu current='1'>2</vcpu>
<os><type machine='q35'>hvm</type><boot dev='hd'/><bootmenu enable='yes'/></os>
<features><acpi/><apic/></features><cpu mode='host-model'/><clock offset='localtime'/>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
<source file='/var/lib/libvirt/images/rich.qcow2'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
<interface type='bridge'><source bridge='virbr0'/><model type='virtio'/></interface>
<interface type='network'><source network='default'/><model type='e1000'/></interface>
<interface type='user'/>
<serial type='pty'/><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<channel type='pty'><target type='virtio' name='other'/></channel>
<input type='tablet' bus='usb'/><graphics type='vnc'/><sound model='ich9'/><watchdog model='i6300esb'/>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng><memballoon model='virtio'>
<stats period='5'/></memballoon><panic model='isa'/></devices></domain>"""


def test_nothing_is_pending_after_a_start_whatever_devices_a_vm_has(admin, network, tmp_path):
    make_disk("rich.qcow2")
    file = tmp_path / "rich.xml"
    file.write_text(RICH)
    virsh("define", str(file))
    virsh("start", "rich")
    vm = admin.get("/v1/vms/rich").json
    assert vm["pending"] == [], (virsh("dumpxml", "rich"), virsh("dumpxml", "rich", "--inactive"))
    assert (vm["vcpus"], vm["vcpus_maximum"]) == (1, 2)
    assert (vm["memory_kib"], vm["memory_current_kib"]) == (65536, 65536)
    for command, part in (
            (("setvcpus", "rich", "2", "--config"), "vcpus"),
            (("desc", "rich", "--config", "--title", "U"), "title"),
            (("change-media", "rich", "sda", "--insert", "/dev/null", "--config", "--force"), "disks"),
            (("detach-interface", "rich", "user", "--config"), "interfaces")):
        before = set(admin.get("/v1/vms/rich").json["pending"])
        virsh(*command)
        assert set(admin.get("/v1/vms/rich").json["pending"]) == before | {part}


def test_a_get_of_a_vm_makes_the_same_number_of_calls_whatever_devices_it_has(new_gateway, tmp_path):
    log = tmp_path / "libvirt.log"
    gateway = new_gateway(uri="qemu:///system", env_LIBVIRT_LOG_FILTERS="2:rpc.netclient",  # noqa: F811
                          env_LIBVIRT_LOG_OUTPUTS=f"2:file:{log}")

    def calls():
        return len(re.findall(r"RPC_CLIENT_MSG_TX_QUEUE:.* prog=536903814 .* type=0 ",
                              log.read_text()))

    def cost(client, target):
        seen = []
        for _ in range(3):
            before = calls()
            assert client.get(target).status == 200
            seen.append(calls() - before)
        return min(seen)

    with gateway.client("admin") as admin:
        disks = "".join(make_disk(f"d{i}.qcow2").replace("hda", f"vd{i}").replace("ide", "virtio")
                        for i in "abcde")
        nics = "<interface type='bridge'><source bridge='virbr0'/></interface>"
        costs = []
        for name, devices in ("small", nics), ("large", nics * 5 + disks):
            answer = admin.post("/v1/vms?start=1", xml=domain(name, devices=devices, log=False))
            assert answer.status == 201, answer
            costs.append(cost(admin, answer.location))
    assert costs[0] == costs[1] and costs[0] <= 13, costs


# since and entity tags


def test_since_covers_changes_by_other_tools_and_is_lost_with_the_daemon(admin, create):  # noqa: F811
    create(domain("hello"))

    def since(state):
        vm = admin.get("/v1/vms/hello").json
        assert vm["state"] == state, vm
        return vm["since"]

    wait_until(lambda: since("running"), "the start was seen")
    for command, state in ("suspend", "paused"), ("resume", "running"), ("destroy", "shut off"):
        before = time.time()
        virsh(command, "hello")
        state = state.replace(" ", "")
        wait_until(lambda state=state: since(state), f"{command} was seen")
        assert before - 0.002 <= moment(since(state)) <= time.time(), command
    virsh("start", "hello")
    wait_until(lambda: since("running"), "the start was seen")
    libvirtd("kill")
    libvirtd("start")
    wait_until(lambda: admin.get("/v1/vms/hello").status == 200, "the daemon is back")
    assert since("running") is None
    # virtgate receives events again.
    wait_until(lambda: [virsh("suspend", "hello"), since("paused"), virsh("resume", "hello")][1],
               "a change is seen again", 30)


def test_an_entity_tag_matches_until_somebody_changes_the_vm(admin, create):  # noqa: F811
    for name, options in ("tagged", "?start=1"), ("tagged-too", "?persistent=0"):
        vm = create(domain(name, "ticker", make_disk(f"{name}.qcow2")), options)
        at = f"/v1/vms/{vm['uuid']}"
        wait_until(lambda at=at: admin.get(at).json["since"], "its start was seen")
        tag = admin.get(at).headers["ETag"]
        wait_for_tick(name, last_tick(name) + 2)
        answer = admin.post(f"{at}/suspend", headers=f"If-Match: {tag}\r\n")
        assert (answer.status, answer.json["changed"]) == (200, True), answer
        answer = admin.post(f"{at}/resume", headers=f"If-Match: {tag}\r\n")
        assert (answer.status, answer.code) == (412, "precondition_failed"), answer
        assert admin.get(at).json["state"] == "paused"
        assert admin.delete(at).status == 200


# QEMU hangs


def test_a_vm_whose_qemu_hangs_is_shown_at_once_and_its_counters_are_busy(
        gateway, admin, create):  # noqa: F811
    create(domain("hello", devices=make_disk("hello.qcow2")))
    with hanging(gateway, "hello", "GET", "stats", "viewer") as (pid, stuck):
        answer, seconds = timed(lambda: admin.get("/v1/vms/hello/stats"))
        assert (answer.status, answer.code) == (503, "vm_busy"), answer
        assert seconds < 4 * PATIENCE
        for _ in range(3):
            answer, seconds = timed(lambda: admin.get("/v1/vms/hello"))
            check_shown_while_qemu_hangs(answer)
            assert seconds < 1 * PATIENCE
            assert answer.status != 200 or answer.json["disks"][0]["capacity_bytes"] == MIB
        vm, = admin.get("/v1/vms?fields=name,state").json["items"]
        assert vm == {"name": "hello", "state": "running"}
        os.kill(pid, signal.SIGCONT)
        assert stuck.result().json["cpu"]["time_ns"] > 0


# Counters and jobs


def test_counters_grow_with_the_guests_work(admin, create):  # noqa: F811
    nic = "<interface type='bridge'><source bridge='virbr0'/><model type='virtio'/></interface>"
    create(domain("counted", "ticker", make_disk("counted.qcow2") + nic))
    wait_for_tick("counted", 1)
    first = admin.get("/v1/vms/counted/stats").json
    wait_for_tick("counted", last_tick("counted") + 1)
    then = admin.get("/v1/vms/counted/stats").json
    assert (then["name"], then["state"]) == ("counted", "running")
    assert 0 < first["cpu"]["time_ns"] <= then["cpu"]["time_ns"]
    assert then["cpu"]["user_ns"] >= 0 and then["cpu"]["system_ns"] >= 0
    assert (then["memory"]["current_kib"], then["memory"]["maximum_kib"]) == (2048, 2048)
    assert then["memory"]["rss_kib"] > 0
    assert [(v["number"], v["state"]) for v in then["vcpus"]] == [(0, "running")]
    assert then["vcpus"][0]["time_ns"] >= first["vcpus"][0]["time_ns"] >= 0
    disk = then["disks"][0]
    assert (disk["target"], disk["source"], disk["capacity_bytes"]) == ("hda", "counted.qcow2", MIB)
    assert all(disk[name] is not None for name in disk), disk
    interface = then["interfaces"][0]
    assert interface["target"] == admin.get("/v1/vms/counted").json["interfaces"][0]["target"]
    assert all(interface[name] is not None for name in interface), interface
    assert moment(first["time"]) < moment(then["time"]) <= time.time()
    admin.post("/v1/vms/counted/stop", json={"mode": "kill"})
    off = admin.get("/v1/vms/counted/stats").json
    assert (off["state"], off["memory"]["rss_kib"], off["disks"][0]["read_bytes"]) == (
        "shutoff", None, None)


def test_vcpu_counters_have_the_numbers_of_their_vcpus(admin, tmp_path):
    vcpus = ("<vcpu current='2'>3</vcpu><vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/>"
             "<vcpu id='1' enabled='no' hotpluggable='yes'/>"
             "<vcpu id='2' enabled='yes' hotpluggable='yes'/></vcpus>")
    xml = domain("gap", type="qemu", log=False).replace("<vcpu>1</vcpu>", vcpus)
    (tmp_path / "gap.xml").write_text(xml.replace("hello_", f"{IMAGES}/hello_"))
    virsh("define", str(tmp_path / "gap.xml"))
    assert admin.get("/v1/vms/gap/stats").json["vcpus"] == []
    virsh("start", "gap")
    assert [v["number"] for v in admin.get("/v1/vms/gap/stats").json["vcpus"]] == [0, 2]


@pytest.fixture
def saving():
    """Saves a VM by virsh for the length of a block, and waits for the end of the save."""
    runs = []

    def save(name):
        runs.append(subprocess.Popen(["virsh", "-c", "qemu:///system", "managedsave", name],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return runs[-1]

    yield save
    for run in runs:
        run.wait(60 * PATIENCE)


def test_a_save_shows_its_progress_and_can_be_aborted(admin, create, saving):  # noqa: F811
    # Much memory, though hardly used, makes the save last a moment.
    xml = domain("hello").replace("2048", str(8 << 20))
    create(xml)
    at = "/v1/vms/hello"
    assert admin.get(f"{at}/job").json == {"job": None}
    run = saving("hello")
    jobs = []

    def at_work():
        job = admin.get(f"{at}/job").json["job"]
        jobs.append(job)
        return job and job["memory"]["total_bytes"]

    wait_until(at_work, "it is being saved")
    job = jobs[-1]
    assert (job["operation"], job["bounded"], job["remaining_ms"]) == ("save", False, None)
    assert job["elapsed_ms"] >= 0 and 0 <= job["percent"] <= 100
    assert job["memory"]["total_bytes"] >= 8 << 30 and job["data"]["total_bytes"] >= 8 << 30
    answer = admin.delete(f"{at}/job")
    assert (answer.status, answer.json["name"], answer.json["changed"]) == (200, "hello", True)
    assert run.wait(60 * PATIENCE) != 0
    assert admin.get(f"{at}/job").json == {"job": None}
    vm = admin.get(at).json
    assert (vm["state"], vm["managed_save"]) == ("running", False)
    assert admin.delete(f"{at}/job").json["changed"] is False


def test_the_client_of_an_aborted_save_is_answered_aborted(gateway, admin, create):  # noqa: F811
    create(domain("hello").replace("2048", str(8 << 20)))
    at = "/v1/vms/hello"

    def save():
        with gateway.client("operator") as client:
            return client.post(f"{at}/save")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        saved = pool.submit(save)
        wait_until(lambda: admin.get(f"{at}/job").json["job"], "it is being saved")
        assert admin.delete(f"{at}/job").json["changed"] is True
        answer = saved.result(60 * PATIENCE)
    assert (answer.status, answer.code) == (409, "aborted"), answer
    vm = admin.get(at).json
    assert (vm["state"], vm["managed_save"]) == ("running", False)


@pytest.mark.parametrize("method, what", [("GET", "stats"), ("POST", "suspend")])
def test_a_vm_whose_qemu_hangs_can_be_killed_while_others_wait_for_it(gateway, admin, create, method, what):  # noqa: F811
    create(domain("hello"))
    with hanging(gateway, "hello", method, what) as (pid, stuck):
        answer = admin.post("/v1/vms/hello/stop", json={"mode": "kill"})
        assert (answer.status, answer.json["state"], answer.json["how"]) == (200, "shutoff", "kill"), answer
        assert not process_is_alive(pid)
        assert stuck.result(60 * PATIENCE).status in (200, 409, 504), stuck.result()


def test_virtgate_ends_at_sigterm_although_the_daemon_hangs(new_gateway):
    gateway = new_gateway(uri="qemu:///system", accel="tcg")  # noqa: F811
    with gateway.client("viewer") as client:
        assert client.get("/v1/vms").status == 200
    pid = int(open(os.environ["LIBVIRTD_PID_FILE"]).read())
    os.kill(pid, signal.SIGSTOP)
    try:
        gateway.virtgate.terminate()
        assert gateway.virtgate.wait(10 * PATIENCE) == 0
    finally:
        os.kill(pid, signal.SIGCONT)
