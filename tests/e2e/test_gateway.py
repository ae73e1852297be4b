# SPDX-License-Identifier: MIT
"""virtgate behind nginx on libvirt's test driver: authentication, roles, refusals and the process.

What holds for every answer (problem+json, request ids, codes, no host paths, ...) is asserted by
the client itself, in gateway.check_answer().
"""

import contextlib
import itertools
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
import uuid
from collections import namedtuple
from pathlib import Path

import openapi
import pytest
from conftest import VIDEO, test_domain
from gateway import (
    BINARY,
    ERRORS,
    PATIENCE,
    REPO,
    USERS,
    as_listed,
    free_port,
    process_is_alive,
    stopped,
    wait_until,
)

# The routes of the OpenAPI document; docs/api.md has them in a table that a test compares.
Route = namedtuple("Route", "method path role status body query")
V, O, A = "viewer", "operator", "admin"
ROUTES = [
    Route(method, path, operation["x-role"].replace("none", "") or None, openapi.success(operation),
          " ".join(openapi.bodies(operation)), " ".join(openapi.query(operation)))
    for method, path, operation in openapi.operations()
]
REF_ROUTES = [r for r in ROUTES if "{ref}" in r.path or r.query == "name"]
JSON_ROUTES = [r for r in ROUTES if "json" in r.body]
PATHS = sorted({r.path for r in ROUTES})
RANK = {None: 0, V: 1, O: 2, A: 3}


def route_id(route):
    return f"{route.method} {route.path}"


each_route = pytest.mark.parametrize("route", ROUTES, ids=route_id)
each_ref_route = pytest.mark.parametrize("route", REF_ROUTES, ids=route_id)
each_json_route = pytest.mark.parametrize("route", JSON_ROUTES, ids=route_id)
each_path = pytest.mark.parametrize("path", PATHS)


def at(path, ref="no-such-vm", snap="no-such-snapshot"):
    return path.format(ref=ref, snap=snap)


def target_of(route, ref="no-such-vm"):
    return at(route.path, ref) + (f"?name={ref}" if route.query == "name" else "")


def quote(text):
    return urllib.parse.quote(text, safe="")


def names_in(answer):
    return [vm["name"] for vm in answer.json["items"]]


# Authentication and roles


@each_route
def test_without_credentials_nothing_but_health_is_answered(stranger, route):
    answer = stranger.request(route.method, target_of(route))
    if route.role is None:
        assert answer.status == 200
    else:
        assert answer.status == 401 and answer.code == "unauthenticated"


@each_route
def test_with_wrong_credentials_nothing_but_health_is_answered(gateway, route):
    for user, password in ("admin", "wrong"), ("nobody", "wrong"), ("Admin", None), ("", "x"):
        password = password or gateway.passwords["admin"]
        with gateway.client(user, password) as client:
            answer = client.request(route.method, target_of(route))
            assert answer.status == (200 if route.role is None else 401), (user, answer)


@pytest.mark.parametrize("credentials", [
    "Basic", "Basic ", "Basic !!!!", "Basic OnA=", "Bearer abc", "Basic YWRtaW4=", "Digest x=y",
])
def test_malformed_credentials_are_401(stranger, credentials):
    answer = stranger.get("/v1", headers=f"Authorization: {credentials}\r\n")
    assert answer.status == 401


@pytest.mark.parametrize("headers,status", [
    ("Sec-Fetch-Site: cross-site\r\n", 403),
    ("Sec-Fetch-Site: same-site\r\nOrigin: https://localhost\r\n", 403),
    ("Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost\r\n", 403),
    ("Origin: https://elsewhere.example\r\n", 403),
    ("Origin: http://localhost\r\n", 403),
    ("Origin: https://localhost:8443\r\n", 403),
    ("Origin: null\r\n", 403),
    ("Sec-Fetch-Site: same-origin\r\nOrigin: https://localhost\r\n", 404),
    ("Sec-Fetch-Site: same-origin\r\n", 404),
    ("Origin: https://localhost\r\n", 404),
    ("Origin: https://localhost:443\r\n", 404),
])
def test_a_page_of_another_site_cannot_change_anything(admin, headers, status):
    answer = admin.request("POST", "/v1/vms/none/start", headers=headers)
    assert (answer.status, answer.json["code"]) == (
        (403, "cross_site") if status == 403 else (404, "vm_not_found"))
    assert admin.get("/v1/vms", headers=headers).status == 200


@pytest.mark.parametrize("target", ["/nothing", "/v1/nothing", "/etc/passwd"])
def test_an_unauthenticated_client_cannot_find_out_which_paths_exist(stranger, clients, target):
    assert stranger.get(target).status == 401
    assert clients("norole").get(target).status == 403


@pytest.mark.parametrize("target", [
    "/v1/vms/../../healthz", "/healthz/../v1/vms", "/v1/%2e%2e/healthz", "//healthz", "/healthz/",
    "/./healthz", "/healthz%3f/../v1", "/%68ealthz/../v1", "/readyz//../v1/vms", "/v1/vms?/../healthz",
])
def test_no_spelling_of_a_path_gets_past_the_credentials(stranger, clients, target):
    """nginx decides by the normalized path, virtgate by the path as it was sent."""
    for client in stranger, clients("norole"):
        for method in "GET", "POST", "DELETE":
            assert client.request(method, target).status in (401, 403), (method, target)


@pytest.mark.parametrize("user", USERS)
@each_route
def test_each_role_may_do_what_the_route_table_says(clients, route, user):
    if route.path == "/shutdown" and user == "admin":
        return  # test_shutdown_drains_and_ends_with_0 does that
    answer = clients(user).request(route.method, target_of(route))
    if route.role is None:
        assert answer.status == 200
    elif RANK[USERS[user]] < RANK[route.role]:
        assert answer.status == 403 and answer.code == "forbidden"
    else:
        assert answer.status in (200, 400, 404), answer


@pytest.mark.parametrize("header", [
    "Virtgate-Role: admin", "Virtgate_Role: admin", "VIRTGATE_ROLE: admin", "Role: admin",
    "Remote-User: admin", "Remote_User: admin", "X-Remote-User: admin", "REMOTE_USER: admin",
    "X-Forwarded-User: admin", "X-Request-Id: 00000000000000000000000000000000",
    "Request-Id: 00000000000000000000000000000000", "Proxy: http://127.0.0.1:1",
    "Request-Uri: /vms", "X-Original-Method: GET", "X-HTTP-Method-Override: GET",
])
def test_a_client_cannot_forge_identity_headers(clients, header):
    zeros = "0" * 32
    answer = clients("viewer").get("/v1", headers=header + "\r\n")
    assert (answer.json["user"], answer.json["role"]) == ("viewer", "viewer")
    assert answer.request_id != zeros
    assert clients("viewer").post("/shutdown", headers=header + "\r\n").status == 403
    assert clients("norole").get("/v1", headers=header + "\r\n").status == 403
    assert clients(None).get("/v1", headers=header + "\r\n").status == 401


def test_v1_names_the_user_and_the_role(clients):
    for user, role in USERS.items():
        if role:
            about = clients(user).get("/v1").json
            assert (about["name"], about["user"], about["role"]) == ("virtgate", user, role)
            assert about["hosts"][0]["reachable"] is True


def test_every_request_has_a_unique_id_that_is_logged(gateway, admin):
    ids = [admin.get("/v1").request_id for _ in range(3)]
    assert len(set(ids)) == 3
    log = gateway.log()
    assert [log.count(f" id={i} ") for i in ids] == [1, 1, 1]


def test_log_lines_are_text_whatever_a_client_sends(gateway, admin):
    """journald shows a line that is not UTF-8 as "[blob data]"."""
    head = b'GET /v1/vms/\xff"x\xc3(?\xfe HTTP/1.1\r\nHost: localhost\r\n' + admin.credentials.encode()
    answer = admin.send(head + b"\r\n")
    lines = gateway.log_file.read_bytes().splitlines()
    line = next(line for line in lines if answer.request_id.encode() in line)
    line.decode("utf-8")


def test_no_password_is_logged(gateway, admin, stranger):
    admin.get("/v1")
    admin.get("/none")
    secret = gateway.passwords["admin"]
    stranger.get("/v1", headers=admin.credentials)
    encoded = admin.credentials.split()[-1]
    for file in "virtgate.log", "access.log", "error.log", "nginx.out":
        text = (gateway.dir / file).read_text(errors="replace")
        assert secret not in text and encoded not in text, file


def test_a_path_cannot_break_a_log_line(gateway, admin):
    admin.get("/v1/vms/%0Arequest%20id=forged%20status=200%0d%1b%5b31m")
    assert not any(line.startswith("request id=forged") for line in gateway.log().splitlines())
    assert "\x1b" not in gateway.log()


# Paths and methods


