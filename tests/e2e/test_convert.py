# SPDX-License-Identifier: MIT
"""The conversion of QEMU command lines, through the API and by the command."""

import json
import re
import shlex
import subprocess
import xml.etree.ElementTree as ET

import pytest
from gateway import BINARY, REPO

ROUTE = "/v1/convert/qemu-argv"


def read_cases():
    """The paragraphs of tests/corpus/qemu-argv: a command line, and key -> list of values."""
    cases = []
    for line in (REPO / "tests/corpus/qemu-argv").read_text().splitlines():
        key, _, rest = line.partition(" ")
        if line.startswith("$ "):
            cases.append((rest, {}))
        elif line.startswith("  "):
            cases[-1] = (cases[-1][0] + "\n" + line, {})
        elif line and not line.startswith("#"):
            cases[-1][1].setdefault(key, []).append(rest)
    return cases


CASES = read_cases()
GOOD = [(line, wanted) for line, wanted in CASES if "error" not in wanted]


def at_gateway(gateway, line, wanted):
    """A case, with the gateway's own directory of shares instead of the default."""
    def moved(text):
        return text.replace("/var/lib/libvirt/fs", gateway.settings["shares"])

    return moved(line), {key: [*map(moved, values)] for key, values in wanted.items()}


def convert(client, line):
    return client.post(ROUTE, body=line, type="text/plain")


def options(answer, outcome):
    return [o["option"] for o in answer.json["options"] if o["outcome"] == outcome]


@pytest.fixture(scope="module")
def command(gateway):
    """Runs the command with the settings of the gateway."""
    def command(*arguments, input=""):
        return subprocess.run([BINARY, "convert", "qemu-argv", *arguments], input=input, text=True,
                              capture_output=True, cwd=REPO, check=False,
                              env={**gateway.environment(), "VIRTGATE_URI": "x"})
    return command


def test_there_are_enough_command_lines():
    assert len(CASES) >= 60 and len({line for line, _ in CASES}) == len(CASES)


@pytest.mark.parametrize("line, wanted", CASES, ids=lambda x: x[:60] if isinstance(x, str) else "")
def test_a_command_line_is_converted_as_the_corpus_says(gateway, viewer, line, wanted):
    line, wanted = at_gateway(gateway, line, wanted)
    answer = convert(viewer, line)
    if "error" in wanted:
        assert (answer.status, answer.code) == (422, "invalid_spec"), answer
        assert [answer.json["detail"]] == wanted["error"]
        return
    assert answer.status == 200, answer
    assert [json.dumps(answer.json["spec"], separators=(",", ":"))] == wanted["spec"]
    assert [", ".join(answer.json["spec_lacks"])] == wanted.get("lacks", [""])
    for outcome in "dropped", "unmapped":
        assert options(answer, outcome) == wanted.get(outcome, []), answer
    assert answer.json["unmapped"] == wanted.get("unmapped", [])
    assert [v["path"] for v in answer.json["violations"]] == wanted.get("refused", [])


@pytest.mark.parametrize("line, wanted", GOOD, ids=lambda x: x[:60] if isinstance(x, str) else "")
def test_every_option_ends_in_exactly_one_outcome(viewer, line, wanted):
    words = shlex.split(line, comments=True)
    whole = [o["option"] for o in convert(viewer, line).json["options"]]
    for i, word in enumerate(words):
        if not word.startswith("-") or word in ("-", "--"):
            continue
        name = "-" + word.lstrip("-")
        value = words[i + 1] if i + 1 < len(words) and not words[i + 1].startswith("-") else None
        written = f"{name} {value}" if value else name
        assert whole.count(written) + whole.count(name) >= words.count(word) > 0 or \
            sum(w.startswith(name) for w in whole) >= 1, (written, whole)
        assert sum(w in (written, name) for w in whole) <= words.count(word), (written, whole)


@pytest.mark.parametrize("line, wanted", GOOD[::4], ids=lambda x: x[:60] if isinstance(x, str) else "")
def test_text_json_and_the_command_give_the_same_result(viewer, command, line, wanted):
    words = shlex.split(line, comments=True)
    by_text = convert(viewer, line).json
    by_words = viewer.post(ROUTE, json={"argv": words}).json
    for key in "spec", "spec_lacks", "options", "unmapped", "violations":
        assert by_text[key] == by_words[key]
    run = command("--spec", "--", *words)
    assert json.loads(run.stdout) == by_text["spec"], run
    assert run.returncode == (1 if by_text["violations"] else 0), run
    assert command("--spec", input=line).stdout == run.stdout


