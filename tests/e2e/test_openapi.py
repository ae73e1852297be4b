# SPDX-License-Identifier: MIT
"""Tries every operation of the OpenAPI document with good and bad parameters and bodies.

The client calls openapi.check() for every answer: the document must have its status, and the body
must match the schema. The tests here only make sure that everything is tried.
"""

import json
import urllib.parse

import openapi
import pytest
from conftest import VIDEO, test_domain
from gateway import running_gateway

OPERATIONS = openapi.operations()
each_operation = pytest.mark.parametrize(
    "method, path, operation", OPERATIONS, ids=[f"{m} {p}" for m, p, _ in OPERATIONS])
VM = "probe"
SNAPSHOT = "probe-snapshot"
LONG = 70_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway of its own, as these requests may change any VM."""
    images = tmp_path_factory.mktemp("images")
    with running_gateway(images=str(images)) as gateway:
        yield gateway


@pytest.fixture
def probe(admin):
    """Restores the VM and its snapshot if a request has removed them; called before each."""
    def make():
        answer = admin.get(f"/v1/vms/{VM}/snapshots/{SNAPSHOT}")
        if answer.status == 200:
            return
        if answer.code == "vm_not_found":
            made = admin.post("/v1/vms", json={"xml": test_domain(VM, VIDEO)})
            assert made.status == 201, made
        made = admin.post(f"/v1/vms/{VM}/snapshots", json={"name": SNAPSHOT})
        assert made.status in (201, 409), made
    return make


def parameters(operation, place):
    found = map(openapi.resolve, operation["parameters"])
    return [p for p in found if p["in"] == place]


def query_for(operation, **given):
    """The query with these parameters and those that the operation needs."""
    for parameter in parameters(operation, "query"):
        if parameter["required"]:
            given.setdefault(parameter["name"], VM)
    return "?" + urllib.parse.urlencode(given) if given else ""


def at(path, ref=VM, snap=SNAPSHOT):
    return path.format(ref=ref, snap=snap)


def media_of(operation):
    return operation.get("requestBody", {}).get("content", {})


def valid_body(operation):
    """(type, body) of a valid request."""
    content = media_of(operation)
    for media, about in content.items():
        if media.endswith("json"):
            return media, json.dumps(about.get("example", {}))
    return None, None


# Values


def texts(schema):
    most = schema.get("maxLength", 64)
    yield from schema.get("enum", [])
    yield from ("", " ", "x", "x" * most, "x" * (most + 1), "ü" * most, "\0", "\n", "\x7f", "a,b",
                "../../etc/passwd", "/etc/passwd", "%", "%00", "<x/>", "]]>", "'\"&", "\u202e", "\U0001f600",
                "null", "0", "-1", ".", "..", "x" * LONG)


def numbers(schema):
    least, most = schema.get("minimum", 0), schema.get("maximum", 2**31)
    yield from (least, least - 1, most, most + 1, 0, -1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -2**63, 10**400)


def of_kind(schema, depth=0):
    """Good and bad values of a kind of parameter, at its bounds."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "string" in kinds:
        yield from texts(schema)
    if "integer" in kinds:
        yield from numbers(schema)
    if "array" in kinds:
        items = list(of_kind(schema["items"], depth + 1))
        yield from ([], [None], [[]], *([item] for item in items))
        yield [items[0]] * (schema.get("maxItems", 100) + 1)
    if "object" in kinds:
        yield from objects(schema, depth)
    yield from (None, True, False, 1, 1.5, 1e300, "x", [], {}, [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]])


def objects(schema, depth=0):
    if "additionalProperties" in schema and schema["additionalProperties"]:
        values = list(of_kind(schema["additionalProperties"], depth + 1))
        yield from ({"k": value} for value in values)
        yield from ({key: "v"} for key in ("", " ", "a b", "x" * 64, "x" * 63, "ü", "\0", "<x/>"))
        yield {f"k{n}": "v" for n in range(schema.get("maxProperties", 64) + 1)}
    for name, of in schema.get("properties", {}).items():
        for value in of_kind(of, depth + 1):
            yield {name: value}
    yield from ({}, {"no-such-member": 1})


def bodies(schema, example):
    """The example body with one member replaced, removed or added at a time."""
    for name in example:
        yield {key: value for key, value in example.items() if key != name}
    for name, of in schema.get("properties", {}).items():
        for value in of_kind(of):
            yield {**example, name: value}
    yield {**example, "no-such-member": 1}


RAW = [b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}{}", b'{"a":1,"a":2}', b"{\"a\":NaN}", b"\xff\xfe",
       b"\0", b"{" * 5000, b'{"a":' * 30 + b"1" + b"}" * 30, b"{'a':1}", b"\xef\xbb\xbf{}", b"{}" + b" " * LONG]
XML = [b"<", b"<a/>", b"<domain/>", b"<domain><name/></domain>", b"<domainsnapshot/>", b"<domain>" * 300,
       b"<!DOCTYPE a [<!ENTITY b 'c'>]><domain>&b;</domain>", b"<domain><name>x</name>" + b"<x/>" * 5000 + b"</domain>",
       b"\xff", b"<?xml version='1.0' encoding='UTF-16'?><domain/>", b"<domain><name>a&#0;b</name></domain>",
       test_domain("..").encode(), test_domain("x" * 64).encode(), test_domain("good", "<devices><emulator>/bin/sh</emulator></devices>").encode()]