@pytest.mark.parametrize("target", [
    "/nothing", "/v1/", "/v1/nothing", "/v1/vms/", "/v1/vms/x/y", "/v1/vms/x/xml/", "/V1", "/VMS",
    "/v1//vms", "//v1", "/v1/vms/x/snapshots/", "/v1/vms/x/snapshots/y/z", "/vm/", "/index.html",
    "/v1/vms/x/snapshots/y/revert/z", "/v1;x", "/.git/config", "/" + "x/" * 30, "/v1%2Fvms",
    "/v1/vms/./xml", "/v1/vms/x/../y", "/virtgate.conf", "/htpasswd", "/_problem", "/@change", "/@again",
])
def test_an_unknown_path_is_404(admin, target):
    answer = admin.get(target)
    assert answer.status == 404 and answer.code == "not_found"


@each_path
@pytest.mark.parametrize("method", [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW",
])
def test_a_wrong_method_is_405_with_the_allowed_ones(admin, path, method):
    right = {r.method for r in ROUTES if r.path == path} | {"OPTIONS"}
    right |= {"HEAD"} if "GET" in right else set()
    if method == "OPTIONS":
        answer = admin.request(method, at(path))
        assert answer.status == 204 and set(answer.headers["Allow"].split(", ")) == right
        assert not answer.body and ("PATCH" in right) == ("Accept-Patch" in answer.headers)
    if method in right:
        return
    answer = admin.request(method, at(path))
    assert answer.status == 405, answer
    allowed = set(answer.headers["Allow"].split(", "))
    if method == "TRACE":
        assert method not in allowed  # nginx refuses the method for any path
        return
    assert allowed == right
    if method != "HEAD":
        assert answer.code == "method_not_allowed" and set(answer.json["allowed"]) == right


def test_the_root_path_redirects_to_v1(admin):
    answer = admin.get("/")
    assert (answer.status, answer.location) == (302, "/v1")


@pytest.mark.parametrize("route", [r for r in ROUTES if r.method == "GET"], ids=route_id)
def test_head_is_get_without_the_body(admin, new_vm, route):
    vm = new_vm(inside=VIDEO, start=route.path.endswith("/screenshot"))
    admin.post(f"/v1/vms/{vm['uuid']}/snapshots", json={"name": "one"})
    target = at(route.path, vm["uuid"], "one")
    get, head = admin.get(target), admin.request("HEAD", target)
    assert get.status == head.status
    if get.status != 501:  # something that libvirt's test driver cannot do
        assert get.status == 200
    assert get.headers["Content-Type"] == head.headers["Content-Type"]
    if route.path != "/metrics":  # these two requests count, too
        assert get.headers["Content-Length"] == head.headers["Content-Length"]
    assert admin.request("HEAD", "/v1/vms/none").status == 404
    assert admin.connections == 1


@each_ref_route
def test_no_such_vm_is_404(admin, route):
    for ref in "no-such-vm", str(uuid.uuid4()), "x" * 200, "%C3%BC%20%E2%98%83", "a%2Fb":
        answer = admin.request(route.method, target_of(route, ref))
        assert answer.status == 404 and answer.code == "vm_not_found", (ref, answer)


@each_route
def test_an_unknown_parameter_is_400_by_name(admin, route):
    answer = admin.request(route.method, at(route.path) + "?colour=red")
    assert answer.status == 400 and answer.code == "unknown_parameter"
    assert "'colour'" in answer.json["detail"]
    assert all(name in answer.json["hint"] for name in route.query.split())


@pytest.mark.parametrize("route", [r for r in ROUTES if r.query == "name"], ids=route_id)
def test_a_missing_repeated_or_empty_name_parameter_is_400(admin, new_vm, route):
    name = new_vm(start=True)["name"]
    for query in "", "?", "?&&", "?name", "?name=", f"?name={name}&name={name}", \
            f"?name={name}&%6eame=x", f"?Name={name}", f"?name={name}&x=1":
        answer = admin.request(route.method, route.path + query)
        assert answer.status == 400, (query, answer)
        assert re.search(r"\b[nN]ame\b|'x'", answer.json["detail"]), (query, answer)
    assert admin.get(f"/v1/vms/{name}").json["state"] == "running"


@pytest.mark.parametrize("value", [
    "%", "%4", "%zz", "a%", "%%41", "%u0041", "%-1", "%00", "a%00b", "%80", "%c3", "%c3%28",
    "%ed%a0%80", "%f4%90%80%80", "%c0%af", "%fe%ff",
])
@pytest.mark.parametrize("query", ["?name={}", "?name=x&{}=y", "?{}"])
def test_a_badly_escaped_parameter_is_400(admin, query, value):
    answer = admin.post("/vm/suspend" + query.format(value))
    assert answer.status == 400 and answer.code == "bad_request"


@pytest.mark.parametrize("value", ["%", "%4", "%zz", "%00", "%c3%28", "%ed%a0%80", "%c0%af"])
def test_a_badly_escaped_path_is_400(admin, value):
    for target in f"/v1/vms/{value}", f"/v1/vms/{value}/xml", f"/v1/vms/x/snapshots/{value}":
        answer = admin.get(target)
        assert answer.status == 400 and answer.code == "bad_request", (target, answer)


@pytest.mark.parametrize("byte", [b"\x80", b"\xc3(", b"\xff\xfe", "ü".encode(), b"\x01", b"\x7f"])
def test_raw_bytes_in_the_target_never_fail_the_server(admin, byte):
    for target in b"/v1/vms/%s", b"/vms?%s=1", b"/vms?a=%s", b"/%s":
        head = b"GET " + target % byte + b" HTTP/1.1\r\nHost: localhost\r\n" + admin.credentials.encode()
        answer = admin.send(head + b"\r\n")
        assert answer.status in (400, 404), (target, answer)


@pytest.mark.parametrize("request_line", [
    b"GET /v1\0 HTTP/1.1", b"GET /v1 HTTP/9.9", b"GET", b"GET http://[ HTTP/1.1", b"\0\0\0",
    b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", b"GET /../etc/passwd HTTP/1.1", b"get /v1 HTTP/1.1",
])
def test_a_broken_request_line_is_4xx_or_closes_the_connection(gateway, request_line):
    with gateway.client("admin") as client:
        lines = request_line + b"\r\nHost: localhost\r\n" + client.credentials.encode() + b"\r\n"
        answer = client.send(lines)
        assert answer.status in (400, 405, 505), answer


def test_a_request_smuggled_in_a_body_is_not_answered(gateway, admin):
    with gateway.client("viewer") as client:
        smuggled = b"POST /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n"
        head = (f"POST /v1/vms/none/start HTTP/1.1\r\nHost: localhost\r\n{client.credentials}"
                f"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").encode()
        assert client.send(head + smuggled).status == 400
    assert admin.get("/readyz").status == 200


# Bodies


@each_json_route
@pytest.mark.parametrize("body", [
    "{", "}", "nul", "{]", '{"name":}', '{"name":"x",}', "[1,]", '{"name":NaN}', "NaN", "Infinity",
    "-Infinity", "{'name':'x'}", "{name:1}", '{"name":"x"}{}', '{"name":"x"} y', "\ufeff{}",
    '{"name":"a\nb"}', '{"name":"a\tb"}', '{"name":"a\x01b"}', '{"name":"x"/**/}', '{"name":01}',
    '{"name":+1}', '{"name":.5}', '{"name":1.}', '{"name":0x1}', '{"name":"\\x"}', '{"name":"\\u12"}',
    '{"name":tru}', '{"name":TRUE}', '{"name":"x" "xml":"y"}', '{"name"}', '{"name":"x"', '"',
    "[" * 100000, '{"a":' * 5000, "\x00", '{"name":"x"}\x00', '{"name":"a\x00b"}', "// x\n{}",
    '{"n\\u0061me":"x"}', '{"name":"x","name":"y"}', '{"name":"x","n\\u0061me":"y"}',
    b'{"name":"\xff"}', b'{"name":"\xed\xa0\x80"}', b'{"\xc3(":1}', b"\x80", b'{"name":"\xc3"}',
], ids=lambda b: repr(b[:24]))
def test_malformed_json_is_400_bad_json(admin, route, body):
    target = target_of(route, "test")
    answer = admin.request(route.method, target, body=body, type="application/json")
    assert answer.status == 400 and answer.code == "bad_json", answer


@each_json_route
@pytest.mark.parametrize("text", ["\\ud800", "\\udc00", "\\ud800x", "\\udc00\\ud800", "\\ud800\\u0041"])
def test_a_lone_surrogate_is_400(admin, route, text):
    answer = admin.request(route.method, target_of(route, "test"), type="application/json",
                           body='{"name":"%s"}' % text)
    assert answer.status in (400, 422), answer