@pytest.mark.parametrize("line, wanted", GOOD, ids=lambda x: x[:60] if isinstance(x, str) else "")
def test_a_dry_run_accepts_the_result_of_a_conversion(admin, line, wanted):
    made = convert(admin, line).json
    if made["violations"] or "aarch64" in line:
        assert admin.post("/v1/vms?dry_run=1", xml=made["xml"]).status == 422 or "aarch64" in line
        return
    for body in {"xml": made["xml"]}, made["spec"]:
        answer = admin.post("/v1/vms?dry_run=1", json=body)
        assert answer.status == 200, answer
        assert "schema" not in {f["check"] for f in answer.json["findings"]}, answer


def test_a_vm_can_be_created_from_the_result(admin):
    made = convert(admin, "qemu-system-x86_64 -kernel hello_qemu-x86_64 -m 4 -nographic").json
    answer = admin.post("/v1/vms", json={**made["spec"], "start": True})
    assert (answer.status, answer.json["state"], answer.json["memory_kib"]) == (201, "running", 4096)
    assert admin.delete(answer.location).status == 200


def test_the_result_has_no_trace_of_an_option_that_is_not_mapped(viewer):
    marks = {"bios": "B1", "fw_cfg": "name=B2,file=/B2", "global": "B3.x=y", "spice": "port=5930,addr=B4",
             "device": "vfio-pci,host=B5", "chardev": "socket,id=x,path=/B6", "qmp": "unix:/B7,server",
             "netdev": "socket,id=y,connect=B8:1", "object": "memory-backend-file,id=z,mem-path=/B9",
             "runas": "B10", "incoming": "tcp:B11:1", "unknown": "B12", "cpu": "host,+B13",
             "m": "64,slots=B14"}
    line = "qemu-system-x86_64 -kernel app " + " ".join(f"-{o} {v}" for o, v in marks.items())
    made = convert(viewer, line).json
    assert not re.search(r"B\d", made["xml"]) and not re.search(r"B\d", json.dumps(made["spec"]))
    told = json.dumps([o for o in made["options"] if o["outcome"] != "mapped" or "B1" in o["option"]])
    assert all(re.search(rf"B{n}\b", told) for n in range(1, 15)), told


@pytest.mark.parametrize("body, kind, status, said", [
    ("", "text/plain", 400, "command line as text"), (b"\xff", "text/plain", 422, "UTF-8"),
    ("a\0b", "text/plain", 422, "UTF-8"), ("x" * 66000, "text/plain", 413, "65536"),
    ("qemu-system-x86_64 " + "-a " * 600, "text/plain", 422, "more than 512 words"),
    ("-m " + ",".join(f"a{i}=1" for i in range(60)), "text/plain", 422, "more than 48 properties"),
    ("-drive file=a " * 20, "text/plain", 422, "more than 16 disks"),
    ('{"argv":["qemu-system-x86_64",1]}', "application/json", 400, "argv[1]: must be a string"),
    ('{"argv":"x"}', "application/json", 400, "argv: must be an array"),
    ('{"argv":[]}', "application/json", 422, "no qemu-system"),
    ("{}", "application/json", 400, "command line as text"),
    ("<x/>", "application/xml", 415, "application/json or text/plain"),
    ("-kernel app -append " + "x" * 5000, "text/plain", 422, "cmdline: 5000 bytes"),
    ("-kernel app -m 2T", "text/plain", 422, "memory_kib: 2147483648 is not from"),
])
def test_a_body_without_a_command_line_is_refused(viewer, body, kind, status, said):
    answer = viewer.post(ROUTE, body=body, type=kind)
    assert answer.status == status and said in answer.json["detail"], answer


def test_the_command_prints_domain_xml_and_the_outcome_of_each_option(command):
    run = command("--", "qemu-system-x86_64", "-kernel", "app", "-bios", "x")
    assert run.returncode == 0 and ET.fromstring(run.stdout).findtext("name") == "app", run
    assert "mapped   -kernel app: kernel\n" in run.stderr
    assert "unmapped -bios x: virtgate does not allow other firmware" in run.stderr
    run = command("--", "qemu-system-x86_64", "-kernel", "/etc/shadow")
    assert run.returncode == 1 and "refused  /domain/os/kernel '/etc/shadow'" in run.stderr, run
    run = command("ls")
    assert run.returncode == 1 and not run.stdout and "no qemu-system" in run.stderr, run
    for arguments in ["convert"], ["convert", "x"]:
        run = subprocess.run([BINARY, *arguments], capture_output=True, text=True, cwd=REPO, check=False)
        assert run.returncode == 1 and "convert qemu-argv" in run.stderr, run


def test_the_docs_have_the_table_that_the_command_prints(command):
    table = command("--options").stdout
    assert table in (REPO / "docs/qemu-to-libvirt.md").read_text(), (
        "docs/qemu-to-libvirt.md: put in what virtgate convert qemu-argv --options prints")
