# SPDX-License-Identifier: MIT
"""A load of mixed requests, faults that are injected meanwhile, and what the clients saw of them.

A Load is a number of Watchers: clients with one VM each (see actor.py) that record every request. A
fault is a block under `with load.fault(name)`. Afterwards load.report() waits until requests
succeed again and returns what clients saw. The rows that were reported are printed as the table of
docs/reliability.md when the process ends, if VIRTGATE_FAULT_TABLE is set: at that file's end.

VIRTGATE_FAULT_SECONDS is the duration of faults that have one, such as a hanging daemon.
"""

import atexit
import contextlib
import itertools
import os
import select
import threading
import time
from collections import Counter
from typing import NamedTuple

from actor import COMING_MAX, DONE, LOST, UNSENT, Actor
from gateway import PATIENCE, Client, wait_until

# virtgate's deadlines, in seconds, as short as the tests on QEMU here allow.
READ_DEADLINE, ACTION_DEADLINE, LONG_DEADLINE = (int(s * PATIENCE) for s in (3, 6, 12))
# Longer than nginx waits for a read, so that clients notice a virtgate that hangs.
FAULT_SECONDS = float(os.environ.get("VIRTGATE_FAULT_SECONDS", READ_DEADLINE + 5))
DEADLINES = {"read_deadline": READ_DEADLINE, "action_deadline": ACTION_DEADLINE,
             "long_deadline": LONG_DEADLINE}
# How long after its deadline a request may be answered, on a slow machine.
SLACK = 4 * PATIENCE
# A client pauses this long between two requests, so that the load does not saturate the machine.
THINK_SECONDS = 0.02
READS = {"list", "get", "stats", "snapshots", "healthz", "readyz"}


def deadline_of(kind):
    """nginx may send a read to a virtgate that hangs first, and then to another one."""
    return READ_DEADLINE + 1 + READ_DEADLINE if kind in READS else LONG_DEADLINE + 1


class Record(NamedTuple):
    kind: str
    vm: str
    sent: float
    answered: float  # or given up
    status: int  # 0: none
    code: str  # of an error; or what became of the connection

    @property
    def failed(self):
        return self.status == 0 or self.status >= 500

    @property
    def seconds(self):
        return self.answered - self.sent

    @property
    def unanswered(self):
        return self.code == "unanswered"

    def said(self):
        return f"{self.status} {self.code}".strip() if self.status else self.code


class TimedClient(Client):
    """A client with a timeout. If kept is false, each request has a connection of its own."""

    def __init__(self, gateway, user="admin", kept=True):
        super().__init__(gateway, user)
        self.kept = kept
        self.seconds = READ_DEADLINE + SLACK
        self.cache_control = ""  # it accepts stale lists, as most clients do
        self.beyond = (500,)  # the Watcher checks whether it is tolerated

    def connect(self):
        # As HTTP libraries do: a readable idle connection has been closed by the server.
        if self.sock and select.select([self.sock], [], [], 0)[0]:
            self.close()
        super().connect()
        self.sock.settimeout(self.seconds)

    def request(self, method, target, body=None, type=None, headers="", **kind):
        if not self.kept:
            headers += "Connection: close\r\n"
        return super().request(method, target, body, type, headers, **kind)