@each_json_route
@pytest.mark.parametrize("body", ["[]", "null", "1", '"x"', "true", "1.5", "[{}]"])
def test_json_that_is_no_object_is_400(admin, route, body):
    answer = admin.request(route.method, target_of(route, "test"), body=body,
                           type="application/json")
    assert answer.status == 400 and answer.code == "bad_request"


FIELDS = {
    "/v1/vms": {
        "template": str, "xml": str, "persistent": bool, "start": bool, "name": str, "title": str,
        "description": str, "memory_kib": int, "vcpus": int, "kernel": str, "initrd": str,
        "cmdline": str, "disks": list, "interfaces": list, "filesystems": list, "graphics": dict,
        "serial": dict, "labels": dict},
    "/v1/convert/qemu-argv": {"argv": list},
    "/v1/vms/{ref}": {"autostart": bool, "vcpus": int, "memory_kib": int},  # the others may be null
    "/v1/vms/{ref}/snapshots": {"name": str, "description": str},
    "/v1/vms/{ref}/snapshots/{snap}/revert": {"state": str, "force": bool},
    "/v1/vms/{ref}/stop": {"mode": str, "timeout": int, "then": str},
    **{f"/v1/vms:{action}": {"refs": list, "select": dict, "max": int}
       for action in ("delete", "resume", "start", "suspend")},
    "/v1/vms:stop": {"refs": list, "select": dict, "max": int,
                     "mode": str, "timeout": int, "then": str},
    "/vm/snapshot": {"name": str, "description": str},
}
WRONG = {
    str: [1, 1.5, True, None, [], {}, ["x"]], bool: [0, 1, "1", "true", None, [], {}],
    int: ["1", 1.5, 1e3, True, None, [], {}, 0, -1, 1 << 31, 1 << 63, 1 << 70],
    list: [1, "x", True, None, {}, {"0": {}}], dict: [1, "x", True, None, [], [{}]],
}


@each_json_route
def test_a_wrong_json_type_is_400_by_field(admin, route):
    for field, kind in FIELDS[route.path].items():
        for value in WRONG[kind]:
            answer = admin.request(route.method, target_of(route, "test"), json={field: value})
            assert answer.status == 400 and answer.code == "bad_request", (field, value, answer)
            assert answer.json["detail"].startswith(f"{field}: "), answer


@each_json_route
def test_an_unknown_field_is_400_by_name(admin, route):
    for body in {"colour": 1}, {"name": "x", "colour": None}, {"ref": "x"}, {"": 1}, {"Name": "x"}:
        answer = admin.request(route.method, target_of(route, "test"), json=body)
        assert answer.status == 400 and answer.code == "unknown_parameter", (body, answer)
        unknown = next(name for name in body if name not in FIELDS[route.path])
        assert f"'{unknown}'" in answer.json["detail"]
        assert all(name in answer.json["hint"] for name in FIELDS[route.path])


@each_json_route
def test_empty_nul_and_overlong_fields_are_400_by_field(admin, route):
    for field, kind in FIELDS[route.path].items():
        for value in ("", "a\0b", "x" * 140000) if kind is str else ():
            answer = admin.request(route.method, target_of(route, "test"), json={field: value})
            assert answer.status == 400 and answer.json["detail"].startswith(f"{field}: "), answer


def test_fields_are_refused_where_a_route_takes_no_body(admin, new_vm):
    vm = new_vm(start=True)
    answer = admin.post(f"/v1/vms/{vm['uuid']}/suspend", json={"mode": "acpi"})
    assert answer.status == 400 and answer.json["detail"] == "body: this request takes no body"
    assert admin.get(f"/v1/vms/{vm['uuid']}").json["state"] == "running"
    assert admin.post(f"/v1/vms/{vm['uuid']}/suspend", json={}).status == 200


CONTENT_TYPES = [
    None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "application/jsonx", "json", "application/json,text/xml", "text/html", "image/png",
]


@pytest.mark.parametrize("route, kind", [
    (route, kind) for route in ROUTES if route.body for kind in CONTENT_TYPES
    if not kind or kind.removeprefix("text/") not in route.body.split()
], ids=lambda value: value if isinstance(value, str) or not value else route_id(value))
def test_an_unsupported_content_type_is_415(admin, route, kind):
    target = at(route.path, "test") + ("?name=test" if route.query == "name" else "")
    answer = admin.request(route.method, target, body="{}", type=kind)
    assert answer.status == 415 and answer.code == "unsupported_media_type"
    assert all(f"/{taken}" in answer.json["detail"] for taken in route.body.split())


@pytest.mark.parametrize("kind", ["application/xml", "text/xml; charset=utf-8", "APPLICATION/XML"])
def test_each_xml_media_type_is_accepted(admin, new_name, kind):
    answer = admin.post("/v1/vms", body=test_domain(new_name()), type=kind)
    assert answer.status == 201
    assert admin.delete(answer.location).status == 200


# Sizes


@each_route
@pytest.mark.parametrize("size", [300 << 10, 1 << 20], ids=["300 KiB", "1 MiB"])
def test_a_large_body_is_413_and_the_connection_stays_usable(clients, route, size):
    client = clients("admin")
    for kind in "application/json", "application/xml":
        answer = client.request(route.method, target_of(route), body=b" " * size, type=kind)
        assert answer.status == 413 and answer.code == "body_too_large"
        # Usable on the client's connection and on nginx's connection to virtgate.
        assert client.get("/v1").json["user"] == client.user
    # Where no password is needed, nginx itself refuses, and drops the rest with the connection.
    assert client.connections == 1 or route.role is None


def test_a_body_that_is_too_large_to_read_is_413(gateway, admin):
    with gateway.client("admin") as client:
        answer = client.post("/v1/vms", body=b" " * (3 << 20), type="application/json")
        assert answer.status == 413 and answer.code == "body_too_large"
        assert client.get("/v1").status == 200
    with gateway.client("admin") as client:
        head = f"POST /v1/vms HTTP/1.1\r\nHost: localhost\r\n{client.credentials}Content-Length: %d\r\n\r\n"
        for length in 3 << 20, 1 << 62:
            assert client.send((head % length).encode(), "POST").status == 413
        assert client.send((head % (1 << 70)).encode(), "POST").status in (400, 413)


def test_a_chunked_body_is_accepted(admin, new_name):
    xml = test_domain(new_name()).encode()
    head = (f"POST /v1/vms HTTP/1.1\r\nHost: localhost\r\n{admin.credentials}"
            "Content-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n").encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(xml[i:i + 50]), xml[i:i + 50])
                      for i in range(0, len(xml), 50))
    answer = admin.send(head + chunks + b"0\r\n\r\n", "POST")
    assert answer.status == 201
    assert admin.delete(answer.location).status == 200
    large = b"40000\r\n" + b" " * 0x40000 + b"\r\n"
    answer = admin.send(head + large * 2 + b"0\r\n\r\n", "POST")
    assert answer.status == 413 and answer.code == "body_too_large"
    assert admin.get("/v1").status == 200 and admin.connections == 1


def test_xml_up_to_its_limit_is_accepted_and_more_is_413(admin, new_name):
    def padded(size):
        xml = test_domain(new_name(), "<metadata><x:x xmlns:x='urn:x'>{}</x:x></metadata>")
        return xml.format("x" * (size - len(xml) + 2))
    answer = admin.post("/v1/vms", xml=padded(128 << 10))
    assert answer.status == 201
    assert admin.delete(answer.location).status == 200
    answer = admin.post("/v1/vms", xml=padded((128 << 10) + 1))
    assert answer.status == 413 and answer.code == "body_too_large"


@pytest.mark.parametrize("target", ["/v1/vms?{}", "/vm/suspend?name={}", "/v1/vms/{}", "/{}"])
def test_a_target_of_64_kib_is_414(gateway, target):
    with gateway.client("admin") as client:
        answer = client.get(target.format("x" * (64 << 10)))
        assert answer.status == 414 and answer.code == "uri_too_long"
        assert client.get("/v1").status == 200


def test_even_longer_targets_are_4xx(gateway):
    for size in 72 << 10, 100 << 10, 300 << 10:
        with gateway.client("admin") as client:
            answer = client.get("/vms?" + "x" * size)
            assert answer.status in (400, 414), (size, answer)


def test_headers_that_are_too_long_are_431(gateway):
    for name in "If-Match", "Content-Type", "Origin", "Idempotency-Key":
        with gateway.client("admin") as client:
            answer = client.get("/v1", headers=f"{name}: {'x' * 20000}\r\n")
            assert answer.status == 431 and answer.code == "headers_too_large"
            assert client.get("/v1").status == 200
    with gateway.client("admin") as client:
        assert client.get("/v1", headers=f"X-Large: {'x' * 60000}\r\n").status == 200
        assert client.get("/v1", headers=f"X-Large: {'x' * 100000}\r\n").status in (400, 431)
        many = "".join(f"X-H{i}: {'x' * 30000}\r\n" for i in range(20))
        assert client.get("/v1", headers=many).status in (400, 431)
        assert client.get("/v1").status == 200


