# SPDX-License-Identifier: MIT
"""A client with a VM of its own, which knows the states that its requests can have led to.

Each possible state of the VM is a world. A request that was answered 2xx has taken effect in every
world; a request that was refused, in none. A request of unknown outcome (see outcome_of()) may take
effect at any later time, partly, or never. Each observation of the VM rules out the worlds that
contradict it, and it is an error when no world is left. As long as every outcome is known there is
exactly one world.
"""

import random
import threading
import urllib.parse
from enum import Enum
from typing import NamedTuple

from gateway import BUSY

DONE, REFUSED, UNKNOWN = Outcome = Enum("Outcome", "DONE REFUSED UNKNOWN")
# Instead of an answer: the request may have arrived, or cannot have.
LOST, UNSENT = NoAnswer = Enum("NoAnswer", "LOST UNSENT")

# The state that each action leads to, by the state before. Any other state is a wrong one.
MOVES = {
    "suspend": {"running": "paused", "paused": "paused"},
    "resume": {"running": "running", "paused": "running"},
    "start": {"running": "running", "shutoff": "running"},
    "stop": {state: "shutoff" for state in ("running", "paused", "shutoff")},
}
# The bodies of the actions that need one.
BODIES = {"stop": {"json": {"mode": "kill"}}}
# Codes of a refusal because of the VM's state.
TELLING = {"wrong_state", "vm_not_found", "already_exists", "snapshot_not_found"}
COMING_MAX = 3  # with so many unknown outcomes a client makes no more changes


class World(NamedTuple):
    state: str | None  # None: there is no VM
    snapshots: frozenset  # (name, state) of each
    coming: tuple  # changes that may still happen, each a tuple of steps


NOTHING = World(None, frozenset(), ())


def take(world, step):
    """The world after a step: ("make",), ("state", s), ("snapshot", name, s), ("forget", name) or
    ("remove",). A step that does not apply changes nothing: a VM that exists cannot be made."""
    kind, *what = step
    if (kind == "make") == (world.state is not None):
        return world
    if kind == "remove":
        return World(None, frozenset(), world.coming)
    if kind == "snapshot":
        return world._replace(snapshots=world.snapshots | {tuple(what)})
    if kind == "forget":
        return world._replace(snapshots=frozenset(s for s in world.snapshots if s[0] != what[0]))
    return world._replace(state=what[0] if what else "shutoff")


def take_all(world, steps):
    for step in steps:
        world = take(world, step)
    return world


def with_coming(worlds):
    """These worlds and all that the changes that may still happen can lead to."""
    found, todo = set(worlds), list(worlds)
    while todo:
        world = todo.pop()
        for i, (step, *rest) in enumerate(world.coming):
            coming = world.coming[:i] + ((tuple(rest),) if rest else ()) + world.coming[i + 1:]
            after = take(world._replace(coming=coming), step)
            if after not in found:
                found.add(after)
                todo.append(after)
    return found


def outcome_of(answer):
    """Whether the mutation with this answer was made."""
    if isinstance(answer, NoAnswer):
        return UNKNOWN if answer is LOST else REFUSED
    if answer.status < 400:
        return DONE
    if answer.status < 500 or answer.code in BUSY | {"draining"}:
        return REFUSED
    # A retryable 502: nginx has sent no byte of the request to virtgate.
    return REFUSED if answer.status == 502 and answer.json["retryable"] else UNKNOWN


def told(answer):
    if isinstance(answer, NoAnswer) or answer.status < 400:
        return getattr(answer, "status", answer)
    return f"{answer.status} {answer.code}, {answer.json.get('detail')}"


