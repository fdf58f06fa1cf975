"""Urgent work beside a bulk send: how long an event takes to its first and its last request.

    python benchmarks/urgent.py [--devices 200000] [--urgent 2000 20000] [--times 5]

A daemon in a process of its own takes events over HTTP. A goal event, lane urgent, reaches the members of a topic,
2,000 or 20,000 of the devices; it comes while a sale, lane bulk, goes to all devices as fast as it can, and then again
while the sale is stopped, several times in turn. Counted from before the POST, at this process, to the request at the
sink, in a third process. Exits 1 if a first request during the bulk send comes after 500 ms, if the median of the last
ones of a topic comes later than the median alone and 20 %, or if a device is missing.
"""

from __future__ import annotations

import argparse
import json
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio
from bench_workspace import fill, fresh_store, load_workspace, make_workspace
from sink_process import Sink, WallClock
from sqlalchemy import text

from scheduler.api.daemon_intake import serve_daemon
from scheduler.domain.stops import StopKind
from scheduler.engine.daemon import Daemon
from scheduler.engine.garbage import seldom_collected
from scheduler.runs.keys import create_key, read_scopes
from scheduler.runs.stopping import start, stop

FIRST_WITHIN = 0.5
"""Seconds."""
MAY_TAKE_LONGER = 0.2
MARK = '"goal-of-the-day"'
SETTLES = 1.0
"""Seconds after which a bulk send that was stopped is at rest: the daemon has noticed, and its answers are written."""

_RULES = {
    "sale": """\
category: marketing
trigger: {event: com.example.sale}
audience: {app: bench, where: user.attributes.plan == "free"}
message: {template: personal}
delivery: {lane: bulk}
""",
    "goal": """\
category: sports
trigger: {event: com.example.goal}
audience: {app: bench, topics: ["{{ event.data.team }}"]}
message: {template: goal}
delivery: {lane: urgent}
""",
}
_GOAL = f"""\
aps:
  alert:
    title: "{{{{ event.data.headline }}}}"
    body: "{{{{ user.attributes.first_name | default('Hello') }}}}, they have scored. Have a look at the game!"
  sound: default
kind: {MARK}
"""
_EVENT = "  com.example.goal: {headline: string, team: string}\n"