def curl(gateway, *arguments):
    """An answer over HTTP/2, as (status, headers, JSON)."""
    command = ["curl", "--silent", "--show-error", "--http2", "--include", "--max-time", "30",
               "--cacert", gateway.dir / "virtgate/cert.pem",
               "--user", f"admin:{gateway.passwords['admin']}", *arguments[:-1],
               f"https://127.0.0.1:{gateway.port}{arguments[-1]}"]
    output = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    head, _, body = output.partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0].startswith("HTTP/2 "), head
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
    return int(lines[0].split()[1]), headers, json.loads(body)


def test_requests_work_over_http_2(gateway, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(b" " * (3 << 20))
    cases = [
        (200, None, "/v1"),
        (404, "vm_not_found", "/v1/vms/none"),
        (405, "method_not_allowed", "--request", "DELETE", "/v1"),
        (404, "vm_not_found", "--request", "DELETE", "/v1/vms/none"),
        # curl cannot send more than 64 KiB of headers in all
        (414, "uri_too_long", "/v1/vms?" + "x" * ((64 << 10) - 500)),
        (431, "headers_too_large", "--header", "If-Match: " + "x" * 20000, "/v1"),
        (413, "body_too_large", "--data-binary", f"@{large}", "/v1/vms"),
    ]
    for status, code, *arguments in cases:
        got, headers, body = curl(gateway, *arguments)
        assert got == status, (arguments[:2], body)
        if code:
            assert body["code"] == code
            assert headers["content-type"] == "application/problem+json"
            assert body["request_id"] == headers["x-request-id"]


# States and conflicts


@pytest.mark.parametrize("action, start, first, again", [
    # from shutoff (False) or running (True): status and state, and the same for a repetition
    ("start", False, (200, True, "running"), (200, False, "running")),
    ("start", True, (200, False, "running"), (200, False, "running")),
    ("stop", True, (200, True, "shutoff"), (200, False, "shutoff")),
    ("stop", False, (200, False, "shutoff"), (200, False, "shutoff")),
    ("suspend", True, (200, True, "paused"), (200, False, "paused")),
    ("suspend", False, (409, None, "shutoff"), (409, None, "shutoff")),
    ("resume", True, (200, False, "running"), (200, False, "running")),
    ("resume", False, (409, None, "shutoff"), (409, None, "shutoff")),
    ("reboot", False, (409, None, "shutoff"), (409, None, "shutoff")),
    ("reset", False, (409, None, "shutoff"), (409, None, "shutoff")),
])
def test_actions_are_idempotent_by_target_state(operator, new_vm, action, start, first, again):
    vm = new_vm(inside="<features><acpi/></features>", start=start)
    for status, changed, state in first, again:
        answer = operator.post(f"/v1/vms/{vm['uuid']}/{action}")
        assert (answer.status, answer.json["state"]) == (status, state), answer
        if status == 409:
            assert answer.code == "wrong_state" and state in answer.json["detail"]
        else:
            assert answer.json["changed"] is changed
    assert operator.get(f"/v1/vms/{vm['uuid']}").json["state"] == state


def test_starting_a_paused_vm_is_a_wrong_state(operator, new_vm):
    vm = new_vm(start=True)
    operator.post(f"/v1/vms/{vm['uuid']}/suspend")
    answer = operator.post(f"/v1/vms/{vm['uuid']}/start")
    assert (answer.status, answer.code, answer.json["state"]) == (409, "wrong_state", "paused")
    assert "resume" in answer.json["hint"]


@pytest.mark.parametrize("how", ["name", "uuid", "template", "seed"])
def test_a_create_with_a_taken_name_or_uuid_is_409_and_changes_nothing(admin, new_vm, new_name, how):
    name = "vm_helloworld" if how in ("template", "seed") else new_name()
    vm = new_vm(name, "<description>first</description>", start=True)
    before = admin.get(f"/v1/vms/{name}/xml").body
    clashes = {
        "name": dict(xml=test_domain(name, "<description>second</description>")),
        "uuid": dict(xml=test_domain(new_name(), uuid=vm["uuid"])),
        "template": dict(json={"template": "helloworld"}),
        "seed": {},
    }
    target = "/vm?xmlName=helloworld.xml" if how == "seed" else "/v1/vms"
    answer = admin.post(target, **clashes[how])
    assert (answer.status, answer.code) == (409, "already_exists")
    assert admin.get(f"/v1/vms/{name}").json["uuid"] == vm["uuid"]
    assert admin.get(f"/v1/vms/{vm['uuid']}/xml").body == before


def test_creating_the_same_xml_twice_is_409(admin, new_vm):
    vm = new_vm()
    xml = admin.get(f"/v1/vms/{vm['uuid']}/xml").body
    for target in "/v1/vms", "/v1/vms?start=1", "/vm":
        answer = admin.post(target, body=xml, type="application/xml")
        assert (answer.status, answer.code) == (409, "already_exists")
    del vm["warnings"]
    assert vm.items() <= admin.get(f"/v1/vms/{vm['uuid']}").json.items()


# Domain XML

LAUGHS = "<!DOCTYPE domain [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(b)} '{f'&{chr(b - 1)};' * 10}'>" for b in range(ord("b"), ord("k"))) + "]>"
OK = "<name>%s</name><memory unit='KiB'>8192</memory><os><type>hvm</type></os>"


@pytest.mark.parametrize("xml", [
    "<!DOCTYPE domain><domain type='test'>" + OK + "</domain>",
    "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain type='test'>" + OK + "</domain>",
    "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain type='test'>" + OK
    + "<description>&x;</description></domain>",
    "<!DOCTYPE domain [<!ENTITY %% x SYSTEM 'file:///etc/passwd'> %%x;]><domain type='test'>" + OK
    + "</domain>",
    LAUGHS.replace("%", "%%") + "<domain type='test'>" + OK + "<title>&j;</title></domain>",
    "<domain type='test'>" + OK + "<title>&x;</title></domain>",
    "<?xml-stylesheet href='x'?><domain type='test'>" + OK + "</domain>",
    "<domain type='test'><?php x ?>" + OK + "</domain>",
    "<domain type='test'>" + OK + "</domain><?x?>",
    "<domainsnapshot/>", "<Domain type='test'>" + OK + "</Domain>", "<html/>",
    "<x:domain xmlns:x='urn:x' type='test'>" + OK + "</x:domain>",
    "<domain xmlns='urn:x' type='test'>" + OK + "</domain>",
    "<domain type='test'>" + OK, "<domain type='test' type='kvm'>" + OK + "</domain>",
    "<domain", "x", "<>", "{}", "<domain/><domain/>", " ", "<a>" * 300 + "</a>" * 300,
    "<domain type='test'>" + OK + "<name>other</name></domain>",
    "<domain type='test'>" + OK + "<uuid>" + str(uuid.uuid4()) + "</uuid><uuid>"
    + str(uuid.uuid4()) + "</uuid></domain>",
    "<domain type='test'>" + OK + "<description>\x01</description></domain>",
    "<domain type='test'>" + OK + "<description>&#0;</description></domain>",
    "<domain type='test'>" + OK + "<description>\0</description></domain>",
    b"<domain type='test'>" + OK.encode() + b"<description>\xff</description></domain>",
    b"<?xml version='1.0' encoding='latin1'?><domain>" + OK.encode() + b"<title>\xe4</title></domain>",
    ("<domain type='test'>" + OK + "</domain>").encode("utf-16"),
    "<domain type='test'>" + OK + "<devices>" + "<x/>" * 5000 + "</devices></domain>",
    # the schema's (VALIDATE)
    "<domain type='test'>" + OK + "<title>two\nlines</title></domain>",
], ids=lambda xml: repr(xml[:20]) + str(len(xml)))
@pytest.mark.parametrize("target", ["/v1/vms", "/vm"])
def test_bad_domain_xml_is_422_invalid_xml(admin, new_name, xml, target):
    name = new_name()
    xml = xml % (name if isinstance(xml, str) else name.encode()) if "%s" in str(xml) else xml
    answer = admin.post(target, body=xml, type="application/xml")
    assert (answer.status, answer.code) == (422, "invalid_xml"), answer
    assert "root:" not in answer.body.decode()
    assert admin.get(f"/v1/vms/{name}").status == 404


