# SPDX-License-Identifier: MIT
"""Requests that libvirt refuses, and the answers that clients must get with either driver.

libvirt's drivers report the same error by different numbers (virErrorNumber), and one number means
different errors. Each case names the numbers that it covers, and its status and code are compared.
test_errors.py runs the cases on the test driver, test_qemu_errors.py on QEMU.
"""

from collections import namedtuple

UUID = "1d3f5d0e-6f1a-4c67-9d6b-0a1f4d6b9c11"
IMAGE = "<driver name='qemu' type='raw'/><source file='there.img'/>"  # test_qemu_errors.py makes it
QCOW2 = "<driver name='qemu' type='qcow2'/><source file='{image}'/>"


def xml(inside="", name="{name}", memory="2048", vcpu="<vcpu>1</vcpu>", uuid="",
        os="<type>hvm</type><kernel>hello_qemu-x86_64</kernel>", attrs="", more=""):
    uuid = f"<uuid>{uuid}</uuid>" if uuid else ""
    name = f"<name>{name}</name>" if name is not None else ""
    return (f"<domain type='kvm'>{name}{uuid}<memory unit='KiB'>{memory}</memory>{vcpu}"
            f"<os{attrs}>{os}</os>{more}<devices>{inside}</devices></domain>")


def disk(dev, bus, device="disk", more="", source=IMAGE):
    return f"<disk type='file' device='{device}'>{source}<target dev='{dev}' bus='{bus}'/>{more}</disk>"


def empty(dev, bus, device):
    return disk(dev, bus, device, source="")


VMS, AT = "/v1/vms", "/v1/vms/{name}"
START, PASSING = VMS + "?start=1", VMS + "?persistent=0"

# rows: virErrorNumbers. before: the VM's state (none, off, running, paused or transient), and
# requests that prepare the case. code: None means no error. test: the answer with the test driver,
# where that driver differs from QEMU's.
Case = namedtuple("Case", "what rows before request status code test", defaults=[None])


KILL = {"json": {"mode": "kill"}}


def act(before, action, status, code, rows="55 1", **how):
    return Case(f"{action} of a VM that is {before}", rows, [before], ("POST", f"{AT}/{action}"),
                status, code, **how)


def wrong(what, rows, document, code, status=422, target=VMS, **how):
    return Case(what, rows, ["none"], ("POST", target, {"xml": document}), status, code, **how)


# So that what is too large reaches libvirt.
LIMITS = {"max_memory": 1 << 20, "max_vcpus": 0}

# The test driver starts any VM, as nothing really runs, and has no limits of a machine.
ANYTHING = (201, None)
# libvirt 9.0.0 leaks the disk's name when it refuses one (virDomainSnapshotDiskDefParseXML), and the
# test driver is in virtgate's own process, where the sanitizers see it.
LEAKS = "not asked"

