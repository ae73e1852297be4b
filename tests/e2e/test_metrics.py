# SPDX-License-Identifier: MIT
"""GET /metrics, on libvirt's test driver."""

import collections
import html
import os
import re
import threading
import time

import exposition
import pytest
from gateway import PATIENCE, wait_until

TYPE = "text/plain; version=0.0.4; charset=utf-8"


def scrape(client, query=""):
    answer = client.get(f"/metrics{query}")
    assert answer.status == 200 and answer.headers["Content-Type"] == TYPE, answer
    return exposition.read(answer.body.decode())


def one(metrics, name, /, **labels):
    return metrics.get((name, frozenset(labels.items())), 0)


def requests(metrics, route, method, status):
    return one(metrics, "virtgate_requests_total", route=route, method=method, status=str(status))


# The format


@pytest.mark.parametrize("text", [
    "", "a 1", "a 1\n", "# HELP a x\na 1\n", "# HELP a x\n# TYPE b gauge\n", "# HELP a x\n# TYPE a gauge\na\n",
    '# HELP a x\n# TYPE a gauge\na{x="1"y="2"} 1\n', '# HELP a x\n# TYPE a gauge\na{x="\\t"} 1\n',
    '# HELP a x\n# TYPE a gauge\na{x="""} 1\n', '# HELP a x\n# TYPE a gauge\na{x="1",} 1\n', "# HELP a x\n# TYPE a gauge\na 1\na 1\n",
    "# HELP a x\n# TYPE a gauge\nb 1\n", "# HELP a x\n# TYPE a gauge\na nan\n", "# HELP a x\n# TYPE a counter\na 1\n",
    '# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
    '# HELP h x\n# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n',
])
def test_the_metrics_parser_of_the_tests_refuses_malformed_text(text):
    with pytest.raises((AssertionError, ValueError, IndexError)):
        exposition.read(text)


# Requests


def test_requests_are_counted_by_route_method_and_status(admin, viewer, stranger, new_vm):
    name = new_vm()["name"]
    before = scrape(viewer)
    for _ in range(3):
        assert viewer.get(f"/v1/vms/{name}").status == 200
    assert viewer.request("HEAD", f"/v1/vms/{name}").status == 200
    assert viewer.get("/v1/vms/nobody").status == 404
    assert viewer.get("/v1/vms?no=1").status == 400
    assert viewer.post(f"/v1/vms/{name}/start").status == 403
    assert admin.post(f"/v1/vms/{name}/start").status == 200
    assert viewer.get("/nowhere").status == 404
    assert viewer.delete("/v1").status == 405
    assert viewer.request("OPTIONS", "/v1").status == 204
    tag = viewer.get("/v1/openapi.json").headers["ETag"]
    assert viewer.get("/v1/openapi.json", headers=f"If-None-Match: {tag}\r\n").status == 304
    assert stranger.get("/v1").status == 401  # by nginx, which does not ask virtgate
    after = scrape(viewer)
    counted = {key: value - before.get(key, 0) for key, value in after.items()
               if key[0] == "virtgate_requests_total" and value != before.get(key, 0)}
    assert counted == {
        ("virtgate_requests_total", frozenset({"route": r, "method": m, "status": str(s)}.items())): n
        for r, m, s, n in [
            ("/v1/vms/{ref}", "GET", 200, 4), ("/v1/vms/{ref}", "GET", 404, 1), ("/v1/vms", "GET", 400, 1),
            ("/v1/vms/{ref}/start", "POST", 403, 1), ("/v1/vms/{ref}/start", "POST", 200, 1),
            ("", "GET", 404, 1), ("", "DELETE", 405, 1), ("", "OPTIONS", 204, 1),
            ("/v1/openapi.json", "GET", 200, 1), ("/v1/openapi.json", "GET", 304, 1), ("/metrics", "GET", 200, 1)]}
    of_vm = {"route": "/v1/vms/{ref}", "method": "GET"}
    duration = "virtgate_request_duration_seconds"
    assert one(after, f"{duration}_count", **of_vm) - one(before, f"{duration}_count", **of_vm) == 5
    assert one(after, f"{duration}_sum", **of_vm) > one(before, f"{duration}_sum", **of_vm)


def test_a_request_refused_before_its_body_is_read_is_counted(admin):
    before = requests(scrape(admin), "/v1/vms", "POST", 413)
    assert admin.post("/v1/vms", body="x" * 300_000, type="application/json").status == 413
    assert requests(scrape(admin), "/v1/vms", "POST", 413) == before + 1


def test_every_one_of_many_concurrent_requests_is_counted(gateway, viewer):
    before = requests(scrape(viewer), "/v1", "GET", 200)

    def ask():
        with gateway.client("viewer", patient=True) as client:
            for _ in range(25):
                assert client.get("/v1").status == 200

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = scrape(viewer)
    assert requests(after, "/v1", "GET", 200) == before + 200
    assert one(after, "virtgate_requests_in_flight") == 1  # this one