@pytest.mark.parametrize("xml, path", [
    ("<domain type='test'>" + OK + "<memoryy>1</memoryy></domain>", "/domain/memoryy"),
    ("<domain type='test'>" + OK + "<devices><gizmo/></devices></domain>", "/domain/devices/gizmo"),
    ("<domain type='test' colour='red'>" + OK + "</domain>", "/domain/@colour"),
    ("<domain type='test'>" + OK + "<vcpu>many</vcpu></domain>", "/domain/vcpu"),
    ("<domain type='test'>" + OK.replace("8192", "-1") + "</domain>", "/domain/memory"),
    ("<domain type='test'>" + OK + "<devices><emulator>/bin/sh</emulator></devices></domain>",
     "/domain/devices/emulator"),
    ("<domain type='test'>" + OK + "<devices><disk type='file'><driver type='raw'/>"
     "<source file='/etc/shadow'/><target dev='vda'/></disk></devices></domain>",
     "/domain/devices/disk/source/@file"),
])
@pytest.mark.parametrize("target", ["/v1/vms", "/vm"])
def test_a_policy_violation_is_422_with_its_xpath(admin, new_name, xml, path, target):
    name = new_name()
    answer = admin.post(target, body=xml % name, type="application/xml")
    assert (answer.status, answer.code) == (422, "policy_denied"), answer
    assert [violation["path"] for violation in answer.json["violations"]] == [path]
    assert all(violation["rule"] for violation in answer.json["violations"])
    assert admin.get(f"/v1/vms/{name}").status == 404


def test_with_the_policy_off_libvirt_alone_decides(new_gateway):
    gateway = new_gateway(policy="off")
    assert "VIRTGATE_POLICY" in gateway.log()
    with gateway.client("admin") as client:
        xml = test_domain("a", "<devices><emulator>/bin/sh</emulator></devices>")
        assert client.post("/v1/vms", xml=xml).status == 201


def test_an_xml_syntax_error_has_line_and_column(admin):
    answer = admin.post("/v1/vms", xml="<domain>\n  <name>x</nam>\n</domain>")
    assert (answer.code, answer.json["line"]) == ("invalid_xml", 2) and answer.json["column"] > 5


@pytest.mark.parametrize("name", [
    "a/b", "..", ".", "../x", "a\nb", "", " ", "-x", ".x", "a b", "ä", "a" * 64, "a\tb", "a%b",
    "a'b", "&lt;b&gt;", "/etc/passwd", "x" * 300, str(uuid.uuid4()), str(uuid.uuid4()).upper(),
])
@pytest.mark.parametrize("where", ["xml", "json"])
def test_a_bad_name_is_refused(admin, where, name):
    before = names_in(admin.get("/v1/vms"))
    if where == "xml":
        answer = admin.post("/v1/vms", xml=test_domain(name))
    else:
        answer = admin.post("/v1/vms", json={"template": "helloworld", "name": name})
    assert answer.status in ((422,) if where == "xml" else (400, 422)), answer
    assert re.search(r"\bname\b", answer.json["detail"])
    assert names_in(admin.get("/v1/vms")) == before


def test_xml_without_a_name_is_refused(admin):
    xml = "<domain type='test'><memory>8192</memory><os><type>hvm</type></os></domain>"
    assert admin.post("/v1/vms", xml=xml).status == 422


@pytest.mark.parametrize("name", ["a" * 63, "0", "A.b_c+d-e", "7up", "x--"])
def test_a_valid_name_is_kept(new_vm, admin, name):
    assert new_vm(name)["name"] == name
    assert admin.get(f"/v1/vms/{quote(name)}").json["name"] == name


@pytest.mark.parametrize("bad", [
    "x", "00000000-0000-0000-0000-000000000000", "c7a5fdbd-cdaf-9455-926a-d65c16db180",
    "c7a5fdbd-cdaf-9455-926a-d65c16db1809x", "c7a5fdbdcdaf9455926ad65c16db1809", "", "../x",
    "g7a5fdbd-cdaf-9455-926a-d65c16db1809",
])
def test_a_bad_uuid_is_refused(admin, new_name, bad):
    name = new_name()
    xml = test_domain(name, f"<uuid>{bad}</uuid>")
    answer = admin.post("/v1/vms", xml=xml)
    assert answer.status == 422 and "uuid" in answer.json["detail"], answer
    assert admin.get(f"/v1/vms/{name}").status == 404


@pytest.mark.parametrize("inside", [
    "<os><type>hvm</type><kernel>%s</kernel></os>",
    "<os><type>hvm</type><initrd>%s</initrd></os>",
    "<devices><disk type='file' device='disk'><source file='%s'/><target dev='vda'/></disk></devices>",
    "<devices><filesystem type='mount'><source dir='%s'/><target dir='x'/></filesystem></devices>",
    "<devices><serial type='pty'><log file='%s'/></serial></devices>",
    "<devices><serial type='pty'/><serial type='pty'><log file='%s'/></serial></devices>",
])
@pytest.mark.parametrize("path", ["../x", "a/../../x", "..", "a/.."])
def test_a_relative_path_cannot_leave_its_directory(admin, new_name, inside, path):
    name = new_name()
    xml = f"<domain type='test'><name>{name}</name><memory>8192</memory>{inside % path}</domain>"
    answer = admin.post("/v1/vms", xml=xml)
    assert (answer.status, answer.code) == (422, "invalid_spec")
    assert path in answer.json["detail"]


def test_relative_paths_start_from_the_directories_of_the_settings(gateway, admin, new_vm):
    vm = new_vm(inside="<devices><disk type='file' device='disk'><driver type='raw'/>"
                       "<source file='a/b.qcow2'/>"
                       "<target dev='vda'/></disk></devices>")
    path = f"'{gateway.settings['images']}/a/b.qcow2'"
    assert path.encode() in admin.get(f"/v1/vms/{vm['name']}/xml").body


def test_a_create_needs_either_xml_or_a_template(admin, new_name):
    xml = test_domain(new_name())
    assert admin.post("/v1/vms", json={"xml": xml, "template": "helloworld"}).status == 400
    assert admin.post("/vm?xmlName=helloworld.xml", xml=xml).status == 400
    assert admin.post("/vm?xmlName=helloworld&xmlContent=" + quote(xml)).status == 400
    assert admin.post("/vm?xmlContent=" + quote(xml), xml=xml).status == 400
    assert admin.post("/v1/vms?start=1", json={"xml": xml, "start": True}).status == 400
    for target in "/v1/vms", "/vm":
        assert admin.post(target).status == 400
    assert admin.post("/v1/vms", json={"xml": xml, "persistent": False, "start": False}).status == 400
    assert admin.post("/v1/vms?persistent=maybe", xml=xml).status == 400


@pytest.mark.parametrize("template", ["none", "none.xml", "../helloworld", "helloworld.xml.xml"])
def test_an_unknown_template_is_404(admin, template):
    answer = admin.post("/v1/vms", json={"template": template})
    assert (answer.status, answer.code) == (404, "template_not_found")


# Defects of virtgate's predecessor, the seed, whose routes are kept


def test_seed_1_errors_are_not_200(admin):
    cases = [
        (404, "POST", "/vm?xmlName=none.xml"), (404, "DELETE", "/vm?name=none"),
        (404, "POST", "/vm/suspend?name=none"), (404, "POST", "/vm/resume?name=none"),
        (404, "POST", "/vm/snapshot?name=none"), (404, "POST", "/vm/snapshot/revert?name=none"),
        (400, "POST", "/vm"), (422, "POST", "/vm?xmlContent=x"), (400, "DELETE", "/vm"),
    ]
    for status, method, target in cases:
        assert admin.request(method, target).status == status, target


def test_seed_2_no_error_is_dropped(admin, new_vm):
    vm = new_vm()
    for action in "suspend", "resume":
        answer = admin.post(f"/vm/{action}?name={vm['name']}")
        assert (answer.status, answer.json["state"]) == (409, "shutoff")
    assert admin.delete(f"/vm?name={vm['name']}").status == 200
    assert admin.delete(f"/vm?name={vm['name']}").status == 404
    assert admin.get(f"/v1/vms/{vm['uuid']}").status == 404


def test_seed_3_an_action_affects_only_the_named_vm(admin, new_vm):
    vms = [new_vm(start=True) for _ in range(3)]

    def states():
        every = {vm["name"]: vm["state"] for vm in admin.get("/v1/vms").json["items"]}
        return [every.get(vm["name"]) for vm in vms]

    for i, vm in enumerate(vms):
        expected = ["running"] * 3
        assert admin.post(f"/vm/suspend?name={vm['name']}").json["name"] == vm["name"]
        expected[i] = "paused"
        assert states() == expected
        assert admin.post(f"/vm/resume?name={vm['name']}").json["uuid"] == vm["uuid"]
        assert states() == ["running"] * 3
    assert admin.delete(f"/vm?name={vms[1]['name']}").status == 200
    assert states() == ["running", None, "running"]


SECRET = test_domain("leaked-secret")


