# SPDX-License-Identifier: MIT
"""A QEMU command line is converted to a domain, which libvirt converts to a QEMU command line
again.

The converter reads both command lines, so that the tests compare specs and not the options' text.
"""

import re

import pytest
from test_convert import convert
from test_policy import gateway, set_files  # noqa: F401
from test_qemu import IMAGES, make_disk, no_vm_stays, virsh  # noqa: F401

pytestmark = pytest.mark.qemu

SHARES = "/var/lib/libvirt/fs"
LINES = {
    "unikernel": "qemu-system-x86_64 -name uni -kernel hello_qemu-x86_64 -m 4 -append 'a=b c,d' -nographic",
    "network": "qemu-system-x86_64 -name net -kernel hello_qemu-x86_64 -m 8M -smp 2 -no-acpi -vga none -display none "
               "-netdev bridge,id=n,br=virbr0 -device virtio-net-pci,netdev=n,mac=52:54:00:00:00:01",
    "share": "qemu-system-x86_64 -name share -kernel nginx_qemu-x86_64 -m 16M -vnc :0 "
             "-netdev tap,id=t -device virtio-net,netdev=t,mac=52:54:00:00:00:02 "
             "-fsdev local,id=f,path=fs0,security_model=none -device virtio-9p-pci,fsdev=f,mount_tag=fs0",
    "disks": "qemu-system-x86_64 -name disks -m 64 -drive file=linux.qcow2,format=qcow2,if=virtio,cache=none,"
             "discard=unmap -drive file=d.img,format=raw,if=ide,readonly=on,media=cdrom -boot d -vnc :0",
    "blockdevs": "qemu-system-x86_64 -name blockdevs -machine q35 -m 64 -blockdev driver=qcow2,node-name=q,file.driver=file,"
                 "file.filename=linux.qcow2 -device virtio-blk-pci,drive=q,bootindex=0,serial=S1 -display none",
    "log": "qemu-system-x86_64 -name log -kernel ticker_qemu-x86_64 -m 2 -serial file:serial-log.log -display none",
    "rest": "qemu-system-x86_64 -name rest -machine q35 -cpu max -m 128 -smp cpus=4,sockets=1,cores=2,threads=2 "
            "-uuid c7a5fdbd-cdaf-9455-926a-d65c16db1809 -object rng-random,id=r,filename=/dev/urandom "
            "-device virtio-rng-pci,rng=r -device usb-tablet -device i6300esb -rtc base=localtime -vga std -vnc :1 "
            "-device virtio-serial -device virtserialport,name=org.qemu.guest_agent.0 -kernel hello_qemu-x86_64",
}


def absolute(spec):
    """The spec with absolute paths, as in libvirt's command line."""
    spec = {**spec}
    for key in "kernel", "initrd":
        if key in spec:
            spec[key] = f"{IMAGES}/{spec[key]}"
    spec["disks"] = [{**d, "source": f"{IMAGES}/{d['source']}"} for d in spec["disks"]]
    spec["filesystems"] = [{**f, "source": f"{SHARES}/{f['source']}"} for f in spec["filesystems"]]
    return spec


@pytest.mark.parametrize("name", LINES)
def test_libvirts_command_line_converts_to_the_same_spec(admin, name):
    first = convert(admin, LINES[name])
    assert first.status == 200 and first.json["unmapped"] == [] == first.json["violations"], first
    dry = admin.post("/v1/vms?dry_run=1&start=1", xml=first.json["xml"])
    assert dry.status == 200 and dry.json["ok"] is True, dry
    second = convert(admin, dry.json["command_line"])
    assert second.status == 200, second

    wanted, got = absolute(first.json["spec"]), second.json["spec"]
    wanted.setdefault("vcpus", 1)
    for disk in wanted["disks"]:
        disk.setdefault("device", "disk")
        if disk["device"] == "cdrom":
            disk["readonly"] = True
    for disk in got["disks"]:
        disk.setdefault("device", "disk")
        if "-boot" in LINES[name]:  # libvirt numbers the devices instead
            disk.pop("boot_order", None)
        if "boot_order" in disk:  # QEMU counts from 0 and libvirt from 1; only the order matters
            disk["boot_order"] -= 1
    key = lambda disk: disk["source"]  # noqa: E731
    wanted["disks"].sort(key=key)
    got["disks"].sort(key=key)
    assert got == wanted
    # Elements that have no field in a spec.
    told = {"boot", "uuid", "disk driver"} | ({"video"} if "-vga none" in LINES[name] else set())
    for what in set(first.json["spec_lacks"]) - told:
        assert what in second.json["spec_lacks"], (what, second.json["spec_lacks"])
    line = dry.json["command_line"]
    for pattern in {"rest": ["-uuid c7a5fdbd",
                             "-smp 4,sockets=1,(dies=1,)?(clusters=1,)?cores=2,threads=2",
                             "-cpu max", "-machine pc-q35-", "base=localtime", "i6300esb", "usb-tablet"],
                    "disks": ['"cache":{"direct":true', '"discard":"unmap"'],
                    "network": ["(?!.*vga)(?!.*VGA)"],
                    "blockdevs": ['"serial":"S1"', '"bootindex":1']}.get(name, []):
        assert re.search(pattern, line), (pattern, line)
    # The VM starts.
    answer = admin.post("/v1/vms?start=1", xml=first.json["xml"])
    assert answer.status == 201 and answer.json["state"] == "running", answer
    assert virsh("domstate", first.json["spec"]["name"]) == "running"