def test_no_lock_or_connection_is_in_use_at_rest(viewer):
    # The inventory's sweep leases a connection now and then.
    def leased():
        metrics = scrape(viewer)
        return sum(metrics[("virtgate_libvirt_connections_leased", frozenset({("host", "local"), ("class", name)}))]
                   for name in ("read", "call", "kill"))

    wait_until(lambda: leased() == 0, "none is leased")
    after = scrape(viewer)
    for name in ("virtgate_gates_held", "virtgate_gates_waiting", "virtgate_long_work", "virtgate_libvirt_waiting",
                 "virtgate_libvirt_open_failures_total", "virtgate_libvirt_pause_seconds"):
        assert after[(name, frozenset({("host", "local")}))] == 0
    assert one(after, "virtgate_libvirt_connections", host="local") >= 1
    assert one(after, "virtgate_libvirt_connections_max", host="local") == 8
    assert one(after, "virtgate_workers") == 64


# The process


def test_process_metrics_agree_with_the_kernel(gateway, viewer):
    metrics = scrape(viewer)
    pid = gateway.virtgate.pid
    assert one(metrics, "process_threads") == len(os.listdir(f"/proc/{pid}/task"))
    assert abs(one(metrics, "process_open_fds") - len(os.listdir(f"/proc/{pid}/fd"))) <= 1
    assert 0 < one(metrics, "process_start_time_seconds") <= time.time()
    assert time.time() - one(metrics, "process_start_time_seconds") < 600 * PATIENCE
    assert one(metrics, "process_resident_memory_bytes") > 1 << 20
    assert one(metrics, "process_cpu_seconds_total") > 0
    [version] = [dict(labels)["version"] for name, labels in metrics if name == "virtgate_build_info"]
    assert version == viewer.get("/v1").json["version"]


# VMs


def test_each_vm_has_its_state_and_size(operator, viewer, new_vm):
    vm = new_vm(start=True)
    who = {"host": "local", "uuid": vm["uuid"], "name": vm["name"]}
    before = scrape(viewer)
    assert one(before, "virtgate_vm_state", **who, state="running") == 1
    assert one(before, "virtgate_vm_vcpus", **who) == vm["vcpus"]
    assert one(before, "virtgate_vm_memory_bytes", **who) == vm["memory_kib"] * 1024
    assert operator.post(f"/v1/vms/{vm['uuid']}/suspend").status == 200
    after = scrape(viewer)
    assert one(after, "virtgate_vm_state", **who, state="paused") == 1
    assert one(after, "virtgate_vm_state", **who, state="running") == 0
    for state, more in (("paused", 1), ("running", -1)):
        assert (one(after, "virtgate_vms", host="local", state=state)
                == one(before, "virtgate_vms", host="local", state=state) + more)


def test_the_series_of_single_vms_can_be_left_out(viewer):
    names = {name for name, _ in scrape(viewer, "?vms=0")}
    assert "virtgate_requests_total" in names and "virtgate_libvirt_connections" in names
    assert not [n for n in names if n.startswith("virtgate_vm") or n == "virtgate_host_up"]


def host_file(tmp_path, names):
    """A host of the test driver with VMs of these names."""
    domains = "".join(f"<domain type='test'><name>{html.escape(n)}</name><memory>8192</memory><os><type>hvm</type>"
                      f"</os></domain>" for n in names)
    file = tmp_path / "host.xml"
    file.write_text(f"<node>{domains}</node>")
    tmp_path.chmod(0o755)
    return f"test://{file}"


def test_unusual_vm_names_are_escaped(new_gateway, tmp_path):
    names = ['say "hi"', "back\\slash", "\\n", "}{=,", "ünï", "x\\"]
    gateway = new_gateway(uri=host_file(tmp_path, names))
    with gateway.client("viewer") as viewer:
        shown = [dict(labels)["name"] for name, labels in scrape(viewer) if name == "virtgate_vm_state"]
    assert sorted(shown) == sorted(names)


@pytest.mark.parametrize("count, shown", [(1000, 1), (1001, 0)])
def test_only_totals_are_shown_beyond_a_thousand_vms(new_gateway, tmp_path, count, shown):
    gateway = new_gateway(uri=host_file(tmp_path, [f"vm-{n}" for n in range(count)]))
    with gateway.client("viewer") as viewer:
        metrics = scrape(viewer)
    assert one(metrics, "virtgate_vms_shown", host="local") == shown
    of_vms = collections.Counter(name for name, _ in metrics)
    for name in ("virtgate_vm_state", "virtgate_vm_vcpus", "virtgate_vm_memory_bytes"):
        assert of_vms[name] == count * shown
    assert sum(value for (name, _), value in metrics.items() if name == "virtgate_vms") == count


def test_process_metrics_do_not_need_libvirt(new_gateway):
    gateway = new_gateway(start=False, uri="test+unix:///default?socket=/nonexistent")
    gateway.start_virtgate()
    gateway.start_nginx()
    gateway.wait_ready("/healthz")
    with gateway.client("viewer") as viewer:
        assert viewer.get("/v1/host").status == 503
        metrics = scrape(viewer)
    assert one(metrics, "virtgate_host_up", host="local") == 0
    assert ("virtgate_host_up", frozenset({("host", "local")})) in metrics
    assert requests(metrics, "/v1/host", "GET", 503) == 1
    assert not [name for name, _ in metrics if re.match("virtgate_vms?(_|$)", name)]


# Roles


def test_metrics_need_a_role(clients, stranger):
    assert stranger.get("/metrics").status == 401
    assert clients("norole").get("/metrics").status == 403
    assert clients("viewer").post("/metrics").status == 405