def prepare(folder: Path, sink: Sink, devices: int, sizes: Sequence[int], port: int) -> str:
    """The workspace, its devices, and a topic of each size; the secret of a key for events."""
    make_workspace(folder, sink)
    for rule, body in _RULES.items():
        (folder / "rules" / f"{rule}.yaml").write_text(body)
    (folder / "templates" / "goal.yaml").write_text(_GOAL)
    with (folder / "schema.yaml").open("a") as schema:
        schema.write(_EVENT)
    with (folder / "clarion.yaml").open("a") as settings:
        settings.write(f"api: {{listen: 127.0.0.1:{port}}}\n")
    store = fresh_store(folder)
    fill(store, devices)
    with store.write() as tx:
        for number, size in enumerate(sizes):
            tx.execute(text("INSERT INTO topics VALUES (:id, 'bench', :name)"), {"id": number, "name": str(size)})
            members = text("INSERT INTO memberships SELECT :topic, id FROM devices WHERE id % :every = 0 LIMIT :size")
            tx.execute(members, {"topic": number, "every": devices // size, "size": size})
    secret = create_key(store, "bench", read_scopes(["events:write"]), WallClock().now()).secret
    store.close()
    return secret


def run_daemon(folder: Path) -> None:
    """Child process: serve until it is told to end."""
    store = fresh_store(folder)
    daemon = Daemon(store, load_workspace(folder), WallClock(), reload_workspace=lambda: None, serve=serve_daemon)

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(daemon.run)
            print("ready", flush=True)

    with seldom_collected():
        trio.run(run)
    store.close()


@dataclass
class Goal:
    """When a goal was told; then, in seconds from that, when its requests came in."""

    size: int
    during: bool
    told: float
    first: float = 0.0
    last: float = 0.0


class Scene:
    """What this process does to the daemon and sees of it."""

    def __init__(self, folder: Path, port: int, secret: str) -> None:
        self._url = f"http://127.0.0.1:{port}/v1/events"
        self._secret = secret
        self._database = sqlite3.connect(f"file:{folder / 'clarion.db'}?mode=ro", uri=True)
        self._store = fresh_store(folder)
        self._events = 0
        self.goals: list[Goal] = []

    def post(self, kind: str, **data: object) -> float:
        """Send an event; the instant before."""
        self._events += 1
        event = {"id": str(self._events), "source": "/bench", "type": f"com.example.{kind}", "data": data}
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/x-ndjson"}
        before = time.monotonic()
        request = urllib.request.Request(self._url, json.dumps(event).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["accepted"] == 1
        return before

    def goal(self, size: int, *, during: bool) -> None:
        """A goal of the team that so many devices follow, until all of its requests are answered."""
        instant = self.post("goal", headline="One all", team=str(size))
        wait_until(self.all_over("goal"))
        self.goals.append(Goal(size, during, instant))

    def hold(self) -> None:
        """Nothing of the sale is sent or written any more."""
        stop(self._store, StopKind.RULE, "sale", WallClock().now(), known=lambda: ["sale"])
        time.sleep(SETTLES)

    def go_on(self) -> None:
        start(self._store, StopKind.RULE, "sale")

    def all_over(self, rule: str) -> Callable[[], bool]:
        """Whether no run of a rule is open."""
        return lambda: not self._ask("SELECT count(*) FROM runs WHERE rule = ? AND state <> 'finished'", rule)

    def has_moved(self, devices: int) -> Callable[[], bool]:
        """Whether so many more devices of the sale have their outcome than now, nearly."""
        query = "SELECT coalesce(sum(s.cursor), 0) FROM shards s JOIN runs r ON s.run = r.seq WHERE rule = ?"
        before = self._ask(query, "sale")
        return lambda: self._ask(query, "sale") >= before + devices

    def accepted(self) -> int:
        """Ledger rows."""
        return self._ask("SELECT count(*) FROM ledger WHERE outcome = ?", "accepted")

    def _ask(self, query: str, value: str) -> int:
        return int(self._database.execute(query, (value,)).fetchone()[0])


def wait_until(condition: Callable[[], bool], *, within: float = 120.0) -> None:
    """Ask again and again, seldom enough to cost nothing."""
    give_up = time.monotonic() + within
    while not condition():
        if time.monotonic() > give_up:
            sys.exit("it takes too long")
        time.sleep(0.02)


def measure(scene: Scene, sizes: Sequence[int], times: int) -> None:
    """Goals during a sale, and alone. By turns, as other processes may use the machine too."""
    scene.goal(sizes[0], during=False)  # the app's environment is proved, the links are up, all has been done once
    scene.post("sale", name="The sale")
    for _ in range(times):
        for size in sizes:
            wait_until(scene.has_moved(4_000))
            scene.goal(size, during=True)
            if scene.all_over("sale")():
                sys.exit("the bulk send was over before the last goal: give more devices or fewer times")
        scene.hold()
        for size in sizes:
            scene.goal(size, during=False)
        scene.go_on()
    wait_until(scene.all_over("sale"))


def came_in(goals: Sequence[Goal], marked: Sequence[float]) -> None:
    """Fill in when the requests of goals came in: they came one goal after the other."""
    position = 0
    for goal in goals:
        goal.first = marked[position] - goal.told
        position += goal.size
        goal.last = marked[position - 1] - goal.told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=200_000)
    parser.add_argument("--urgent", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        return run_daemon(options.child)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), _free_port()
        with Sink.started(folder, mark=MARK) as sink:
            secret = prepare(folder, sink, options.devices, options.urgent, port)
            command = [sys.executable, __file__, "--child", name]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                child.stdout.readline()
                scene = Scene(folder, port, secret)
                try:
                    measure(scene, options.urgent, options.times)
                    accepted = scene.accepted()
                finally:
                    child.terminate()
    goals = scene.goals
    failures = []
    expected = options.devices + sum(goal.size for goal in goals)
    if accepted != expected or len(sink.marked) != expected - options.devices:
        sys.exit(f"{accepted} of {expected} are accepted on the ledger")
    came_in(goals, sorted(sink.marked))
    print(f"{'least / median / most':32}{'first, ms':>20}{'last, ms':>24}")
    for size in options.urgent:
        medians = {}
        for during, what in ((False, "alone"), (True, "during a bulk send")):
            found = [goal for goal in goals[1:] if (goal.size, goal.during) == (size, during)]
            firsts, lasts = [goal.first for goal in found], [goal.last for goal in found]
            medians[during] = statistics.median(lasts)
            print(f"{f'{size:,} devices, {what}':32}{_spread(firsts):>20}{_spread(lasts):>24}")
            if during and max(firsts) > FIRST_WITHIN:
                failures.append(f"{size} devices: a first request came after {max(firsts) * 1000:.0f} ms")
        ratio = medians[True] / medians[False]
        print(f"{'':32}the last takes {ratio:.2f} times as long as alone, by the medians")
        if ratio > 1 + MAY_TAKE_LONGER:
            failures.append(f"{size} devices: the last requests took {ratio:.2f} times as long as alone")
    if failures:
        sys.exit("\n".join(failures))
    return None


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"{ordered[0] * 1000:.0f} / {statistics.median(ordered) * 1000:.0f} / {ordered[-1] * 1000:.0f}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