CASES = [
    # Actions: 200 if the VM has the target state already, 409 if it cannot be reached.
    act("running", "start", 200, None), act("running", "resume", 200, None),
    act("paused", "suspend", 200, None), act("off", "stop", 200, None),
    act("paused", "start", 409, "wrong_state"), act("off", "suspend", 409, "wrong_state"),
    act("off", "resume", 409, "wrong_state"), act("off", "reboot", 409, "wrong_state"),
    act("off", "reset", 409, "wrong_state"), act("paused", "reboot", 409, "wrong_state"),
    act("running", "reset", 200, None),
    act("running", "stop", 409, "cannot_shut_down"), act("running", "reboot", 409, "cannot_shut_down"),
    act("paused", "stop", 409, "cannot_shut_down"), act("off", "save", 409, "wrong_state"),
    act("transient", "save", 409, "wrong_state"), act("running", "save", 200, None),
    Case("stop by an agent that is not there", "-", ["running"],
         ("POST", f"{AT}/stop", {"json": {"mode": "agent"}}), 409, "agent_unavailable"),
    Case("stop of a transient VM, twice", "42", ["transient", ("POST", f"{AT}/stop", KILL)],
         ("POST", f"{AT}/stop", KILL), 404, "vm_not_found"),
    Case("replacing the definition of a transient VM", "55", ["transient"],
         ("PUT", f"{AT}/xml", {"xml": xml()}), 409, "wrong_state"),
    Case("replacing what is not there", "42", ["none"], ("PUT", f"{AT}/xml", {"xml": xml()}),
         404, "vm_not_found"),
    Case("replacing by what is impossible", "1", ["off"],
         ("PUT", f"{AT}/xml", {"xml": xml(disk("sda", "sata", "floppy"))}), 422, "invalid_xml"),
    Case("deletion of a running VM", "55", ["running"], ("DELETE", AT), 200, None),
    Case("deletion of a VM that is off, with a snapshot", "55",
         ["off", ("POST", START, {"xml": xml(name="{name}-x")}), ("DELETE", AT + "-x")],
         ("DELETE", AT), 200, None),
    Case("deletion twice", "42", ["off", ("DELETE", AT)], ("DELETE", AT), 404, "vm_not_found"),

    # Names and uuids that are taken.
    *[Case(f"creation at {target} under the name of a VM that is {before}", "9 55", [before],
           ("POST", target, {"xml": xml()}), 409, "already_exists")
      for before in ("off", "running", "transient") for target in (VMS, START, PASSING, "/vm")],
    *[Case(f"creation at {target} with the uuid of a VM that is {before}", "9 55", [before],
           ("POST", target, {"xml": xml(name="{name}-b", uuid="{uuid}")}), 409, "already_exists")
      for before in ("off", "running", "transient") for target in (VMS, START, PASSING, "/vm")],

    # Things that do not exist.
    *[Case(f"{method} {path.format(name=ref)} of no VM", "42", ["none"], (method, path.format(name=ref)), 404,
           "vm_not_found")
      for ref in ("{name}", UUID) for method, path in [
          ("GET", AT), ("GET", f"{AT}/xml"), ("POST", f"{AT}/start"), ("POST", f"{AT}/stop"),
          ("POST", "/vm/suspend?name={name}"), ("DELETE", AT), ("DELETE", "/vm?name={name}"),
          ("GET", f"{AT}/snapshots"), ("POST", f"{AT}/snapshots"),
          ("POST", "/vm/snapshot/revert?name={name}")]],
    *[Case(f"{method} {path} of no snapshot", "72", ["running"], (method, path), 404,
           "snapshot_not_found")
      for method, path in [
          ("GET", f"{AT}/snapshots/none"), ("DELETE", f"{AT}/snapshots/none"),
          ("DELETE", f"{AT}/snapshots/none?children=1&metadata_only=1"),
          ("POST", f"{AT}/snapshots/none/revert"), ("POST", "/vm/snapshot/revert?name={name}")]],
    Case("a template that is not there", "-", ["none"], ("POST", "/vm?xmlName=none"), 404,
         "template_not_found"),
    wrong("a network that is not there", "43", xml(
        "<interface type='network'><source network='default'/></interface>"), "unknown_network",
        target=START, test=ANYTHING),

    # Snapshots.
    Case("a snapshot's name twice", "9",
         ["running with a disk", ("POST", f"{AT}/snapshots", {"json": {"name": "a"}})],
         ("POST", f"{AT}/snapshots", {"json": {"name": "a"}}), 409, "already_exists"),
    Case("deletion of a snapshot twice", "72",
         ["running with a disk", ("POST", f"{AT}/snapshots", {"json": {"name": "a"}}),
          ("DELETE", f"{AT}/snapshots/a")],
         ("DELETE", f"{AT}/snapshots/a"), 404, "snapshot_not_found"),
    *[Case(f"a snapshot without a disk of a VM that is {before}", "67", [before],
           ("POST", f"{AT}/snapshots"), 409, "snapshot_unsupported", test=ANYTHING)
      for before in ("off", "running", "transient")],
    Case("a snapshot of disks without memory, of a running VM", "67", ["running with a disk"],
         ("POST", f"{AT}/snapshots", {"xml": "<domainsnapshot><memory snapshot='no'/></domainsnapshot>"}),
         409, "snapshot_unsupported"),
    Case("a snapshot without one of the disks", "67", ["running with a disk"],
         ("POST", f"{AT}/snapshots", {"xml": "<domainsnapshot><disks><disk name='vda' snapshot='no'/>"
                                             "</disks></domainsnapshot>"}),
         409, "snapshot_unsupported", LEAKS),
    Case("a snapshot with the memory of a VM that is off", "67", ["off with a disk"],
         ("POST", f"{AT}/snapshots", {"xml": "<domainsnapshot><memory snapshot='internal'/>"
                                             "</domainsnapshot>"}), 409, "snapshot_unsupported"),
    Case("a snapshot of a disk that is not there", "67", ["running with a disk"],
         ("POST", f"{AT}/snapshots", {"xml": "<domainsnapshot><disks><disk name='vdz' "
                                             "snapshot='internal'/></disks></domainsnapshot>"}),
         409, "snapshot_unsupported", LEAKS),
    Case("a snapshot's name with a slash", "35", ["off"],
         ("POST", f"{AT}/snapshots", {"json": {"name": "a/b"}}), 422, "invalid_spec"),
    Case("a snapshot with files", "38", ["off"],
         ("POST", f"{AT}/snapshots", {"xml": "<domainsnapshot><memory snapshot='external' "
                                             "file='/m'/></domainsnapshot>"}), 422, "policy_denied"),
    Case("a snapshot in broken XML", "35", ["off"],
         ("POST", f"{AT}/snapshots", {"xml": "<domainsnapshot>"}), 422, "invalid_xml"),
    Case("a snapshot of another root", "27", ["off"],
         ("POST", f"{AT}/snapshots", {"xml": "<domain/>"}), 422, "invalid_xml"),
    Case("a revert to a state that a snapshot has none of", "8", ["off"],
         ("POST", f"{AT}/snapshots/a/revert", {"json": {"state": "shutoff"}}), 400, "bad_request"),

    # Documents.
    wrong("broken XML", "35", "<domain>", "invalid_xml"),
    wrong("XML with entities", "35", "<!DOCTYPE x [<!ENTITY a 'b'>]>" + xml(), "invalid_xml"),
    wrong("a control character", "35", xml(name="a\x01b"), "invalid_xml"),
    wrong("another root", "27", "<network/>", "invalid_xml"),
    wrong("an element that there is not", "92", xml("<memoryy/>"), "policy_denied"),
    wrong("a model that the schema does not know", "92",
          xml("<controller type='scsi' model='none'/>"), "invalid_xml"),
    wrong("a channel without its target", "92", xml("<channel type='unix'/>"), "invalid_xml"),
    wrong("no name", "21", xml(name=None), "invalid_spec"),
    *[wrong(f"the name {name[:10]!r}", "27 35 38", xml(name=name), "invalid_spec")
      for name in ("a/b", "..", "-h", "two words", "x" * 256)],
    wrong("a name that is a uuid", "-", xml(name=UUID), "invalid_spec"),
    wrong("a malformed uuid", "1", xml(uuid="1-2-3"), "invalid_spec"),
    wrong("no memory", "27", xml(memory="0"), "policy_denied"),
    wrong("a memory of words", "27", xml(memory="much"), "policy_denied"),
    wrong("0 vcpus", "92", xml(vcpu="<vcpu>0</vcpu>"), "policy_denied"),
    wrong("more vcpus than there may be", "67", xml(vcpu="<vcpu>99999</vcpu>"), "policy_denied"),
    wrong("more vcpus than the machine has", "67", xml(vcpu="<vcpu>256</vcpu>"), "unsupported",
          test=ANYTHING),
    wrong("more vcpus now than at most", "67", xml(vcpu="<vcpu current='3'>2</vcpu>"), "unsupported"),
    wrong("an architecture without QEMU", "67", xml(os="<type arch='riscv64'>hvm</type>"),
          "unsupported", test=ANYTHING),
    wrong("an unknown machine", "27", xml(os="<type machine='none'>hvm</type>"), "invalid_xml",
          test=ANYTHING),
    wrong("one target twice", "27", xml(disk("vda", "virtio") * 2), "invalid_xml"),
    wrong("one boot order twice", "67", xml(
        disk("vda", "virtio", more="<boot order='1'/>") + disk("vdb", "virtio", more="<boot order='1'/>"),
        os="<type>hvm</type>"), "unsupported"),
    *[wrong(f"a {device} {dev} on {bus} at {target}", "1", xml(disk(dev, bus, device)), "invalid_xml",
            target=target)
      for device, dev, bus in [("floppy", "sda", "sata"), ("floppy", "fda", "virtio"),
                               ("floppy", "hda", "fdc"), ("cdrom", "sda", "fdc"), ("disk", "fda", "fdc"),
                               ("disk", "fda", "virtio")]
      for target in (VMS, PASSING)],
    wrong("a cdrom on virtio", "67", xml(empty("vda", "virtio", "cdrom")), "unsupported",
          test=ANYTHING),
    wrong("a read-only IDE disk", "67", xml(disk("hda", "ide", more="<readonly/>")), "unsupported",
          test=ANYTHING),
    wrong("five IDE disks", "1", xml("".join(empty(f"hd{c}", "ide", "cdrom") for c in "abcde")),
          "unsupported", test=ANYTHING),
    wrong("UEFI without ACPI", "67", xml(attrs=" firmware='efi'", os="<type>hvm</type>"),
          "unsupported", test=ANYTHING),

    # VMs that cannot start, by each route that starts one.
    *[Case(f"{what} at {target}", rows, ["none"], ("POST", target, {"xml": document}), status, code,
           ANYTHING)
      for target in (START, PASSING, "/vm") for what, rows, document, status, code in [
          ("no such kernel", "38", xml(os="<type>hvm</type><kernel>none</kernel>"), 422, "not_bootable"),
          ("no such disk", "38", xml(disk("vda", "virtio")).replace("there", "not-there"), 422, "not_bootable"),
          ("more memory than the host has", "1", xml(memory=1 << 30), 409, "start_failed")]],
    wrong("two serial ports of one number", "1", xml(
        "<serial type='pty'><target port='0'/></serial>" * 2), "start_failed", 409, START,
        test=ANYTHING),

    # Requests that are refused before libvirt sees them.
    *[Case(f"a spec with {what}", "-", ["none"], ("POST", VMS, {"json": {"name": "{name}", **spec}}),
           status, code) for what, spec, status, code in [
        ("0 vcpus", {"memory_kib": 2048, "vcpus": 0}, 400, "bad_request"),
        ("too much memory", {"memory_kib": 1 << 40}, 400, "bad_request"),
        ("no memory", {}, 422, "invalid_spec"),
        ("an unknown field", {"memory_kib": 2048, "colour": "red"}, 400, "unknown_parameter"),
        ("a bad name", {"memory_kib": 2048, "name": "a/b"}, 422, "invalid_spec"),
        ("an unknown bridge", {"memory_kib": 2048, "interfaces": [{"bridge": "none"}]}, 422,
         "policy_denied"),
    ]],
    Case("a body that is too large", "39", ["none"],
         ("POST", VMS, {"body": b" " * (1 << 19), "type": "application/xml"}), 413, "body_too_large"),
    wrong("XML that is too large", "39", xml(more=" " * (1 << 17)), "body_too_large", 413),
    Case("a body of no known type", "-", ["none"],
         ("POST", VMS, {"body": b"x", "type": "text/html"}), 415, "unsupported_media_type"),
    Case("a tag that the VM has not", "-", ["off"],
         ("POST", f"{AT}/start", {"headers": 'If-Match: "x"\r\n'}), 412, "precondition_failed"),
]

