"""The whole pipeline: scan, decide, render for each person, send over TLS, every outcome on the ledger.

    python benchmarks/pipeline.py [--sizes 10000 100000 1000000]

Each size runs in a process of its own against one counting sink in another process, and the one of --capped twice:
freely, and under a calendar cap, for people who have had two already that day. Beside it, in the same run: aioapns' raw
sending of one ready payload, and a bare loop that inserts ledger rows into SQLite at synchronous=FULL in transactions
of 1,000. Prints devices/s, CPU µs per device of the daemon's process, and its peak memory. Asserts no time; exits 1 if
an outcome is missing, if CPU per device is not flat within 20 % over the sizes, or if the capped rule has less than 0.4
of the rate of the other.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import trio
from bench_workspace import fill, fresh_store, load_workspace, make_workspace
from sink_process import Sink, WallClock

from scheduler.domain.events import Event
from scheduler.engine.daemon import Daemon, Ending
from scheduler.engine.garbage import seldom_collected
from scheduler.runs.ingest import ingest
from scheduler.runs.reports import report_of
from scheduler.store import runs as run_rows
from scheduler.store.claims import Claim, ClaimKind, take

FLAT = 0.2


CAPPED_SHARE = 0.4


def prepare(folder: Path, sink: Sink, devices: int, type_: str = "com.example.sale") -> None:
    """A workspace with devices, and an event that reaches all of them. Everybody has two places of a cap."""
    make_workspace(folder, sink)
    store = fresh_store(folder)
    fill(store, devices)
    now = WallClock().now()
    for start in range(0, devices, 10_000):
        numbers = range(start, min(start + 10_000, devices))
        with store.write() as tx:
            take(tx, [_earlier(number, run, now) for number in numbers for run in (-1, -2)])
    sale = Event(id="sale", source="/bench", type=type_, time=now, data={"name": "The sale"})
    ingest(store, load_workspace(folder), store.namespace(), [sale], now)
    store.close()


def _earlier(number: int, run: int, now: datetime) -> Claim:
    return Claim(f"user:user-{number}", ClaimKind.CAP, "offers-day", "", run, number + 1, int(now.timestamp() * 1000))


def run_daemon(folder: Path) -> None:
    """Child process: run until idle, and print what it took as JSON."""
    workspace = load_workspace(folder)
    store = fresh_store(folder)
    daemon = Daemon(store, workspace, WallClock(), reload_workspace=lambda: None)
    before, start = _cpu(), time.perf_counter()
    with seldom_collected():
        ended = trio.run(lambda: daemon.run(until_idle=True))
    seconds, cpu = time.perf_counter() - start, _cpu() - before
    assert ended.ending is Ending.IDLE, ended
    with store.read() as tx:
        counts = report_of(tx, run_rows.latest(tx, 1)[0]).counts
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "accepted": counts.accepted}))


def insert_rows(folder: Path) -> None:
    """Child process: the bare insert loop, 200,000 rows."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE ledger (run INTEGER, step TEXT, device INTEGER, outcome TEXT, reason TEXT, at INTEGER,"
        " attempts INTEGER, maybe_repeated BOOLEAN, variant TEXT, PRIMARY KEY (run, step, device)) WITHOUT ROWID"
    )
    before, start, count = _cpu(), time.perf_counter(), 200_000
    for first in range(0, count, 1000):
        connection.execute("BEGIN IMMEDIATE")
        rows = [(1, "main", device, "accepted", None, 1, 1, False, None) for device in range(first, first + 1000)]
        connection.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    print(json.dumps({"seconds": time.perf_counter() - start, "cpu": _cpu() - before, "count": count}))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _child(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--capped", type=int, default=100_000, help="devices of the rule under a cap")
    parser.add_argument("--peer-requests", type=int, default=8_000, help="requests that aioapns sends")
    parser.add_argument("--child", choices=["daemon", "insert"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "daemon":
        return run_daemon(options.folder)
    if options.child == "insert":
        return insert_rows(options.folder)
    failures = []
    per_device: dict[int, float] = {}
    print(f"{'':24}{'devices/s':>12}{'CPU µs each':>14}{'peak MB':>10}")
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        with Sink.started(top) as sink:
            for size in options.sizes:
                found = _send(top, sink, size, failures)
                per_device[size] = found["cpu"] / size * 1e6
                _print(f"clarion, {size:,}", size / found["seconds"], per_device[size], found["peak"])
            size = options.capped
            free, capped = _send(top, sink, size, failures), _send(top, sink, size, failures, "com.example.offer")
            _print(f"capped, {size:,}", size / capped["seconds"], capped["cpu"] / size * 1e6, capped["peak"])
            senders = str(Path(__file__).with_name("express_senders.py"))
            peer = _child(
                senders, "aioapns", "--port", str(sink.port), "--ca", str(sink.ca_file),
                "--requests", str(options.peer_requests),
            )  # fmt: skip
        _print(
            "aioapns, raw sending", options.peer_requests / peer["seconds"], peer["cpu"] / options.peer_requests * 1e6
        )
        bare = _child(__file__, "--child", "insert", "--folder", str(top))
        _print("bare SQLite inserts", bare["count"] / bare["seconds"], bare["cpu"] / bare["count"] * 1e6)
    share = free["seconds"] / capped["seconds"]
    print(f"capped: {share:.2f} of the rate without a cap, {capped['cpu'] / free['cpu']:.2f} times the CPU")
    if share < CAPPED_SHARE:
        failures.append(f"the capped rule has {share:.2f} of the rate of the other")
    largest = per_device[max(per_device)]
    times_less = peer["cpu"] / options.peer_requests * 1e6 / largest
    print(f"CPU per device: {times_less:.1f} times less than aioapns' sending alone")
    least, most = min(per_device.values()), max(per_device.values())
    if most > least * (1 + FLAT):
        failures.append(f"CPU per device is not flat: {least:.0f} to {most:.0f} µs")
    if failures:
        sys.exit("\n".join(failures))
    return None


def _send(top: Path, sink: Sink, size: int, failures: list[str], type_: str = "com.example.sale") -> dict[str, float]:
    """One run in a process of its own."""
    with tempfile.TemporaryDirectory(dir=top) as name:
        prepare(Path(name), sink, size, type_)
        found = _child(__file__, "--child", "daemon", "--folder", name)
    if found["accepted"] != size:
        failures.append(f"{type_}, {size}: {found['accepted']} of {size} are accepted on the ledger")
    return found


def _print(what: str, rate: float, cpu: float, peak: float | None = None) -> None:
    print(f"{what:24}{rate:12,.0f}{cpu:14.1f}{'' if peak is None else f'{peak:10.0f}'}", flush=True)


if __name__ == "__main__":
    main()
