# SPDX-License-Identifier: MIT
"""docs/api.md agrees with the program: it names everything that the OpenAPI document and the table
of errors have, and its cookbook works."""

import json
import re
import subprocess

import openapi
import pytest
from gateway import ERRORS, PATIENCE, REPO, running_gateway

TEXT = (REPO / "docs/api.md").read_text()


def section(title):
    """The text below a heading of the second level."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)[1]


def rows(text):
    """The cells of each row of the tables in a text."""
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").replace("\\|", " ").split("|")]


# Names


CODE = " ".join(re.findall(r"^```.*?^```|`[^`\n]+`", TEXT, re.M | re.S)
                + [cells[0] for cells in rows(section("Routes"))])
NAMED = set(re.findall(r"\w+", CODE))


def test_the_table_of_routes_is_the_program_s():
    assert openapi.route_table() in section("Routes"), "run: make docs"


def test_each_error_code_is_documented_with_its_status():
    documented = set()
    for statuses, codes, *_ in rows(section("Errors")):
        for code in re.findall(r"\w+", codes):
            if statuses[0].isdigit() and code in ERRORS:
                documented.add(code)
                assert str(ERRORS[code][0]) in statuses.split(", "), code
    assert documented == set(ERRORS)


def members(schema, seen=()):
    """The names of all members in a schema, at any depth."""
    if "$ref" in schema:
        if schema["$ref"] in seen:
            return
        seen = (*seen, schema["$ref"])
    schema = openapi.resolve(schema)
    for name, of in schema.get("properties", {}).items():
        yield name
        yield from members(of, seen)
    for part in [*schema.get("allOf", []), *schema.get("anyOf", [])]:
        yield from members(part, seen)
    if "items" in schema:
        yield from members(schema["items"], seen)


def names_of(operation):
    """(where, name) of each parameter and member of an operation's requests and answers."""
    for parameter in map(openapi.resolve, operation["parameters"]):
        if parameter["in"] == "query":
            yield "query", parameter["name"]
    for about in operation.get("requestBody", {}).get("content", {}).values():
        yield from (("body", name) for name in members(about["schema"]))
    for status, response in operation["responses"].items():
        for about in openapi.resolve(response).get("content", {}).values():
            yield from ((status, name) for name in members(about.get("schema", {})))


def test_each_parameter_and_member_is_documented():
    missing = sorted({f"{name}: {where} of {method} {path}"
                      for method, path, operation in openapi.operations()
                      if path != "/v1/openapi.json"  # its answer's members are OpenAPI's
                      for where, name in names_of(operation) if name not in NAMED})
    assert not missing, "docs/api.md does not name:\n" + "\n".join(missing)


# The cookbook


def recipes():
    """heading -> its block of commands."""
    found = re.findall(r"^### (.*?)\n.*?^```sh\n(.*?)^```", section("Cookbook"), re.M | re.S)
    assert len(found) == section("Cookbook").count("\n### ") >= 10
    return dict(found)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    images = tmp_path_factory.mktemp("images")
    images.chmod(0o755)
    (images / "hello_qemu-x86_64").write_bytes(b"")
    with running_gateway(images=str(images)) as gateway:
        gateway.images = images
        yield gateway


def run_recipes(gateway, directory):
    """heading -> the lines that its block prints. One shell runs all blocks, with README.md's
    `api`, but ends at an answer of 400 and above."""
    (directory / "curl.conf").write_text(
        f'cacert = "{gateway.dir}/virtgate/cert.pem"\nuser = "admin:{gateway.passwords["admin"]}"\n'
        'noproxy = "*"\nsilent\nshow-error\nwrite-out = "\\n"\n')
    script = f"""api() {{ curl -q -K curl.conf --fail-with-body "$@"; }}
        B=https://127.0.0.1:{gateway.port}\n"""
    for heading, block in recipes().items():
        script += f"echo '@@ {heading}'\n{block}"
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=directory, text=True,
                         capture_output=True, timeout=60 * PATIENCE)
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}\n{ran.stderr}"
    assert not ran.stderr, ran.stderr
    # curl.conf adds an end of line to each answer, which leaves empty lines.
    parts = [[line for line in part.splitlines() if line] for part in ran.stdout.split("@@ ")[1:]]
    return {heading: printed for heading, *printed in parts}


def test_the_cookbook_works_as_it_stands(gateway, admin, new_vm, tmp_path):
    for name in "other-1", "other-2":
        new_vm(name)
    printed = run_recipes(gateway, tmp_path)
    assert admin.get("/v1/vms/web-1").status == 404
    assert [file.name for file in gateway.images.iterdir()] == ["hello_qemu-x86_64"]
    assert [file.name for file in tmp_path.iterdir()] == ["curl.conf"]

    first, second = printed["Create it once, even if the connection fails"]
    assert first == second and len(first) == 36
    assert printed["Who am I, and what is here?"][0].startswith("admin is admin; libvirt ")
    assert "test is running" in printed["Who am I, and what is here?"]
    assert printed["Try a VM without making it"][0] == "ok: true"
    expected = {
        "Find VMs by label and state": ['{"name":"web-1","state":"running"}'],
        "Walk all pages": ["other-1 other-2", "test web-1"],
        "Change labels and title, if nobody else has changed the VM": [
            '{"tier":"front"}',
            '{"config":["title","labels"],"live":["title","labels"]}'],
        "Edit the definition": ["after-stop"],
        "Take a snapshot, go back to it, delete it": ["before: running", "running", '["before"]'],
        "Stop it politely, then by force": ["shutoff, by acpi"],
        "Act on many, and see who failed": ["1 of 2", "web-9: there is no VM 'web-9'"],
        "Poll cheaply": ["first: 200", "second: 304", "4"],
    }
    assert {heading: printed[heading] for heading in expected} == expected
    removed, disk = map(json.loads, printed["Delete it, with its disks"])
    assert removed == ["definition"]
    assert (disk["source"], disk["removed"], disk["reason"]) == ("web-1.qcow2", True, None)