class Watcher(Actor):
    """Records the outcome of each request, and continues after a failure."""

    def __init__(self, gateway, name, make, seed, tolerated, kept=True, snapshots=True,
                 think=THINK_SECONDS):
        super().__init__(TimedClient(gateway, kept=kept), name, make, seed, tolerated, snapshots)
        self.records, self.think = [], think
        self.failure = None
        self.settling = False
        self.turning = threading.Lock()  # held during a turn

    def request(self, kind, method, target, **how):
        self.client.seconds = deadline_of(kind) + SLACK
        sent = time.monotonic()
        answer, status, code = LOST, 0, ""
        try:
            answer = self.client.request(method, target, **how)
            status, code = answer.status, answer.code if answer.status >= 400 else ""
        except TimeoutError:
            code = "unanswered"
        except ConnectionRefusedError:
            answer, code = UNSENT, "refused"
        except (OSError, EOFError) as lost:
            # http.client's RemoteDisconnected is one of these.
            code = f"connection lost ({type(lost).__name__})"
        self.records.append(Record(kind, self.name, sent, time.monotonic(), status, code))
        return answer

    def run(self, stopping):
        try:
            while not stopping.is_set():
                with self.turning:
                    self.turn()
                stopping.wait(self.think)
        except BaseException as failure:  # it is looked at in the main thread
            self.failure = failure
        finally:
            self.client.close()

    def turn(self):
        if self.settling:
            self.settle()
            self.settling = False
        steps = [self.look_at_list, self.look, self.stats, self.healthz, self.readyz] * 3
        # With several unknown outcomes, more changes would multiply the worlds: look first.
        if self.open_outcomes() < COMING_MAX:
            steps += self.changes()
        self.random.choice(steps)()

    def healthz(self):
        self.request("healthz", "GET", "/healthz")

    def readyz(self):
        self.request("readyz", "GET", "/readyz")

    def settle(self):
        """After all faults have ended: brings the VM into a known state."""
        deadline = time.monotonic() + 30 * PATIENCE
        while True:
            # A VM's changes are made one by one: once this one is done, no earlier one is under
            # way.
            seen = self.look()
            if (self.create() if seen.status == 404 else self.act("stop")) is DONE:
                break
            assert time.monotonic() < deadline, (self.name, self.history[-5:], seen, self.worlds)
        self.forget_coming()
        assert self.look().status == 200
        assert self.look_at_snapshots().status == 200


class Fault:
    def __init__(self, name):
        self.name, self.start, self.end = name, time.monotonic(), None


crowds = itertools.count(1)


