# SPDX-License-Identifier: MIT
"""Guests under QEMU, on a libvirtd that can be killed.

The guests are those of tests/guests. hello prints a greeting and halts. ticker prints a number each
second, which shows whether it is suspended, resumed or reverted.
"""

import concurrent.futures
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
import uuid
from pathlib import Path

import pytest
from gateway import PATIENCE, REPO, as_listed, process_is_alive, running_gateway, wait_until

pytestmark = pytest.mark.qemu

IMAGES = Path("/var/lib/libvirt/images")
LOGS = Path("/var/log/libvirt/qemu")
DISK = ("<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/>"
        "<target dev='hda' bus='ide'/></disk>")


def virsh(*arguments):
    run = subprocess.run(["virsh", "-c", "qemu:///system", *arguments], capture_output=True,
                         text=True, timeout=60 * PATIENCE)
    assert run.returncode == 0, (arguments, run.stderr)
    return run.stdout.strip()


def libvirtd(command):
    subprocess.run([REPO / "tests/e2e/libvirtd", command], check=True, timeout=60 * PATIENCE)


def domain(name, kernel="hello", devices="", type="kvm", log=True):
    log = f"<log file='serial-{name}.log' append='on'/>" if log else ""
    return (f"<domain type='{type}'><name>{name}</name><memory unit='KiB'>2048</memory>"
            f"<vcpu>1</vcpu><os><type>hvm</type><kernel>{kernel}_qemu-x86_64</kernel></os>"
            f"<devices>{devices}<serial type='pty'>{log}</serial></devices></domain>")


def said(name):
    files = LOGS.glob(f"*@serial-{name}.log") # the UUID of each VM that had the name is before it
    newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    return newest.read_text(errors="replace") if newest else ""


def ticks(name):
    return [int(n) for n in re.findall(r"tick (\d+)\r?\n", said(name))]


def last_tick(name):
    return (ticks(name) or [0])[-1]


def wait_for_tick(name, number):
    wait_until(lambda: last_tick(name) >= number, f"{name} says tick {number}", 30)


def make_disk(name):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", IMAGES / name, "1M"], check=True)
    return DISK.format(name)


def qemu_pid(name):
    return int(Path(f"/run/libvirt/qemu/{name}.pid").read_text())


def xml_waits_for_qemu():
    """From libvirt 11.0 on, reading a VM's XML waits while another call waits for its QEMU."""
    version = virsh("version", "--daemon").rsplit(maxsplit=1)[1]
    return int(version.split(".")[0]) >= 11


def check_shown_while_qemu_hangs(answer):
    """The answer to GET /v1/vms/{ref}, which needs the VM's XML."""
    if not xml_waits_for_qemu():
        assert (answer.status, answer.json["state"]) == (200, "running"), answer
    else:
        assert (answer.status, answer.code) == (503, "vm_busy"), answer


def is_halted(name):
    """Whether the guest's first vcpu is halted."""
    return "HLT=1" in virsh("qemu-monitor-command", name, "--hmp", "info registers")


@contextlib.contextmanager
def hanging(gateway, vm, method, what, user="admin"):
    """Stops a VM's QEMU and sends a request that waits for it; yields the process id and a future
    of the answer."""
    pid = qemu_pid(vm)

    def wait():
        with gateway.client(user) as client:
            return client.request(method, f"/v1/vms/{vm}/{what}")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        os.kill(pid, signal.SIGSTOP)
        try:
            stuck = pool.submit(wait)
            wait_until(lambda: "occupied" in virsh("domcontrol", vm), "it waits for QEMU")
            yield pid, stuck
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def names_in(answer):
    assert answer.status == 200, answer
    return [vm["name"] for vm in answer.json["items"]]


@pytest.fixture(scope="module")
def gateway():
    for guest in (REPO / "build/guests").iterdir():
        shutil.copy(guest, IMAGES)
    with running_gateway(uri="qemu:///system", accel="tcg", max_memory=16384) as gateway:
        yield gateway