@pytest.mark.parametrize("name", [
    "../secret.xml", "..%2Fsecret.xml", "%2e%2e%2fsecret", "....//secret.xml", "./helloworld.xml",
    "../templates/helloworld.xml", "sub/inner.xml", "sub%2finner.xml", "{dir}/secret.xml",
    "%2Fetc%2Fpasswd", "/etc/passwd", "../../../../etc/passwd", "..%5csecret.xml", "file:secret.xml",
    "link.xml", "link", "linkdir/secret.xml", "linkdir", "directory.xml", "directory", "fifo.xml",
    ".hidden", ".hidden.xml", "..", ".", "helloworld.xml%2F..%2F..%2Fsecret.xml", "helloworld.xml/",
    "helloworld.xml ", "HELLOWORLD.xml", "x" * 64,
])
@pytest.mark.parametrize("target", ["/vm?xmlName=", "/v1/vms"])
def test_seed_4_xml_name_can_name_only_a_template(gateway, admin, target, name):
    templates = gateway.templates
    if not (gateway.dir / "secret.xml").exists():
        (gateway.dir / "secret.xml").write_text(SECRET)
        (templates / "link.xml").symlink_to(gateway.dir / "secret.xml")
        (templates / "linkdir").symlink_to(gateway.dir)
        (templates / "directory.xml").mkdir()
        (templates / "sub").mkdir()
        (templates / "sub/inner.xml").write_text(SECRET)
        (templates / ".hidden.xml").write_text(SECRET)
        os.mkfifo(templates / "fifo.xml")
    name = name.format(dir=gateway.dir)
    if target == "/v1/vms":
        answer = admin.post(target, json={"template": urllib.parse.unquote(name)})
    else:
        answer = admin.post(target + name.replace(" ", "%20"))
    assert (answer.status, answer.code) == (404, "template_not_found"), answer
    assert "leaked-secret" not in names_in(admin.get("/v1/vms"))
    assert str(gateway.dir) not in answer.body.decode().replace(name, "")


def test_seed_4_an_xml_name_that_is_not_text_is_400(admin):
    for name in "", "%00", "helloworld.xml%00", "%ff", "x" * 65:
        assert admin.post(f"/vm?xmlName={name}").status == 400


def test_seed_5_xml_content_creates_a_vm(admin, new_name):
    for plus in False, True:
        name = new_name()
        xml = test_domain(name, "<title>a  b+c &amp; d</title>")
        query = urllib.parse.urlencode({"xmlContent": xml}) if plus else "xmlContent=" + quote(xml)
        answer = admin.post("/vm?" + query)
        assert (answer.status, answer.json["name"]) == (201, name)
        assert b"<title>a  b+c &amp; d</title>" in admin.get(answer.location + "/xml").body
        assert admin.delete(f"/vm?name={name}").status == 200


@pytest.mark.parametrize("prefix", ["/vm", ""])
def test_seed_6_suspend_and_resume_have_their_documented_paths(operator, new_vm, prefix):
    name = new_vm(start=True)["name"]
    assert operator.post(f"{prefix}/suspend?name={name}").json["state"] == "paused"
    assert operator.get(f"/v1/vms/{name}").json["state"] == "paused"
    assert operator.post(f"{prefix}/resume?name={name}").json["state"] == "running"
    assert operator.get(f"/v1/vms/{name}").json["state"] == "running"


def test_seed_7_lines_of_xml_are_not_joined(gateway, admin, new_name):
    names = new_name(), new_name(), new_name()
    xml = ["<domain\ntype='test'\n>\n<name>\n" + n + "\n</name><memory\nunit='KiB'>8192</memory>"
           "<os><type>hvm</type></os>\n<description>first\nsecond</description></domain>"
           for n in names]
    (gateway.templates / "lines.xml").write_text(xml[0])
    answers = [admin.post("/vm?xmlName=lines.xml"), admin.post("/vm?xmlContent=" + quote(xml[1])),
               admin.post("/vm", xml=xml[2])]
    for name, answer in zip(names, answers):
        assert (answer.status, answer.json["name"]) == (201, name)
        assert b"first\nsecond" in admin.get(answer.location + "/xml").body
        assert admin.delete(f"/vm?name={name}").status == 200


def test_seed_8_a_shut_off_vm_is_listed_with_its_state(viewer, new_vm):
    off, on = new_vm(), new_vm(start=True)
    listed = {vm["name"]: vm for vm in viewer.get("/v1/vms").json["items"]}
    assert listed[off["name"]]["state"] == "shutoff" and listed[on["name"]]["state"] == "running"
    assert listed[on["name"]] == as_listed(viewer.get(f"/v1/vms/{on['uuid']}").json)
    assert set(listed[off["name"]]) >= {
        "uuid", "name", "state", "reason", "vcpus", "memory_kib", "persistent", "autostart"}
    assert listed[off["name"]]["memory_kib"] == 8192 and listed[off["name"]]["vcpus"] == 1
    running = names_in(viewer.get("/vms"))
    assert on["name"] in running and off["name"] not in running
    assert list(listed) == sorted(listed)


def test_seed_9_a_get_changes_nothing_and_shutdown_is_for_admins(gateway, clients):
    for user in "admin", "viewer":
        for method in "GET", "HEAD", "DELETE", "PUT":
            answer = clients(user).request(method, "/shutdown")
            assert answer.status == 405 and answer.headers["Allow"] == "POST, OPTIONS"
    assert clients(None).get("/shutdown").status == 401
    assert clients(None).post("/shutdown").status == 401
    for user in "norole", "viewer", "operator":
        assert clients(user).post("/shutdown").status == 403
    assert gateway.virtgate.poll() is None and clients("admin").get("/readyz").status == 200


def test_seed_9_no_get_changes_anything(admin, new_vm):
    vm = new_vm(start=True)
    for route in ROUTES:
        if route.method != "GET" and "{snap}" not in route.path:
            target = target_of(route, vm["uuid"])
            assert admin.get(target).status in (200, 400, 404, 405), target
    assert admin.get(f"/v1/vms/{vm['uuid']}").json["state"] == "running"
    assert admin.get(f"/v1/vms/{vm['uuid']}/snapshots").json["items"] == []