class Load:
    """make(name) returns what the VM of that name is made from."""

    def __init__(self, gateway, make, count=6, seed=0, tolerated=(), kept=True, snapshots=True,
                 think=THINK_SECONDS):
        self.stopping = threading.Event()
        crowd = next(crowds)  # a failed test may leave its VMs
        self.watchers = [
            Watcher(gateway, name, make(name), f"{seed} {name}", tolerated, kept, snapshots, think)
            for name in (f"load-{crowd}-{i}" for i in range(count))]
        self.threads = [threading.Thread(target=w.run, args=(self.stopping,)) for w in self.watchers]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(2 * (LONG_DEADLINE + SLACK))
        hanging = [t for t in self.threads if t.is_alive()]
        if kind is None:
            assert not hanging, "a client hangs"
            self.check()

    def check(self):
        for watcher in self.watchers:
            if watcher.failure:
                raise watcher.failure

    def go_on_for(self, seconds, until_seen=False):
        """Lets the load continue for so long and, if asked, until a client has seen a failure."""
        start = time.monotonic()
        while time.monotonic() < start + seconds and not self.stopping.wait(0.05):
            self.check()
        if until_seen:
            wait_until(lambda: self.check() or any(r.failed and r.answered >= start for r in self.records()),
                       "a client sees the fault", LONG_DEADLINE + 1 + SLACK)

    def records(self, since=0.0, until=float("inf"), **where):
        """The records of requests sent in this time. where: the allowed values of their members."""
        return sorted((r for w in self.watchers for r in list(w.records)
                       if since <= r.sent < until
                       and all(getattr(r, name) in values for name, values in where.items())),
                      key=lambda record: record.answered)

    def wait_for(self, count, what="more requests", since=None, seconds=60):
        """Waits until each client has had so many answers since then."""
        since = time.monotonic() if since is None else since

        def enough():
            self.check()
            return all(sum(r.sent >= since for r in list(w.records)) >= count for w in self.watchers)

        wait_until(enough, what, seconds)

    @contextlib.contextmanager
    def fault(self, name):
        fault = Fault(name)
        yield fault
        fault.end = time.monotonic()

    def wait_recovered(self, fault, seconds=60):
        """Waits until each client's last requests, sent after the fault, all succeeded."""
        def recovered():
            self.check()
            for watcher in self.watchers:
                last = list(watcher.records)[-8:]
                if len(last) < 8 or any(r.failed or r.sent < fault.end for r in last):
                    return False
            return True

        wait_until(recovered, f"all goes well after: {fault.name}", seconds)

    def report(self, fault, others=None, before=None):
        """Waits for the recovery; adds the fault's row to the table and returns it."""
        self.wait_recovered(fault)
        row = Row.of(self, fault, others, before)
        rows.append(row)
        return row

    def settle_on_the_way(self):
        for watcher in self.watchers:
            watcher.settling = True
        wait_until(lambda: self.check() or not any(w.settling for w in self.watchers),
                   "each client knows what its VM is like", 60)

    def settle(self):
        """Ends the load, checks each VM and removes it."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(2 * (LONG_DEADLINE + SLACK))
        assert not any(thread.is_alive() for thread in self.threads), "a client hangs"
        self.check()
        for watcher in self.watchers:
            watcher.settle()
            assert watcher.delete() is DONE, watcher.history[-3:]
            watcher.client.close()


def percentile(records, share):
    seconds = sorted(record.seconds for record in records)
    return seconds[min(len(seconds) - 1, int(share * len(seconds)))] if seconds else 0.0


# The codes that one status may have, as the table has them; docs/reliability.md explains it.
LETTERS = {"hypervisor_unavailable": "u", "draining": "d", "overloaded": "o", "vm_busy": "v",
           "host_busy": "h"}


def shorten(said):
    """A failure as Record.said() has it, in a few characters: 503u."""
    status, _, code = said.partition(" ")
    return status + LETTERS.get(code, "") if status.isdigit() else said.partition(" (")[0]


class Row(NamedTuple):
    """What clients saw of a fault. Times are in seconds."""
    fault: str
    lasted: float
    requests: int  # sent during the fault and until requests succeeded again
    saw: Counter  # status and code of failed requests
    unanswered: int
    noticed: float | None  # from the fault's start to the first failure
    recovered: float  # from the fault's end to the last failure after it, or 0
    slowest: float
    p99: float  # of requests that did not fail
    p99_before: float

    @classmethod
    def of(cls, load, fault, others=None, before=None):
        where = {} if others is None else {"vm": others}
        all_of = load.records(**where)
        during = [r for r in all_of if r.answered >= fault.start]
        failed = [r for r in during if r.failed]
        last = max((r.answered for r in failed), default=fault.end)
        touched = [r for r in during if r.sent <= max(last, fault.end)]
        good = [r for r in touched if not r.failed]
        before = before if before is not None else [
            r for r in all_of if r.answered < fault.start and not r.failed]
        return cls(
            fault.name, fault.end - fault.start, len(touched), Counter(r.said() for r in failed),
            sum(r.unanswered for r in touched),
            min((r.answered - fault.start for r in failed), default=None),
            max(0.0, last - fault.end), max((r.seconds for r in touched), default=0.0),
            percentile(good, 0.99), percentile(before, 0.99))

    @classmethod
    def worst(cls, rows):
        """One row for several rows of the same fault: the worst of each figure."""
        def most(name):
            return max((getattr(r, name) for r in rows if getattr(r, name) is not None), default=None)

        return cls(f"{rows[0].fault} ×{len(rows)}", most("lasted"),
                   sum(r.requests for r in rows), sum((r.saw for r in rows), Counter()),
                   sum(r.unanswered for r in rows), most("noticed"), most("recovered"),
                   most("slowest"), most("p99"), most("p99_before"))

    def line(self):
        saw = ", ".join(f"{count} {shorten(what)}" for what, count in self.saw.most_common())
        noticed = "–" if self.noticed is None else f"{self.noticed:.2f}"
        return (f"| {self.fault} | {self.lasted:.1f} | {self.requests} | {saw or 'nothing'} | "
                f"{noticed} | {self.recovered:.2f} | {self.slowest:.2f} | {self.p99 * 1000:.0f} |")


HEAD = ("| fault | s | requests | failed | noticed | recovered | slowest | p99 |\n"
        "|---|---|---|---|---|---|---|---|")
rows = []


def table():
    return "\n".join([HEAD, *(row.line() for row in rows)])


@atexit.register
def write_table():
    file = os.environ.get("VIRTGATE_FAULT_TABLE")
    if file and rows:
        with open(file, "a") as out:
            # Several processes append to one table.
            print(table() if not out.tell() else table().removeprefix(HEAD + "\n"), file=out)