def remove_all_vms():
    """In one process for all, as virsh takes its time to start. Some are off, or gone with their
    QEMU, so that a command may fail; none must be left."""
    uuids = virsh("list", "--all", "--uuid").split()
    if uuids:
        removals = [f"destroy {vm}; undefine --snapshots-metadata --managed-save {vm}" for vm in uuids]
        assert virsh("--quiet", "; ".join([*removals, "list --all --uuid"])) == ""


@pytest.fixture(autouse=True)
def no_vm_stays(gateway):
    yield
    if not process_is_alive(int(Path(os.environ["LIBVIRTD_PID_FILE"]).read_text())):
        libvirtd("start")
    gateway.wait_ready()
    remove_all_vms()


@pytest.fixture
def create(admin):
    def create(xml, options="?start=1"):
        answer = admin.post("/v1/vms" + options, xml=xml)
        assert answer.status == 201, answer
        return answer.json
    return create


# Guests


def test_the_lifecycle_of_hello_world_by_the_seeds_routes(admin):
    answer = admin.post("/vm?xmlName=helloworld.xml")
    assert answer.status == 201, answer
    assert answer.json["name"] == "vm_helloworld" and answer.json["state"] == "running"
    assert answer.json["persistent"] is False
    assert "qemu" in answer.json["warnings"][0]
    assert names_in(admin.get("/vms")) == ["vm_helloworld"] == virsh("list", "--name").split()

    # The greeting may have been printed before the log was opened: reset the VM to see it again.
    pty = re.search(r"<serial type='pty'>\s*<source path='([^']+)'",
                    admin.get(answer.location + "/xml?live=1").body.decode())[1]
    terminal = os.open(pty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    heard = bytearray()

    def greeted():
        try:
            heard.extend(os.read(terminal, 4096))
        except BlockingIOError:
            pass
        return b"Hello, world!" in heard

    try:
        # SeaBIOS never recovers from a reset in its first milliseconds.
        wait_until(lambda: is_halted("vm_helloworld"), "the guest has run")
        assert admin.post(answer.location + "/reset").status == 200
        wait_until(greeted, "the guest greets", 20)
    finally:
        os.close(terminal)

    for action, state, libvirts in ("suspend", "paused", "paused"), ("resume", "running", "running"):
        acted = admin.post(f"/vm/{action}?name=vm_helloworld")
        assert (acted.status, acted.json["state"], acted.json["changed"]) == (200, state, True)
        assert virsh("domstate", "vm_helloworld") == libvirts
        assert admin.get("/vms").json["items"][0]["state"] == state

    pid = qemu_pid("vm_helloworld")
    deleted = admin.delete("/vm?name=vm_helloworld")
    assert (deleted.status, deleted.json["stopped"]) == (200, True)
    assert names_in(admin.get("/vms")) == []
    assert virsh("list", "--all", "--name") == ""
    assert not process_is_alive(pid)


def test_the_lifecycle_of_a_persistent_vm_by_v1(admin, create):
    vm = create(domain("hello"), "")
    at = f"/v1/vms/{vm['uuid']}"
    assert (vm["state"], vm["persistent"], vm["memory_kib"], vm["vcpus"]) == ("shutoff", True, 2048, 1)
    steps = [
        ("suspend", 409, None), ("resume", 409, None), ("reboot", 409, None), ("reset", 409, None),
        ("kill", 200, False), ("start", 200, True), ("start", 200, False), ("resume", 200, False),
        ("suspend", 200, True), ("suspend", 200, False), ("start", 409, None), ("reset", 200, True),
        ("resume", 200, True), ("reset", 200, True), ("kill", 200, True),
        ("kill", 200, False), ("start", 200, True),
    ]
    states = {"start": "running", "resume": "running", "suspend": "paused", "kill": "shutoff"}
    state = "shutoff"
    for action, status, changed in steps:
        greeted = said("hello").count("Hello, world!")
        if action == "kill":
            answer = admin.post(f"{at}/stop", json={"mode": "kill"})
        else:
            answer = admin.post(f"{at}/{action}")
        assert answer.status == status, (action, answer)
        # The VM was reset while it was paused.
        if changed and (action == "resume" or action in ("start", "reset") and state != "paused"):
            wait_until(lambda: said("hello").count("Hello, world!") > greeted, "it greets", 20)
        if status == 409:
            assert answer.code == "wrong_state"
        else:
            assert answer.json["changed"] is changed, (action, answer)
            state = states.get(action, state)
        assert answer.json["state"] == state == admin.get(at).json["state"], (action, answer)
    assert admin.get("/v1/vms").json["items"] == [as_listed(admin.get("/v1/vms/hello").json)]
    answer = admin.delete(at)
    assert (answer.status, answer.json["stopped"]) == (200, True)
    assert answer.json["removed"] == ["definition"]
    assert admin.get(at).status == 404 and virsh("list", "--all", "--name") == ""


def test_a_transient_vm_is_gone_when_it_stops(admin, create):
    vm = create(domain("passing"), "?persistent=0")
    answer = admin.post(f"/v1/vms/{vm['uuid']}/stop", json={"mode": "kill"})
    assert (answer.status, answer.json["state"], answer.json["changed"]) == (200, "shutoff", True)
    assert admin.get("/v1/vms/passing").status == 404


def test_a_guests_count_follows_suspend_resume_and_revert(admin, create):
    vm = create(domain("ticker", "ticker", make_disk("ticker.qcow2")))
    at = f"/v1/vms/{vm['uuid']}"
    wait_for_tick("ticker", 1)

    assert admin.post(f"{at}/suspend").json["state"] == "paused"
    stood = last_tick("ticker")
    deadline = time.monotonic() + 1.6
    while time.monotonic() < deadline:
        assert last_tick("ticker") <= stood + 1  # one tick may have been under way
        time.sleep(0.05)
    stood = last_tick("ticker")
    assert admin.post(f"{at}/resume").json["state"] == "running"
    wait_for_tick("ticker", stood + 1)

    early = last_tick("ticker")
    answer = admin.post(f"{at}/snapshots", json={"name": "early", "description": "the first"})
    assert (answer.status, answer.json["state"]) == (201, "running"), answer
    late = last_tick("ticker")
    wait_for_tick("ticker", late + 2)
    answer = admin.post(f"{at}/snapshots/early/revert")
    assert (answer.status, answer.json["state"]) == (200, "running"), answer
    back = wait_until(lambda: next((b for a, b in itertools.pairwise(ticks("ticker")) if b <= a), None),
                      "it ticks again", 30)
    assert early <= back <= late + 1, (early, late, ticks("ticker"))

    # A second snapshot, a child of the first; then the seed's revert to the current one.
    answer = admin.post("/vm/snapshot?name=ticker",
                        xml="<domainsnapshot><name>late</name></domainsnapshot>")
    assert (answer.status, answer.json["parent"]) == (201, "early"), answer
    assert admin.get(answer.location).json == answer.json
    listed = admin.get(f"{at}/snapshots").json["items"]
    assert [(s["name"], s["parent"], s["current"]) for s in listed] == [
        ("early", None, False), ("late", "early", True)]
    assert listed[0]["description"] == "the first"
    assert admin.get(at).json["has_snapshots"] is True
    admin.post(f"{at}/suspend")
    answer = admin.post("/vm/snapshot/revert?name=ticker")
    assert (answer.status, answer.json["state"]) == (200, "running"), answer
    assert admin.post(f"{at}/snapshots", json={"name": "late"}).code == "already_exists"

    assert admin.delete(f"{at}/snapshots/early").status == 200
    listed = admin.get(f"{at}/snapshots").json["items"]
    assert [(s["name"], s["parent"]) for s in listed] == [("late", None)]
    assert admin.post(f"{at}/snapshots/early/revert").code == "snapshot_not_found"

    answer = admin.delete(at)
    assert answer.status == 200, answer
    assert set(answer.json["removed"]) == {"definition", "snapshot_metadata"}
    assert admin.get(at).status == 404 and (IMAGES / "ticker.qcow2").exists()


def test_a_shut_off_vm_can_be_snapshotted_and_reverted(admin, create):
    vm = create(domain("off", devices=make_disk("off.qcow2")), "")
    at = f"/v1/vms/{vm['uuid']}"
    answer = admin.post(f"{at}/snapshots")
    assert (answer.status, answer.json["state"]) == (201, "shutoff"), answer
    admin.post(f"{at}/start")
    answer = admin.post(f"{answer.location}/revert")
    assert (answer.status, answer.json["state"]) == (200, "shutoff"), answer


@pytest.mark.parametrize("start", ["?start=1", ""])
def test_a_snapshot_without_a_disk_is_409_with_reason_and_hint(admin, create, start):
    vm = create(domain("diskless"), start)
    for target in f"/v1/vms/{vm['uuid']}/snapshots", "/vm/snapshot?name=diskless":
        answer = admin.post(target)
        assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
        assert re.search("disk|snapshot", answer.json["detail"]), answer
        assert "carrier_disk" in answer.json["hint"], answer
    assert admin.get(f"/v1/vms/{vm['uuid']}/snapshots").json == {"items": []}


def test_a_snapshot_of_a_raw_disk_is_409_with_the_hint_to_use_qcow2(admin, create):
    (IMAGES / "raw.img").write_bytes(b"\0" * (1 << 20))
    vm = create(domain("raw", devices=DISK.replace("qcow2", "raw").format("raw.img")))
    answer = admin.post(f"/v1/vms/{vm['uuid']}/snapshots")
    assert (answer.status, answer.code) == (409, "snapshot_unsupported"), answer
    assert "disk hda is not qcow2" in answer.json["detail"]
    assert "qemu-img convert" in answer.json["hint"]


def test_a_carrier_disk_holds_snapshots_and_is_deleted_with_the_vm(admin):
    spec = {"name": "carried", "memory_kib": 2048, "kernel": "ticker_qemu-x86_64", "carrier_disk": True,
            "serial": {"type": "pty", "log": "serial-carried.log", "append": True}}
    dry = admin.post("/v1/vms?dry_run=1&start=1", json=spec)
    assert dry.json["ok"] is True and "carrier-" in dry.json["xml"], dry
    assert list(IMAGES.glob("carrier-*")) == []
    vm = admin.post("/v1/vms?start=1", json=spec)
    assert (vm.status, vm.json["state"]) == (201, "running"), vm
    at, carrier = vm.location, IMAGES / f"carrier-{vm.json['uuid']}.qcow2"
    assert carrier.stat().st_size == 256 * 1024 and carrier.stat().st_blocks * 512 < 64 * 1024
    wait_for_tick("carried", 2)
    assert admin.post(f"{at}/snapshots", json={"name": "two"}).status == 201
    wait_for_tick("carried", 4)
    heard = len(ticks("carried"))
    answer = admin.post(f"{at}/snapshots/two/revert")
    assert (answer.status, answer.json["state"]) == (200, "running"), answer
    wait_until(lambda: any(n <= 3 for n in ticks("carried")[heard:]), "it has gone back", 30)
    admin.post(f"{at}/stop", json={"mode": "kill"})
    subprocess.run(["qemu-img", "check", "-q", carrier], check=True)
    assert admin.post(f"{at}/start").json["state"] == "running"
    answer = admin.delete(at)
    assert set(answer.json["removed"]) == {"definition", "snapshot_metadata", "carrier_disk"}, answer
    assert not carrier.exists()


def test_a_failed_create_leaves_no_carrier_disk(admin, create):
    create(domain("taken", log=False), "")
    base = {"memory_kib": 2048, "carrier_disk": True}
    for spec in {"name": "taken", "kernel": "hello_qemu-x86_64"}, \
            {"name": "other", "kernel": "none", "start": True}, \
            {"name": "other", "kernel": "hello_qemu-x86_64", "start": True,
             "xml": domain("x").replace("<type>", "<type machine='none'>")}:
        answer = admin.post("/v1/vms", json={**base, **spec})
        assert 400 <= answer.status < 500, answer
        assert list(IMAGES.glob("carrier-*")) == [], answer
    answer = admin.post("/v1/vms?persistent=0", json={**base, "name": "x", "kernel": "hello_qemu-x86_64"})
    assert answer.status == 400 and "carrier_disk: only a persistent VM" in answer.json["detail"]
    assert list(IMAGES.glob("carrier-*")) == []


MISSING = {
    "kernel": domain("broken", "nothing"),
    "disk": domain("broken", devices=DISK.format("nothing.qcow2")),
    "bridge": domain("broken", devices="<interface type='bridge'><source bridge='nobr'/></interface>"),
    "network": domain("broken", devices="<interface type='network'><source network='none'/></interface>"),
    "log": domain("broken").replace("serial-broken.log", "no/such/serial.log"),
    "share": domain("broken", devices="<filesystem type='mount'><source dir='none'/>"
                    "<target dir='x'/></filesystem>"),
    "machine": domain("broken").replace("<type>", "<type machine='none'>"),
    "memory": domain("broken").replace("2048", str(1 << 40)),
}


@pytest.mark.parametrize("what", MISSING)
@pytest.mark.parametrize("target", ["/v1/vms?start=1", "/v1/vms?persistent=0", "/vm"])
def test_a_vm_that_cannot_start_is_refused_and_leaves_nothing(gateway, admin, what, target):
    answer = admin.post(target, xml=MISSING[what])
    assert 400 <= answer.status < 500, answer
    assert virsh("list", "--all", "--name") == ""
    assert names_in(admin.get("/v1/vms")) == []
    assert admin.get("/v1/vms/broken").status == 404
    # A corrected VM of the same name can be created.
    answer = admin.post("/v1/vms?start=1", xml=domain("broken"))
    assert answer.status == 201, answer


def test_only_an_admin_sees_libvirts_message_with_its_host_paths(admin, operator, tmp_path):
    xml = domain("no-log", IMAGES / "hello", type="qemu")
    (tmp_path / "xml").write_text(xml.replace("serial-no-log.log", f"{LOGS}/no/such/serial.log"))
    virsh("define", str(tmp_path / "xml"))
    for client in admin, operator:
        answer = client.post("/v1/vms/no-log/start")
        assert 400 <= answer.status < 500, answer
        assert ("message" in answer.json["libvirt"]) == (client is admin)
    assert operator.get("/v1/vms/no-log").json["state"] == "shutoff"


def test_a_create_with_a_taken_name_or_uuid_is_409_and_the_vm_keeps_running(admin, create):
    vm = create(domain("hello"))
    pid, before = qemu_pid("hello"), admin.get("/v1/vms/hello/xml").body
    other = domain("hello").replace("2048", "4096")
    same_uuid = domain("other").replace("<memory", f"<uuid>{vm['uuid']}</uuid><memory")
    for xml in other, same_uuid:
        for target in "/v1/vms", "/v1/vms?start=1", "/v1/vms?persistent=0", "/vm":
            answer = admin.post(target, xml=xml)
            assert (answer.status, answer.code) == (409, "already_exists"), answer
    assert admin.get("/v1/vms/hello/xml").body == before
    assert qemu_pid("hello") == pid and process_is_alive(pid)
    assert names_in(admin.get("/v1/vms")) == ["hello"]


def test_many_creations_of_one_name_at_once_make_one_vm(gateway, admin):
    def post(_):
        with gateway.client("admin") as client:
            return client.post("/v1/vms", xml=domain("one", log=False)).status
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(post, range(8)))
    assert statuses.count(201) == 1 and set(statuses) <= {201, 409, 503}, statuses
    assert names_in(admin.get("/v1/vms")) == ["one"]