# Error numbers that no request of today's API leads to, and why.
NOT_PROVOKED = {
    "3": "NO_SUPPORT: both drivers know all that the API asks for",
    "2": "NO_MEMORY: the host's memory would have to run out",
    "4 5 6 30 38/7": "no connection: only with a daemon that can be stopped; test_qemu.py kills it",
    "7": "INVALID_DOMAIN: a handle that we mixed up",
    "16-24 44": "parts of XML that are missing: 21 stands for them; the schema is before the others",
    "28 37 106": "*_EXIST: of drivers and objects that are not used here",
    "29 88": "read-only or filtered connections: there is no setting for either",
    "49 50": "storage pools and volumes: the policy refuses disks of type volume",
    "68 87 83": "BUSY and TIMEOUT: a stuck QEMU for 30 s; test_load.py and test_drain.py have the gate's",
    "74": "ARGUMENT_UNSUPPORTED: of the guest agent and of groups of statistics",
    "77": "REVERT_RISKY: 9.0.0 says it of a snapshot without a domain alone, which none has any more",
    "78": "OPERATION_ABORTED: there is no route that aborts",
    "84": "OPERATION_UNSUPPORTED: of external snapshots, which the API does not make; test_qemu_snaps.py",
    "86 97": "the guest agent: not asked yet",
    "90 53 62 66 80 99 101 103 104 107": "networks, pools, devices: the API does not touch them",
    "69 81 91 93": "migration",
    "54 59 63 70 75 76 82 85 89 94-98 100 102 105 108-110": "of other drivers and hook scripts",
}


