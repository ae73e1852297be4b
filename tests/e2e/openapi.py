# SPDX-License-Identifier: MIT
"""Checks every answer against the program's OpenAPI document.

check() asserts that the document has the answer for its operation: status, headers, media type, and
a body that matches the schema and has no other member. The (operation, status) pairs that were met
are recorded when the process ends; covered.py reads them.
"""

import atexit
import functools
import json
import os
import re
import subprocess
import uuid
from pathlib import Path

import jsonschema

REPO = Path(__file__).resolve().parents[2]
PROGRAM = REPO / os.environ.get("VIRTGATE_DOCUMENT_BIN", "build/virtgate")
SEEN = REPO / "build/seen"

# Statuses that the document's "default" stands for: nginx's own, also when virtgate is gone.
OF_NGINX = {408, 411, 413, 414, 421, 429, 431, 502, 503, 504}
seen = set()


@functools.cache
def document():
    return json.loads(subprocess.run(
        [PROGRAM, "--openapi"], check=True, capture_output=True, text=True).stdout)


def operations():
    """(method, path, operation) of each operation."""
    return [(method.upper(), path, operation)
            for path, item in document()["paths"].items()
            for method, operation in item.items() if method != "parameters"]


def success(operation):
    """The status of an operation's success: 201 rather than the 200 of a dry run."""
    return max(int(status) for status in operation["responses"] if status.startswith("2"))


def bodies(operation):
    """The media types that a request's body may have, without "application/" or "text/"."""
    media = list(operation.get("requestBody", {}).get("content", {}))
    if "application/merge-patch+json" in media:
        media.remove("application/json")  # is taken for a merge patch
    return [name.partition("/")[2] for name in media]


def query(operation, required=False):
    """The names of an operation's query parameters, or of those that it cannot do without."""
    return [p["name"] for p in map(resolve, operation["parameters"])
            if p["in"] == "query" and (p["required"] or not required)]


def route_table():
    """The table of routes in docs/api.md, grouped by tag."""
    tags = [tag["name"] for tag in document()["tags"]]
    lines = ["| method and path | role | success | |", "|---|---|---|---|"]
    for method, path, operation in sorted(operations(), key=lambda o: tags.index(o[2]["tags"][0])):
        names = "&".join(f"{name}=" for name in query(operation, required=True))
        role = operation["x-role"].replace("none", "–")
        lines.append(f"| {method} {path}{'?' * bool(names)}{names} | {role} | {success(operation)} "
                     f"| {operation['summary']} |")
    return "\n".join(lines) + "\n"


@functools.cache
def path_patterns():
    """Path and pattern of each, those without arguments first: /v1/vms:start is not a VM."""
    paths = sorted(document()["paths"], key=lambda path: (path.count("{"), path))
    return [(path, re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))) for path in paths]


def find_path(target):
    """The document's path for a request's target; None when it has none."""
    plain = target.partition("?")[0]
    return next((path for path, pattern in path_patterns() if pattern.fullmatch(plain)), None)


def resolve(node):
    while "$ref" in node:
        at = document()
        for key in node["$ref"].removeprefix("#/").split("/"):
            at = at[key]
        node = at
    return node


def strict(schema):
    """The schema with additional members forbidden in every object."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return merged([resolve(schema)])
    made = {key: strict(value) for key, value in schema.items()}
    if "allOf" in schema:
        parts = [{k: v for k, v in schema.items() if k != "allOf"}, *schema["allOf"]]
        return merged([resolve(part) for part in parts])
    if "object" in schema.get("type", "") and "properties" in schema:
        made["additionalProperties"] = False
    return made


def merged(parts):
    """Merges schemas of objects. A member has its schema of the last one, the narrowest."""
    properties, required, rest = {}, [], {}
    for part in parts:
        if "allOf" in part:
            part = merged([{k: v for k, v in part.items() if k != "allOf"},
                           *map(resolve, part["allOf"])])
        properties.update(part.get("properties", {}))
        required += part.get("required", [])
        rest.update({k: v for k, v in part.items()
                     if k not in ("properties", "required", "additionalProperties")})
    return strict({**rest, "type": "object", "properties": properties, "required": required})


@functools.cache
def validator(method, path, status, media):
    response = resolve(document()["paths"][path][method.lower()]["responses"][status])
    schema = response["content"][media]["schema"]
    if "anyOf" in schema:
        schema = {"anyOf": [merged([resolve(part)]) for part in schema["anyOf"]]}
    else:
        schema = strict(schema)
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.FormatChecker(formats=()))


def check(answer, method, target, beyond=()):
    """beyond: statuses that are not documented, but that this client expects."""
    path = find_path(target)
    if not target or (answer.status == 404 and answer.body and answer.code == "not_found"):
        return  # sent raw; or no path that any route could have
    method = "GET" if method == "HEAD" and answer.status != 405 else method
    operation = path and document()["paths"][path].get(method.lower())
    if not operation:
        assert answer.status in (204, 302, 400, 401, 403, 404, 405, *OF_NGINX), (method, target, answer)
        return
    response = operation["responses"].get(str(answer.status))
    if not response:
        assert answer.status in (*OF_NGINX, *beyond), f"not documented of {method} {path}: {answer}"
        return
    response = resolve(response)
    seen.add((method, path, answer.status))
    for name in response.get("headers", {}):
        if name not in ("Age", "Retry-After", "Idempotent-Replay"):
            assert name in answer.headers, (method, target, name, answer)
    if answer.body and "Content-Encoding" not in answer.headers:
        check_body(answer, method, path, response)


def check_body(answer, method, path, response):
    media = answer.headers["Content-Type"]
    assert media in response["content"], (method, path, media)
    if not media.endswith("json"):
        return
    error = next(validator(method, path, str(answer.status), media).iter_errors(answer.json), None)
    assert not error, f"{method} {path} {answer.status}: {error.message} at {error.json_path}: {answer}"


@atexit.register
def write_down():
    if seen:
        SEEN.mkdir(parents=True, exist_ok=True)
        lines = sorted(f"{method} {path} {status}" for method, path, status in seen)
        (SEEN / uuid.uuid4().hex).write_text("\n".join(lines) + "\n")


def write_route_table():
    """For `make docs`."""
    file = REPO / "docs/api.md"
    before, heading, rest = file.read_text().partition("## Routes\n\n")
    after = re.sub(r"(\|.*\n)+", "", rest, count=1)
    file.write_text(before + heading + route_table() + after)


if __name__ == "__main__":
    write_route_table()
