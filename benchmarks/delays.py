"""Delays that wait: what they cost a daemon until they are due, and how fast they go when all are due at once.

    python benchmarks/delays.py [--pending 500000] [--taken-in 20000] [--send 50000] [--seconds 20]

Events for one user with one device each start a rule with a delay of two hours and an exit event. Some are taken in;
the rows that they have left are copied for other users and devices until so many are pending. The daemon, in a process
of its own, is measured without any of them and with all of them: the time to start, the memory it has then, and CPU
while it is idle for so many seconds, in which another process commits once a second. Then its clock goes on by two
hours: all are due at once, and so many are sent over TLS to a counting sink before it is told to end. One in ten of
those that were taken in has ordered meanwhile.
Exits 1 if what was sent is not what the ledger says or an order called nothing off, if idle CPU is over 20 ms a second
more than without, or memory over 20 MB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import trio
from bench_workspace import fill, fresh_store, load_workspace, make_workspace
from sink_process import Sink, WallClock
from sqlalchemy import func, select, text

from scheduler.domain.events import Event
from scheduler.domain.outcomes import OutcomeKind
from scheduler.engine.daemon import Daemon
from scheduler.engine.garbage import seldom_collected
from scheduler.runs.exits import find_exits_of
from scheduler.runs.ingest import MAX_EVENTS, ingest
from scheduler.runs.keys import create_key, read_scopes
from scheduler.store.database import Store
from scheduler.store.tables import LEDGER

DELAY = timedelta(hours=2)
ALLOWED_CPU = 0.020
ALLOWED_MEMORY = 20
_RULE = """\
category: service
trigger: {event: com.example.basket}
audience: {app: bench, users: ["{{ event.data.user_id }}"]}
message: {template: order}
timing:
  delay: 2 hours
  unless: {event: com.example.order, match: user}