# VMs of other tools


@pytest.mark.parametrize("name", ["two words", "Ünïcødé ☃", "a'b\"c", "100%", "a+b&c=d?e#f", "-x"])
def test_a_vm_whose_name_breaks_our_rule_can_be_used(tmp_path, admin, operator, name):
    id = str(uuid.uuid4())
    escaped = name.replace("&", "&amp;")
    file = tmp_path / "vm.xml"
    file.write_text(domain("NAME", type="qemu", log=False).replace("hello_", f"{IMAGES}/hello_")
                    .replace("NAME", escaped).replace("<memory", f"<uuid>{id}</uuid><memory"))
    virsh("define", str(file))
    ref = urllib.parse.quote(name, safe="")
    assert names_in(admin.get("/v1/vms")) == [name]
    assert operator.get(f"/v1/vms/{ref}").json["uuid"] == id
    assert operator.post(f"/v1/vms/{ref}/start").json["state"] == "running"
    form = urllib.parse.urlencode({"name": name})
    assert operator.post(f"/vm/suspend?{form}").json["state"] == "paused"
    answer = operator.post(f"/vm/resume?name={urllib.parse.quote(name, safe='')}")
    assert answer.json["state"] == "running"
    assert operator.get(f"/v1/vms/{ref}/snapshots").json == {"items": []}
    answer = admin.delete(f"/v1/vms/{ref}")
    assert (answer.status, answer.json["name"]) == (200, name)