class Actor:
    """make: what the VM is made from, json=SPEC or xml=TEXT. tolerated: error codes that any
    request may be answered with, beside those of a busy machine."""

    def __init__(self, client, name, make, seed, tolerated=(), snapshots=True):
        self.client, self.name, self.make = client, name, make
        self.random = random.Random(seed)
        self.tolerated, self.may_snapshot = BUSY | set(tolerated), snapshots
        self.at = "/v1/vms/" + urllib.parse.quote(name, safe="")
        self.worlds = {NOTHING}
        self.lock = threading.Lock()
        self.snapshot_number = 0
        self.history = []

    def request(self, kind, method, target, **how):
        """The answer or NoAnswer. Subclasses override this to observe requests."""
        return self.client.request(method, target, **how)

    # What it knows

    def states(self):
        with self.lock:
            return {world.state for world in with_coming(self.worlds)}

    def snapshots(self):
        """(name, state) of the snapshots that exist in every world."""
        with self.lock:
            return sorted(frozenset.intersection(*(w.snapshots for w in with_coming(self.worlds))))

    def open_outcomes(self):
        with self.lock:
            return max(len(world.coming) for world in self.worlds)

    def is_certain(self):
        return self.open_outcomes() == 0 and len(self.worlds) == 1

    def may_come(self, *steps):
        """Records that something else may change the VM by these steps at any time from now on."""
        with self.lock:
            self.worlds |= {w._replace(coming=(*w.coming, steps)) for w in self.worlds}

    def forget_coming(self):
        """Records that no change is under way any more."""
        with self.lock:
            self.worlds = {w._replace(coming=()) for w in with_coming(self.worlds)}

    def keep(self, fits, what):
        """Rules out the worlds that an observation contradicts."""
        kept = {world for world in with_coming(self.worlds) if fits(world)}
        assert kept, (f"{self.name}: {what}, which nothing explains: {self.worlds}; "
                      f"it did {self.history[-8:]}")
        self.worlds = kept

    def learn(self, effect, answer, fits):
        """Updates the worlds by the answer to a mutation; returns its outcome."""
        outcome = outcome_of(answer)
        told = not isinstance(answer, NoAnswer)
        if outcome is DONE:
            self.keep(lambda w: effect(w) and fits(w), answer)
            self.worlds = {take_all(w, effect(w)[0]) for w in self.worlds}
        elif outcome is UNKNOWN:
            self.worlds |= {w._replace(coming=(*w.coming, steps))
                            for w in self.worlds for steps in effect(w) or ()}
        elif told and answer.code == "wrong_state":
            self.keep(lambda w: not effect(w) and w.state == answer.json.get("state", w.state), answer)
        elif told and answer.code in TELLING:
            self.keep(lambda w: not effect(w), answer)
        if told and outcome is not DONE:
            assert answer.code in TELLING | self.tolerated, (self.name, self.history[-1], answer)
        return outcome

    def change(self, kind, method, target, effect, fits=lambda world, answer: True, **how):
        """Sends a mutation. effect(world) lists the ways it can go in that world, each a tuple of
        steps and the successful one first; an empty list means that it must be refused. fits(world,
        answer): is this answer right in that world?"""
        self.history.append(kind)
        answer = self.request(kind, method, target, **how)
        self.history[-1] = f"{kind}: {told(answer)}"
        with self.lock:
            return self.learn(effect, answer, lambda world: fits(world, answer))

    def see(self, kind, target, fits):
        """Sends a read. fits(world, answer): is this answer, a 200 or 404, right in that world?"""
        answer = self.request(kind, "GET", target)
        if isinstance(answer, NoAnswer) or answer.status >= 500:
            assert isinstance(answer, NoAnswer) or answer.code in self.tolerated, (target, answer)
            return answer
        assert answer.status in (200, 404), (target, answer)
        with self.lock:
            self.keep(lambda world: fits(world, answer), f"{kind} is answered {answer}")
        return answer

    # What it does

    def create(self):
        # A create whose start fails is rolled back.
        right = (("make",), ("state", "paused"), ("state", "running"))
        ways = [right, (*right, ("state", "shutoff"), ("remove",))]
        return self.change(
            "create", "POST", "/v1/vms?start=1", lambda w: ways if w.state is None else [],
            lambda w, answer: answer.json["state"] == "running", **self.make)

    def act(self, action=None):
        action = action or self.random.choice(list(MOVES))

        def effect(world):
            target = MOVES[action].get(world.state)
            if action == "start" and world.state == "shutoff":
                started = (("state", "paused"), ("state", "running"))
                return [started, (*started, ("state", "shutoff"))]
            return [(("state", target),)] if target else []

        def fits(world, answer):
            target = MOVES[action][world.state]
            return answer.json["state"] == target and answer.json["changed"] == (target != world.state)

        return self.change(action, "POST", f"{self.at}/{action}", effect, fits, **BODIES.get(action, {}))

    def snapshot(self):
        self.snapshot_number += 1
        name = f"s{self.snapshot_number}"

        def effect(world):
            if world.state is None:
                return []
            kept = ("snapshot", name, world.state)
            # QEMU is paused while its memory is written.
            return [(("state", "paused"), kept, ("state", world.state))
                    if world.state == "running" else (kept,)]

        return self.change("snapshot", "POST", f"{self.at}/snapshots", effect, json={"name": name})

    def revert(self):
        if not self.snapshots():
            return None
        name, state = self.random.choice(self.snapshots())
        # A revert restarts QEMU.
        steps = (("state", "shutoff"), ("state", "paused"), ("state", state))
        ways = [steps, (*steps, ("state", "shutoff"))]
        return self.change("revert", "POST", f"{self.at}/snapshots/{name}/revert",
                           lambda w: ways if (name, state) in w.snapshots else [],
                           # unknown: the host failed between the revert and the read of the state
                           lambda w, answer: answer.json["state"] in (state, "unknown"))

    def forget(self):
        if not self.snapshots():
            return None
        name, _ = self.random.choice(self.snapshots())
        return self.change("forget", "DELETE", f"{self.at}/snapshots/{name}",
                           lambda w: [(("forget", name),)] if name in dict(w.snapshots) else [])

    def delete(self):
        return self.change("delete", "DELETE", self.at,
                           lambda w: [(("state", "shutoff"), ("remove",))] if w.state else [],
                           lambda w, answer: answer.json["stopped"] == (w.state != "shutoff"))

    def look(self):
        return self.see("get", self.at, lambda w, answer: w.state == (
            answer.json["state"] if answer.status == 200 else None))

    def look_at_snapshots(self):
        return self.see("snapshots", f"{self.at}/snapshots", lambda w, answer: (
            sorted(s["name"] for s in answer.json["items"]) == sorted(dict(w.snapshots))
            if answer.status == 200 else w.state is None))

    def look_at_list(self):
        def fits(world, answer):
            seen = [vm["state"] for vm in answer.json["items"] if vm["name"] == self.name]
            return answer.json.get("stale") or seen == ([world.state] if world.state else [])

        return self.see("list", "/v1/vms", fits)

    def stats(self):
        return self.see("stats", f"{self.at}/stats",
                        lambda w, answer: (w.state is not None) == (answer.status == 200))

    def changes(self):
        """The possible next steps, each as often as its weight."""
        if self.states() == {None}:
            return [self.create] * 4
        steps = [self.act] * 8 + [self.delete]
        return steps + ([self.snapshot, self.revert, self.forget] if self.may_snapshot else [])