"""


class ShiftedClock(WallClock):
    """Real time, and as much more as it is told."""

    shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift


def take_in(store: Store, folder: Path, type_: str, numbers: range, at: datetime) -> float:
    """Take events of users in; how many a second."""
    workspace, namespace = load_workspace(folder), store.namespace()
    find_exits_of(store, workspace)
    start = time.perf_counter()
    for first in range(0, len(numbers), MAX_EVENTS):
        batch = [
            Event(id=f"{type_} {n}", source="/bench", type=type_, time=at, data={"user_id": f"user-{n}", "number": n})
            for n in numbers[first : first + MAX_EVENTS]
        ]
        ingest(store, workspace, namespace, batch, at)
    return len(numbers) / (time.perf_counter() - start)


def multiply(store: Store, taken_in: int, pending: int) -> None:
    """Copy the events, runs and work rows of those that were taken in, until so many are pending. Devices and users are
    numbered alike."""
    columns = {
        "events": {"seq": "seq + :by", "id": "id || ' ' || :by"},
        "runs": {"seq": "seq + :by", "id": "randomblob(16)", "event": "event + :by"},
        "work": {"run": "run + :by", "device": "device + :by"},
    }
    for by in range(taken_in, pending, taken_in):
        with store.write() as tx:
            for table, changes in columns.items():
                key = "run" if table == "work" else "seq"
                names = [row[1] for row in tx.execute(text(f"PRAGMA table_info({table})"))]
                values = ", ".join(changes.get(name, f'"{name}"') for name in names)
                copy = f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {key} <= :most"
                tx.execute(text(copy), {"by": by, "most": min(taken_in, pending - by)})


def run_daemon(folder: Path, *, seconds: float, sent: int) -> None:
    """Child process: start, be idle, and send what is then due; prints what it took as JSON."""
    began = time.perf_counter()
    clock = ShiftedClock()
    store = fresh_store(folder)
    daemon = Daemon(store, load_workspace(folder), clock, reload_workspace=lambda: None)
    figures: dict[str, float] = {}

    async def live() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(daemon.run)
            figures["start"] = time.perf_counter() - began
            await trio.sleep(1)
            cpu = _cpu()
            print("idle", flush=True)
            await trio.sleep(seconds)
            figures["cpu"] = (_cpu() - cpu) / seconds
            figures["memory"] = _memory()
            if sent:
                clock.shift = DELAY
                start, cpu, outcomes = time.perf_counter(), _cpu(), daemon.settler.progress.outcomes
                while outcomes[OutcomeKind.ACCEPTED] < sent:  # noqa: ASYNC110 - nobody signals a benchmark
                    await trio.sleep(0.05)
                await daemon.settler.settled()
                figures.update(send=time.perf_counter() - start, send_cpu=_cpu() - cpu, peak=_memory())
            daemon.stop()

    with seldom_collected():
        trio.run(live)
    store.close()
    print(json.dumps(figures))


def watch(folder: Path, store: Store, *, seconds: float, sent: int) -> dict[str, float]:
    """Run a daemon, and commit something once a second while it is idle."""
    command = [sys.executable, __file__, "--child", str(folder), "--seconds", str(seconds), "--sent", str(sent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        for number in range(int(seconds)):
            time.sleep(0.9)
            create_key(store, f"{sent} {number}", read_scopes(["events:write"]), WallClock().now())
        found: dict[str, float] = json.loads(child.stdout.readline())
    return found


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _memory() -> float:
    """Resident, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pending", type=int, default=500_000)
    parser.add_argument("--taken-in", type=int, default=20_000)
    parser.add_argument("--send", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--sent", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        return run_daemon(options.child, seconds=options.seconds, sent=options.sent)
    pending, taken_in = options.pending, options.taken_in
    exits, send = taken_in // 10, min(options.send, options.pending - taken_in // 10)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Sink.started(folder) as sink:
            make_workspace(folder, sink)
            (folder / "rules/order.yaml").unlink()
            with (folder / "schema.yaml").open("a") as schema:
                schema.write("  com.example.basket: {user_id: string, number: integer}\n")
            (folder / "rules/basket.yaml").write_text(_RULE)
            store = fresh_store(folder)
            fill(store, pending)
            none = watch(folder, store, seconds=options.seconds, sent=0)
            at = WallClock().now()
            written = store.rows_written()
            rate = take_in(store, folder, "com.example.basket", range(taken_in), at)
            written = store.rows_written() - written
            multiply(store, taken_in, pending)
            take_in(store, folder, "com.example.order", range(exits), at + timedelta(seconds=1))
            found = watch(folder, store, seconds=options.seconds, sent=send)
            with store.read() as tx:
                outcomes = dict(tx.execute(select(LEDGER.c.outcome, func.count()).group_by(LEDGER.c.outcome)).all())
            store.close()
    print(f"events that start a delay, per second  {rate:10,.0f}")
    print(f"row writes for each                    {written / taken_in:10.2f}")
    print(f"pending                                {0:10,} {pending:10,}")
    print(f"start, s                               {none['start']:10.2f} {found['start']:10.2f}")
    print(f"memory when idle, MB                   {none['memory']:10.1f} {found['memory']:10.1f}")
    print(f"CPU when idle, ms/s                    {none['cpu'] * 1e3:10.1f} {found['cpu'] * 1e3:10.1f}")
    print(f"all due at once: messages/s                       {send / found['send']:10,.0f}")
    print(f"CPU µs per message                                {found['send_cpu'] / send * 1e6:10.0f}")
    print(f"memory after {send:,} of them, MB               {found['peak']:10.1f}")
    if outcomes != {"accepted": sink.requests, "suppressed": exits}:
        sys.exit(f"{sink.requests} requests came, {exits} had ordered, and the ledger says {outcomes}")
    if found["cpu"] - none["cpu"] > ALLOWED_CPU or found["memory"] - none["memory"] > ALLOWED_MEMORY:
        sys.exit("pending delays cost more than they may")
    return None


if __name__ == "__main__":
    main()