def listening(pid):
    """The TCP sockets that a process listens on, as /proc/net/tcp writes them."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
        except FileNotFoundError:
            continue
    rows = [line.split() for table in ("tcp", "tcp6")
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]


def test_seed_10_virtgate_listens_only_on_a_unix_socket_with_limited_access(gateway):
    assert listening(gateway.virtgate.pid) == []
    assert all(address.startswith("0100007F:") for address in listening(gateway.nginx.pid))
    assert os.stat(gateway.listen).st_mode & 0o007 == 0


@pytest.mark.parametrize("version, works", [
    (ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False),
    (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True),
], ids=lambda v: getattr(v, "name", str(v)))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_seed_10_old_tls_versions_are_refused(gateway, version, works):
    context = ssl.create_default_context(cafile=gateway.dir / "virtgate/cert.pem")
    context.set_ciphers("ALL:@SECLEVEL=0")  # or this client would not even offer TLS 1.1
    context.minimum_version = context.maximum_version = version
    if works:
        with gateway.connect_tls(context) as sock:
            assert sock.version() == version.name.replace("_", ".")
        return
    with pytest.raises((ssl.SSLError, ConnectionError)) as caught:
        gateway.connect_tls(context)
    assert not re.search("NO_PROTOCOLS|NO_CIPHERS", str(caught.value)), "the client gave up itself"


@pytest.mark.parametrize("cipher", ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA"])
def test_seed_10_weak_ciphers_are_refused(gateway, cipher):
    context = ssl.create_default_context(cafile=gateway.dir / "virtgate/cert.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher + ":@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        gateway.connect_tls(context)


def test_seed_10_plain_http_is_refused_with_an_explanation(gateway):
    client = gateway.client(None)
    client.sock = gateway.connect_tcp()
    with client:
        answer = client.get("/v1")
        assert (answer.status, answer.code) == (400, "bad_request")
        assert "https" in answer.json["detail"]
        assert "Strict-Transport-Security" not in answer.headers


def test_every_answer_has_strict_transport_security(admin, stranger):
    for answer in admin.get("/v1"), admin.get("/none"), stranger.get("/v1"):
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert answer.headers["Cache-Control"] == (
            "private, no-cache" if answer.status == 200 else "no-store")


# Lifecycles


def test_the_lifecycle_by_the_seeds_routes(admin):
    answer = admin.post("/vm?xmlName=helloworld.xml")
    assert answer.status == 201
    vm = answer.json
    assert (vm["name"], vm["state"], vm["persistent"]) == ("vm_helloworld", "running", False)
    assert answer.location == f"/v1/vms/{vm['uuid']}"
    assert admin.get(answer.location).json["uuid"] == vm["uuid"]
    assert "vm_helloworld" in names_in(admin.get("/vms"))
    for action, state in ("suspend", "paused"), ("resume", "running"):
        answer = admin.post(f"/vm/{action}?name=vm_helloworld")
        assert (answer.status, answer.json["state"], answer.json["changed"]) == (200, state, True)
    xml = "<domainsnapshot><name>one</name><description>the first</description></domainsnapshot>"
    answer = admin.post("/vm/snapshot?name=vm_helloworld", xml=xml)
    assert (answer.status, answer.json["name"]) == (201, "one")
    assert admin.get(answer.location).json["description"] == "the first"
    assert admin.post("/vm/suspend?name=vm_helloworld").status == 200
    answer = admin.post("/vm/snapshot/revert?name=vm_helloworld")
    assert (answer.status, answer.json["state"]) == (200, "running")
    answer = admin.delete("/vm?name=vm_helloworld")
    assert (answer.status, answer.json["stopped"]) == (200, True)
    assert admin.get("/v1/vms/vm_helloworld").status == 404
    assert "vm_helloworld" not in names_in(admin.get("/vms"))


def test_the_seeds_snapshot_without_a_body_gets_a_name(admin, new_vm):
    name = new_vm(start=True)["name"]
    made = [admin.post(f"/vm/snapshot?name={name}") for _ in range(3)]
    assert [answer.status for answer in made] == [201] * 3
    assert len({answer.json["name"] for answer in made}) == 3
    assert all(admin.get(answer.location).status == 200 for answer in made)


def test_the_lifecycle_by_the_routes_of_v1(admin, new_name):
    name = new_name()
    answer = admin.post("/v1/vms", json={"template": "linux", "name": name})
    assert answer.status == 201
    vm, location = answer.json, answer.location
    assert (vm["name"], vm["state"], vm["persistent"]) == (name, "shutoff", True)
    assert "test driver" in vm["warnings"][0] and location == f"/v1/vms/{vm['uuid']}"
    steps = [("start", "running", True), ("start", "running", False), ("suspend", "paused", True),
             ("resume", "running", True), ("reboot", "running", True), ("stop", "shutoff", True),
             ("start", "running", True)]
    for action, state, changed in steps:
        answer = admin.post(f"{location}/{action}")
        # the test driver's reboot ends in shutoff: it has no guest to come back
        if action == "reboot" and answer.json["state"] == "shutoff":
            admin.post(f"{location}/start")
            continue
        assert (answer.status, answer.json["state"], answer.json["changed"]) == (200, state, changed)
        assert admin.get(location).json["state"] == state
        assert admin.get(f"/v1/vms/{name}").json["uuid"] == vm["uuid"]
    xml = admin.get(f"{location}/xml")
    assert xml.headers["Content-Type"] == "application/xml"
    assert f"<name>{name}</name>".encode() in xml.body
    answer = admin.delete(location)
    assert (answer.status, answer.json["stopped"]) == (200, True)
    assert "definition" in answer.json["removed"]
    for target in location, f"/v1/vms/{name}", f"{location}/xml", f"{location}/snapshots":
        assert admin.get(target).status == 404


def test_snapshots_are_a_tree_and_each_has_an_address(admin, operator, new_vm):
    vm = new_vm(start=True)
    base = f"/v1/vms/{vm['uuid']}/snapshots"
    assert operator.get(base).json["items"] == []
    for name in "a", "b", "c":
        answer = operator.post(base, json={"name": name, "description": f"ümlaut {name} <&>"})
        assert (answer.status, answer.json["name"]) == (201, name)
        assert operator.get(answer.location).json == answer.json
        assert answer.json["description"] == f"ümlaut {name} <&>"
    assert operator.get(f"/v1/vms/{vm['uuid']}").json["has_snapshots"] is True
    items = {s["name"]: s for s in operator.get(base).json["items"]}
    assert [items[n]["parent"] for n in "abc"] == [None, "a", "b"]
    assert [items[n]["current"] for n in "abc"] == [False, False, True]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", items["a"]["created"])
    answer = operator.post(base, json={"name": "a"})
    assert (answer.status, answer.code) == (409, "already_exists")
    operator.post(f"/v1/vms/{vm['uuid']}/suspend")
    answer = operator.post(f"{base}/a/revert")
    assert (answer.status, answer.json["state"]) == (200, "running")
    assert operator.get(f"{base}/a").json["current"] is True
    operator.post(base, json={"name": "d"})
    assert operator.get(f"{base}/d").json["parent"] == "a"
    assert operator.delete(f"{base}/b").json == {
        "name": "b", "deleted": ["b"], "metadata_only": False}
    assert operator.get(f"{base}/c").json["parent"] == "a"
    for method, target in ("GET", f"{base}/b"), ("DELETE", f"{base}/b"), ("POST", f"{base}/b/revert"):
        answer = operator.request(method, target)
        assert (answer.status, answer.code) == (404, "snapshot_not_found")
    answer = admin.delete(f"/v1/vms/{vm['uuid']}")
    assert "snapshot_metadata" in answer.json["removed"]


def test_reverting_without_any_snapshot_is_404(operator, new_vm):
    answer = operator.post(f"/vm/snapshot/revert?name={new_vm()['name']}")
    assert (answer.status, answer.code) == (404, "snapshot_not_found")


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "a b", "ü", ".x", "a\nb", "x" * 63 + "y"])
def test_a_bad_snapshot_name_is_refused(operator, new_vm, name):
    base = f"/v1/vms/{new_vm()['uuid']}/snapshots"
    assert operator.post(base, json={"name": name}).status in (400, 422)
    xml = f"<domainsnapshot><name>{name}</name></domainsnapshot>"
    assert operator.post(base, xml=xml).status in (400, 422)
    assert operator.get(base).json["items"] == []


@pytest.mark.parametrize("xml", [
    "<domain/>", "x", "<domainsnapshot>", "<!DOCTYPE x><domainsnapshot/>",
    "<domainsnapshot><name>&x;</name></domainsnapshot>", "<?x?><domainsnapshot/>",
])
def test_bad_snapshot_xml_is_422(operator, new_vm, xml):
    answer = operator.post(f"/v1/vms/{new_vm()['uuid']}/snapshots", xml=xml)
    assert (answer.status, answer.code) == (422, "invalid_xml")


def test_snapshot_xml_that_names_files_is_refused(operator, new_vm):
    base = f"/v1/vms/{new_vm(start=True)['uuid']}/snapshots"
    xml = ("<domainsnapshot><name>s</name><description>d</description>"
           "<memory snapshot='external' file='/etc/virtgate-was-here'/>"
           "<disks><disk name='vda'><source file='/etc/virtgate-was-here'/></disk></disks>"
           "</domainsnapshot>")
    answer = operator.post(base, xml=xml)
    assert (answer.status, answer.code) == (422, "policy_denied"), answer
    assert [v["path"] for v in answer.json["violations"]] == [
        "/domainsnapshot/memory/@snapshot", "/domainsnapshot/memory/@file",
        "/domainsnapshot/disks/disk/@snapshot", "/domainsnapshot/disks/disk/source"]
    assert operator.get(base).json == {"items": []}
    assert not Path("/etc/virtgate-was-here").exists()


# The process


def test_shutdown_drains_and_ends_with_0(new_gateway):
    gateway = new_gateway()
    with gateway.client("admin") as admin:
        answer = admin.post("/shutdown")
        assert (answer.status, answer.json) == (200, {"draining": True})
        assert gateway.virtgate.wait(40 * PATIENCE) == 0
        assert not Path(gateway.listen).exists()
        answer = admin.get("/v1")
        assert (answer.status, answer.code) == (502, "backend_unavailable")
        assert answer.json["retryable"] is True


class Traffic:
    """Clients that send requests without a pause until they are stopped."""

    def __init__(self, gateway, count, step, patient=False):
        """step(client, number of the client, number of the request) sends a request."""
        self.gateway, self.step, self.patient = gateway, step, patient
        self.answers, self.failures = [], []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        try:
            with self.gateway.client("admin", patient=self.patient) as client:
                for turn in itertools.count():
                    if self.stopping.is_set():
                        return
                    self.answers.append(self.step(client, number, turn))
        except Exception as failure:  # it is looked at in the main thread
            self.failures.append(repr(failure))
            self.stopping.set()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads), "a client hangs"
        assert not self.failures, self.failures[:3]


def served_requests(gateway):
    """The requests in virtgate's log: request id -> status."""
    return {i: int(s) for i, s in re.findall(r"request id=(\w+) .*? status=(\d+) ", gateway.log())}