def send(client, probe, method, target, **how):
    """Sends a request; no request may cause an internal error."""
    probe()
    answer = client.request(method, target, **how)
    assert answer.status < 500, (method, target[:200], how, answer)
    return answer


# Parameters, bodies and refusals


@each_operation
def test_every_value_of_every_parameter_has_a_documented_answer(admin, probe, method, path, operation):
    for parameter in parameters(operation, "query"):
        for value in of_kind(parameter["schema"]):
            if isinstance(value, (dict, list)) or len(str(value)) > 15_000:
                continue
            target = at(path) + query_for(operation, **{parameter["name"]: value})
            media, body = valid_body(operation) if path != "/shutdown" else (None, None)
            send(admin, probe, method, target, type=media, body=body)


@each_operation
def test_every_value_in_a_path_has_a_documented_answer(admin, probe, method, path, operation):
    if "{" not in path:
        return
    media, body = valid_body(operation)
    for value in texts({}):
        value = urllib.parse.quote(value[:1000], safe="")
        if value in ("", ".", ".."):
            continue
        send(admin, probe, method, at(path, ref=value), type=media, body=body)
        if "{snap}" in path:
            send(admin, probe, method, at(path, snap=value), type=media, body=body)


@each_operation
def test_every_value_of_every_member_has_a_documented_answer(admin, probe, method, path, operation):
    for media, about in media_of(operation).items():
        if not media.endswith("json"):
            continue
        for body in bodies(about["schema"], about.get("example", {})):
            send(admin, probe, method, at(path) + query_for(operation), type=media, body=json.dumps(body))


@each_operation
def test_every_broken_body_has_a_documented_answer(admin, probe, method, path, operation):
    if method == "GET":
        return
    target = at(path) + query_for(operation)
    if path != "/shutdown":  # some of these are valid
        for raw in RAW:
            send(admin, probe, method, target, type="application/json", body=raw)
        for xml in XML:
            send(admin, probe, method, target, type="application/xml", body=xml)
    assert send(admin, probe, method, target, type="image/png", body=b"x").status == 415
    assert send(admin, probe, method, target, type="application/json", body=b" " * 300_000).status == 413


@each_operation
def test_every_route_makes_the_common_refusals(gateway, admin, viewer, operator, stranger, probe,
                                              method, path, operation):
    target = at(path) + query_for(operation)
    probe()
    assert admin.request(method, target + ("&" if "?" in target else "?") + "no=1").status == 400
    responses = operation["responses"]
    if "401" in responses:
        assert stranger.request(method, target).status == 401
    if operation["x-role"] in ("operator", "admin"):
        below = viewer if operation["x-role"] == "operator" else operator
        assert below.request(method, target).status == 403
    if "404" in responses and "{ref}" in path:
        assert admin.request(method, at(path, ref="nobody")).status in (404, 400)
    if method != "GET":
        answer = admin.request(method, target, headers="Sec-Fetch-Site: cross-site\r\n")
        assert answer.status == 403 and answer.code == "cross_site"
    if method == "GET" and "304" in responses:
        if path.endswith("/screenshot"):
            assert admin.post(at("/v1/vms/{ref}/start")).status == 200
        got = admin.get(target)
        if got.status == 501:  # something that libvirt's test driver cannot do
            return
        tag = got.headers["ETag"]
        for held in tag, f"W/{tag}", f'"x", {tag}', "*":
            answer = admin.get(target, headers=f"If-None-Match: {held}\r\n")
            # Routes whose answer differs each time have no stable entity tag.
            assert answer.status == 304 or (path.endswith(("/stats", "/metrics")) and answer.status == 200), answer


@each_operation
def test_a_failed_precondition_is_412_or_a_refusal(admin, probe, method, path, operation):
    if method == "GET" or path == "/shutdown":
        return
    target = at(path) + query_for(operation)
    media, body = valid_body(operation)
    if "XML" in operation["summary"] or "application/xml" in media_of(operation):
        media, body = "application/xml", test_domain(VM)
        if "snapshot" in path:
            body = "<domainsnapshot/>"
    expected = 412 if "412" in operation["responses"] else 400
    probe()
    for stale in '"x"', '"x.y"', 'W/"0"', '"' + "0" * 65 + '"':
        answer = admin.request(method, target, type=media, body=body, headers=f"If-Match: {stale}\r\n")
        assert answer.status == expected, answer
    answer = admin.request(method, target, type=media, body=body, headers="If-None-Match: *\r\n")
    assert answer.status == 400, answer


def test_every_route_is_503_if_the_host_is_unreachable(new_gateway):
    gateway = new_gateway(start=False, uri="test+unix:///default?socket=/nonexistent")
    gateway.start_virtgate()
    gateway.start_nginx()
    gateway.wait_ready("/healthz")
    with gateway.client("admin") as admin:
        for method, path, operation in OPERATIONS:
            if "503" not in operation["responses"]:
                continue
            media, body = valid_body(operation)
            if not media and "application/xml" in media_of(operation):
                media, body = "application/xml", test_domain(VM)
            answer = admin.request(method, at(path) + query_for(operation), type=media, body=body)
            assert answer.status == 503 and answer.code == "hypervisor_unavailable", (method, path, answer)


def test_the_document_is_what_the_program_prints(stranger):
    assert stranger.get("/v1/openapi.json").json == openapi.document()