def test_a_ref_is_looked_up_as_a_uuid_before_a_name(tmp_path, admin, create):
    real = create(domain("real"), "")
    file = tmp_path / "vm.xml"
    file.write_text(domain(real["uuid"], type="qemu", log=False))
    file.write_text(file.read_text().replace("hello_", f"{IMAGES}/hello_"))
    virsh("define", str(file))
    assert admin.get(f"/v1/vms/{real['uuid']}").json["name"] == "real"
    assert len(admin.get("/v1/vms").json["items"]) == 2


def test_a_change_by_another_tool_is_seen_at_once(admin, create):
    create(domain("hello"))
    virsh("suspend", "hello")
    assert admin.get("/v1/vms/hello").json["state"] == "paused"
    assert admin.get("/v1/vms").json["items"][0]["state"] == "paused"
    virsh("destroy", "hello")
    virsh("autostart", "hello")
    vm = admin.get("/v1/vms").json["items"][0]
    assert (vm["state"], vm["reason"], vm["autostart"]) == ("shutoff", "destroyed", True)
    virsh("autostart", "--disable", "hello")
    virsh("undefine", "hello")
    assert names_in(admin.get("/v1/vms")) == []
    assert admin.post("/v1/vms/hello/start").status == 404


def test_a_delete_removes_the_managed_save(admin, create):
    create(domain("hello"))
    virsh("managedsave", "hello")
    vm = admin.get("/v1/vms/hello").json
    assert (vm["state"], vm["managed_save"]) == ("shutoff", True)
    assert admin.get("/v1/vms").json["items"] == [as_listed(vm)]
    answer = admin.delete("/v1/vms/hello")
    assert (answer.status, set(answer.json["removed"])) == (200, {"definition", "managed_save"})