def fill(value, names):
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, dict):
        return {k: fill(v, names) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(fill(v, names) for v in value)
    return value


def send(client, request, names):
    method, target, *how = fill(request, names)
    return client.request(method, target, **(how[0] if how else {}))


def prepare(client, before, name, image):
    """Brings the VM into its state; returns the values of the placeholders in requests."""
    names = {"name": name, "uuid": UUID}
    state, with_disk, _ = before[0].partition(" with a disk")
    devices = disk("vda", "virtio", source=fill(QCOW2, {"image": image})) if with_disk else ""
    query = {"none": None, "off": "", "transient": "?persistent=0"}.get(state, "?start=1")
    if query is not None:
        answer = client.post(VMS + query, xml=fill(xml(devices), names))
        assert answer.status == 201, answer
        names["uuid"] = answer.json["uuid"]
    if state == "paused":
        assert client.post(fill(f"{AT}/suspend", names)).status == 200
    for request in before[1:]:
        answer = send(client, request, names)
        assert answer.status < 300, (request, answer)
    return names


def check(client, case, driver, name, image="none.qcow2"):
    names = prepare(client, case.before, name, image)
    count = len(client.get(VMS).json["items"])
    try:
        answer = send(client, case.request, names)
        code = answer.code if answer.status >= 400 else None
        wanted = case.test if case.test and driver == "test" else (case.status, case.code)
        assert (answer.status, code) == wanted, answer
        if answer.status >= 400:
            assert len(client.get(VMS).json["items"]) == count, answer
        if code == "wrong_state":
            state = {"off": "shutoff", "transient": "running"}.get(case.before[0], case.before[0])
            assert answer.json["state"] == state, answer
    finally:
        for vm in name, f"{name}-b":
            client.delete(f"{VMS}/{vm}")


def table():
    """The numbers that the cases cover, and those that they do not."""
    covered = {}
    for case in CASES:
        for row in case.rows.split():
            covered.setdefault(row, []).append(case)
    lines = [f"{row:>4}: {len(cases)} cases, {sorted({c.code or 'no error' for c in cases})}"
             for row, cases in sorted(covered.items())]
    return "\n".join(lines + [f"not {rows}: {why}" for rows, why in NOT_PROVOKED.items()])