@pytest.mark.parametrize("round", range(3))
def test_sigterm_under_load_ends_with_0_and_loses_no_accepted_request(new_gateway, round):
    gateway = new_gateway(workers=16)
    served_after = 300

    def step(client, number, turn):
        action = "suspend" if turn % 2 else "resume"
        return client.post(f"/vm/{action}?name=test") if number % 4 == 0 else client.get("/v1/vms")

    traffic = Traffic(gateway, 16, step)
    wait_until(lambda: len(traffic.answers) > served_after or traffic.failures, "traffic", 30)
    gateway.virtgate.terminate()
    assert gateway.virtgate.wait(40 * PATIENCE) == 0
    wait_until(lambda: traffic.answers[-1].status == 502 or traffic.failures, "nginx says so", 30)
    traffic.stop()
    answered = {a.request_id: a.status for a in traffic.answers}
    assert len(answered) == len(traffic.answers)
    served = served_requests(gateway)
    lost = {i: s for i, s in served.items() if i in answered and answered[i] != s}
    assert not lost, lost
    assert set(answered.values()) <= {200, 502, 503}
    assert all(s == 502 or i in served for i, s in answered.items())
    assert sum(s == 200 for s in answered.values()) > served_after


@pytest.mark.parametrize("round", range(3))
def test_behind_two_backends_a_restart_loses_no_read(new_gateway, round):
    gateway, second = new_gateway(start=False), new_gateway(start=False)
    (gateway.dir / "virtgate/backends.conf").write_text("".join(
        f"server unix:{g.listen} max_fails=0;\n" for g in (gateway, second)))
    second.start_virtgate()
    gateway.start()
    traffic = Traffic(gateway, 8, lambda client, number, turn: client.get("/v1/vms"), patient=True)
    try:
        for restarting in gateway.stop_virtgate, gateway.start_virtgate, gateway.wait_serving:
            sent = len(traffic.answers)
            wait_until(lambda n=sent: len(traffic.answers) > n + 200 or traffic.failures, "traffic")
            restarting()
    finally:
        traffic.stop()
    assert {answer.status for answer in traffic.answers} == {200}


def test_kept_connections_and_slow_clients_occupy_no_worker(new_gateway):
    gateway = new_gateway(workers=1)
    slow = []
    for _ in range(4):
        client = gateway.client("admin")
        client.connect()
        client.sock.sendall(b"POST /v1/vms HTTP/1.1\r\nHost: localhost\r\n" + client.credentials.encode()
                            + b"Content-Type: application/xml\r\nContent-Length: 1000\r\n\r\n<dom")
        slow.append(client)
    traffic = Traffic(gateway, 24, lambda client, number, turn: client.get("/v1/vms"))
    wait_until(lambda: len(traffic.answers) > 1000 or traffic.failures, "1000 answers", 30)
    traffic.stop()
    with gateway.client("admin") as client:
        assert client.get("/readyz").status == 200
    for client in slow:
        client.close()


@pytest.mark.parametrize("data", [
    b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\x01\x01\0\x01\0\x08\0\0",
    b"\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0",  # a request begins, and that is all
    b"\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0\x01\x04\0\x01\xff\xff\0\0" + b"\xff" * 65535,
    b"\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0\x01\x04\0\x01\0\0\0\0\x01\x05\0\x01\0\0\0\0",
    b"\x01\x09\0\0\0\0\0\0", b"\x01\x02\0\x01\0\0\0\0", b"\x7f\x01\0\x01\0\x08\0\0" + b"\0" * 8,
], ids=lambda data: f"{len(data)} {data[:12].hex()}")
def test_bytes_that_are_not_fastcgi_do_not_disturb_other_connections(gateway, admin, data):
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(20)
            peer.connect(gateway.listen)
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            try:
                while peer.recv(65536):
                    pass
            except ConnectionError:
                pass
    assert admin.get("/v1/vms").status == 200


def test_nginx_finds_virtgate_again_after_a_restart(new_gateway):
    gateway = new_gateway()
    with gateway.client("admin") as admin:
        for _ in range(2):
            gateway.stop_virtgate()
            assert admin.get("/readyz").status == 502
            gateway.start_virtgate()
            gateway.wait_ready()
            assert admin.get("/v1/vms").status == 200


def test_a_second_virtgate_does_not_take_the_socket_of_the_first(gateway, admin):
    second = subprocess.run([BINARY.resolve()], env=gateway.environment(), capture_output=True,
                            text=True, timeout=60)
    assert second.returncode == 1 and "another process listens there" in second.stderr
    assert admin.get("/readyz").status == 200


def test_virtgate_serves_a_socket_handed_over_by_systemd(new_gateway):
    gateway = new_gateway(activated=True)
    with gateway.client("admin") as admin:
        assert admin.get("/v1/vms").status == 200
        assert admin.post("/vm/suspend?name=test").json["state"] == "paused"
    comm = Path(f"/proc/{gateway.virtgate.pid}/comm").read_text()
    assert comm.strip() != "systemd-socket-"  # it has become virtgate itself


def test_virtgate_listens_on_host_and_port(new_gateway):
    gateway = new_gateway(listen=f"127.0.0.1:{free_port()}")
    with gateway.client("admin") as admin:
        assert admin.get("/v1/vms").status == 200
        answer = admin.post("/v1/vms", body=b" " * (1 << 20), type="application/json")
        assert answer.status == 413
        assert admin.get("/v1").json["user"] == "admin"
    assert [a.split(":")[0] for a in listening(gateway.virtgate.pid)] == ["0100007F"]


def test_more_requests_than_listen_conf_allows_are_429(new_gateway):
    """They are sent while nginx is stopped: it then reads them all at once, on any machine."""
    gateway = new_gateway(more_listen="limit_req zone=virtgate_requests burst=2 nodelay;")
    with contextlib.ExitStack() as open_clients:
        clients = [open_clients.enter_context(gateway.client("admin")) for _ in range(40)]
        for client in clients:
            client.connect()
        with contextlib.ExitStack() as pause:
            for pid in gateway.nginx_workers():
                pause.enter_context(stopped(pid))
            for client in clients:
                client.sock.sendall(
                    f"GET /v1 HTTP/1.1\r\nHost: localhost\r\n{client.credentials}\r\n".encode())
        answers = [client.read() for client in clients]
    refused = [a for a in answers if a.status != 200]
    assert refused and {a.code for a in refused} == {"too_many_requests"}


def test_no_process_survives_the_gateway(new_gateway):
    gateway = new_gateway()
    with gateway.client("admin") as admin:
        admin.get("/v1/vms")
        pids = gateway.processes()
        assert len(pids) >= 3
        gateway.stop_nginx()
        gateway.stop_virtgate()
    wait_until(lambda: not any(map(process_is_alive, pids)), "all processes are gone")
    assert not Path(gateway.listen).exists()
    with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", gateway.port)):
        pass


def test_an_unreachable_hypervisor_is_503_and_healthz_stays_200(new_gateway):
    gateway = new_gateway(start=False, uri="test:///no/such/file.xml")
    gateway.start_virtgate()
    gateway.start_nginx()

    def health():
        try:
            with gateway.client(None) as client:
                return client.get("/healthz").status == 200
        except ConnectionError:
            return False

    wait_until(health, "/healthz answers 200")
    with gateway.client("viewer") as viewer:
        start = time.monotonic()
        for target in "/readyz", "/v1/vms", "/v1/vms/x", "/vms":
            answer = viewer.get(target)
            assert answer.status in (500, 503), answer
        assert time.monotonic() - start < 5
        assert viewer.get("/v1").json["hosts"][0]["reachable"] is False


@pytest.mark.parametrize("arguments, status, said", [
    (["--policy"], 0, "/domain/devices/disk/source/@file "), (["--policy=maybe"], 78, "on|off"),
    (["--help"], 0, "VIRTGATE_LISTEN"), (["--version"], 0, "virtgate "),
    (["--check"], 0, "settings are valid"), (["--workers", "0"], 78, "--workers: '0'"),
    (["--nonsense"], 78, "'--nonsense'"), (["--uri"], 78, "--uri"),
    (["--check", "--uri", "nosuch:///"], 1, "nosuch:///"), (["--templates", "rel"], 78, "absolute"),
    (["--check", "--templates", "/nowhere"], 78, "templates: cannot read '/nowhere'"),
    (["--check", "--socket-group", "no such"], 78, "socket-group: there is no group 'no such'"),
    (["--check", "--listen", "/nowhere/x.sock"], 78, "listen: cannot create '/nowhere/x.sock'"),
    (["--listen", "nowhere"], 78, "nowhere"), (["--accel=magic"], 78, "auto|as-written|tcg"),
])
def test_command_line_options_print_and_exit_as_documented(arguments, status, said, tmp_path):
    run = subprocess.run([BINARY.resolve(), *arguments], capture_output=True, text=True,
                         env={**os.environ, "VIRTGATE_URI": "test:///default",
                              "VIRTGATE_TEMPLATES": str(REPO / "xml"),
                              "VIRTGATE_LISTEN": str(tmp_path / "virtgate.sock")},
                         timeout=30 * PATIENCE)
    assert run.returncode == status, run
    assert said in run.stdout + run.stderr


def test_every_code_is_documented_by_a_status_that_http_knows():
    assert len(ERRORS) > 30 and all(400 <= status < 600 for status, _, _ in ERRORS.values())