def test_a_vm_with_much_metadata_can_be_deleted(tmp_path, admin):
    file = tmp_path / "vm.xml"
    xml = domain("large", type="qemu", log=False).replace("hello_", f"{IMAGES}/hello_")
    file.write_text(xml.replace("<memory", f"<description>{'x' * 200000}</description><memory"))
    virsh("define", str(file))
    answer = admin.delete("/v1/vms/large")
    assert answer.status == 200, answer
    assert virsh("list", "--all", "--name") == ""


# Calls of a list


def test_a_list_makes_the_same_number_of_calls_for_any_number_of_vms(new_gateway, tmp_path):
    log = tmp_path / "libvirt.log"
    gateway = new_gateway(uri="qemu:///system", env_LIBVIRT_LOG_FILTERS="2:rpc.netclient",
                          env_LIBVIRT_LOG_OUTPUTS=f"2:file:{log}")

    def calls():
        # Messages of type "call", without those of the keepalive protocol.
        return len(re.findall(r"RPC_CLIENT_MSG_TX_QUEUE:.* prog=536903814 .* type=0 ",
                              log.read_text()))

    def cost(client, count):
        seen = []
        for _ in range(5):  # virtgate's sweep, every ten seconds, may add its calls
            before = calls()
            assert len(client.get("/v1/vms").json["items"]) == count
            seen.append(calls() - before)
        return min(seen[1:])

    with gateway.client("admin") as admin:
        made, costs = 0, []
        for count in 3, 30:
            for made in range(made, count):
                answer = admin.post("/v1/vms", xml=domain(f"vm-{made}", log=False))
                assert answer.status == 201, answer
            made = count
            costs.append(cost(admin, count))
    assert costs[0] == costs[1], costs
    assert 1 <= costs[0] <= 6, costs


# The daemon dies


def use_all_connections(gateway):
    """Makes the gateway open all its connections, which the daemon's end then breaks."""
    def get(_):
        with gateway.client("admin") as client:
            return [client.get("/v1/vms").status for _ in range(5)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {status for all in pool.map(get, range(8)) for status in all} == {200}


def timed(call):
    start = time.monotonic()
    return call(), time.monotonic() - start


def test_requests_are_503_while_the_daemon_is_dead_and_work_after_its_return(gateway, admin, create):
    vm = create(domain("hello"))
    at = f"/v1/vms/{vm['uuid']}"
    pid = qemu_pid("hello")
    use_all_connections(gateway)
    libvirtd("kill")
    requests = [
        ("GET", "/v1/vms"), ("GET", "/vms"), ("GET", at), ("GET", f"{at}/xml"), ("GET", "/readyz"),
        ("GET", f"{at}/snapshots"), ("POST", f"{at}/suspend"), ("POST", f"{at}/stop"),
        ("POST", "/vm/suspend?name=hello"), ("POST", f"{at}/snapshots"), ("DELETE", at),
        ("POST", "/vm?xmlName=helloworld.xml"), ("POST", "/vm/snapshot/revert?name=hello"),
    ]
    for method, target in requests * 2:
        answer, seconds = timed(lambda m=method, t=target: admin.request(m, t))
        assert (answer.status, answer.code) == (503, "hypervisor_unavailable"), (target, answer)
        assert answer.headers["Retry-After"] == "2" and answer.json["retryable"] is True
        assert seconds < 1 * PATIENCE, (target, seconds)
    assert admin.get("/healthz").status == 200
    assert admin.get("/v1").json["hosts"][0]["reachable"] is False
    assert admin.get("/v1/vms/none?x=1").status == 400  # refused without a hypervisor
    libvirtd("start")
    gateway.wait_ready()
    answer = admin.get("/v1/vms")
    assert answer.status == 200, answer
    assert [(v["uuid"], v["state"]) for v in answer.json["items"]] == [(vm["uuid"], "running")]
    assert admin.get("/readyz").status == 200
    assert qemu_pid("hello") == pid and process_is_alive(pid)
    assert admin.post(f"{at}/suspend").json["state"] == "paused"


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.parametrize("method, target", [
    ("GET", "/v1/vms"), ("GET", "/v1/vms/hello"), ("GET", "/vms"), ("GET", "/v1/vms/hello/xml"),
    ("GET", "/v1/vms/hello/snapshots"), ("GET", "/readyz"), ("HEAD", "/v1/vms/hello"),
])
def test_no_read_fails_after_the_daemon_is_back(
        gateway, admin, create, end, method, target):
    create(domain("hello", log=False), "")
    use_all_connections(gateway)
    libvirtd(end)
    libvirtd("start")
    gateway.wait_ready()
    for _ in range(12):
        answer = admin.request(method, target)
        assert answer.status == 200, answer


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_change_after_a_restart_of_the_daemon_is_made_once(gateway, admin, create, end):
    create(domain("hello"))
    use_all_connections(gateway)
    libvirtd(end)
    libvirtd("start")
    gateway.wait_ready()
    answer = admin.post("/v1/vms/hello/suspend")
    assert (answer.status, answer.json.get("changed")) == (200, True), answer
    assert virsh("domstate", "hello") == "paused"
    libvirtd(end)
    libvirtd("start")
    gateway.wait_ready()
    assert admin.post("/v1/vms", xml=domain("second")).status == 201
    assert "second" in virsh("list", "--all", "--name").split()


def test_a_change_answered_with_503_is_not_made_later(gateway, admin, create):
    create(domain("hello"))
    libvirtd("kill")
    assert admin.post("/v1/vms/hello/stop", json={"mode": "kill"}).status == 503
    assert admin.post("/vm?xmlName=helloworld.xml").status == 503
    libvirtd("start")
    gateway.wait_ready()
    assert admin.get("/v1/vms/hello").json["state"] == "running"
    assert names_in(admin.get("/v1/vms")) == ["hello"]


def test_requests_are_200_or_503_while_the_daemon_restarts(gateway, create):
    create(domain("hello"))
    stop = time.monotonic() + 60 * PATIENCE
    answers = []

    def read(_):
        seen = []
        with gateway.client("viewer") as client:
            while time.monotonic() < stop:
                answer, seconds = timed(lambda: client.get("/v1/vms"))
                seen.append((answer.status, answer.code if answer.status != 200 else "", seconds))
        return seen

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(read, i) for i in range(8)]
        try:
            for _ in range(3):
                libvirtd("kill")
                libvirtd("start")
        finally:
            stop = 0
        for reader in running:
            answers += reader.result()
    assert {a[:2] for a in answers} <= {(200, ""), (503, "hypervisor_unavailable")}
    assert max(a[2] for a in answers) < 5 * PATIENCE
    gateway.wait_ready()


def test_requests_under_way_at_sigterm_are_finished_and_answered(new_gateway):
    gateway = new_gateway(uri="qemu:///system", accel="tcg")

    def create():
        with gateway.client("admin") as client:
            return client.post("/v1/vms?start=1", xml=domain("last"))

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(create)
        wait_until(lambda: running.done() or Path("/run/libvirt/qemu/last.pid").exists(),
                   "QEMU is being started")
        gateway.virtgate.terminate()
        answer = running.result()
    assert gateway.virtgate.wait(40 * PATIENCE) == 0
    assert answer.status == 201, answer
    assert virsh("domstate", "last") == "running"


# QEMU dies


def test_a_vm_whose_qemu_was_killed_is_shown_as_crashed(admin, create):
    create(domain("kept"))
    create(domain("passing"), "?persistent=0")
    for name in "kept", "passing":
        os.kill(qemu_pid(name), signal.SIGKILL)
    wait_until(lambda: admin.get("/v1/vms/passing").status == 404, "the transient one is gone")
    wait_until(lambda: admin.get("/v1/vms/kept").json["state"] != "running", "libvirt has noticed")
    vm = admin.get("/v1/vms/kept").json
    assert (vm["state"], vm["reason"]) == ("shutoff", "crashed")
    assert admin.get("/v1/vms").json["items"] == [as_listed(vm)]
    assert names_in(admin.get("/vms")) == []
    assert admin.post("/v1/vms/kept/suspend").code == "wrong_state"
    assert admin.post("/v1/vms/kept/start").json["state"] == "running"


def test_a_vm_whose_qemu_died_while_the_daemon_was_down_is_shown_as_shut_off(gateway, admin, create):
    create(domain("kept"))
    pid = qemu_pid("kept")
    libvirtd("kill")
    os.kill(pid, signal.SIGKILL)
    libvirtd("start")
    gateway.wait_ready()
    wait_until(lambda: admin.get("/v1/vms/kept").json["state"] == "shutoff", "libvirt has noticed")
    assert admin.post("/v1/vms/kept/start").json["changed"] is True
