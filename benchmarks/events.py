"""Events that reach one device each: from HTTP to the ledger.

    python benchmarks/events.py [--events 20000]

A daemon in a process of its own takes NDJSON over HTTP, 500 events a request, from this process; each event starts a
run for one user with one device, which is sent over TLS to a counting sink in a third process. Counted from the second
event's arrival to the last run's end: the first comes before, and proves the app's environment. Row writes are SQLite's
own count (sqlite3_total_changes) in the daemon.
Beside it, in the same run: a bare loop that commits one event row and one ledger row at a time in groups of 500 at
synchronous=FULL. Exits 1 under 2,000 events a second, over 4 row writes an event, or if an outcome is missing.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import trio
from bench_workspace import fill, fresh_store, load_workspace, make_workspace
from sink_process import Sink, WallClock

from scheduler.api.daemon_intake import serve_daemon
from scheduler.domain.events import Event
from scheduler.engine.daemon import Daemon
from scheduler.engine.garbage import seldom_collected
from scheduler.runs.ingest import ingest
from scheduler.runs.keys import create_key, read_scopes
from scheduler.store.database import Store
from scheduler.store.instants import from_ms

BATCH = 500
REQUIRED_RATE = 2_000
ALLOWED_WRITES = 4


def run_daemon(folder: Path, events: int) -> None:
    """Child process: serve until every event has its outcome, and print what it took as JSON."""
    workspace, store = load_workspace(folder), fresh_store(folder)
    daemon = Daemon(store, workspace, WallClock(), reload_workspace=lambda: None, serve=serve_daemon)
    figures: dict[str, float] = {}

    async def until(outcomes: int) -> None:
        while daemon.settler.progress.outcomes.total() < outcomes:  # noqa: ASYNC110 - nobody signals a benchmark
            await trio.sleep(0.01)
        await daemon.settler.settled()

    async def until_done() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(daemon.run)
            await until(1)
            writes, cpu = store.rows_written(), _cpu()
            print("ready", flush=True)
            await until(1 + events)
            figures["writes"] = store.rows_written() - writes
            figures["cpu"] = _cpu() - cpu
            daemon.stop()

    with seldom_collected():
        trio.run(until_done)
    store.close()
    with sqlite3.connect(folder / "clarion.db") as connection:
        first, last, accepted = connection.execute(
            "SELECT (SELECT min(arrived_at) FROM events WHERE seq > 1),"
            " (SELECT max(finished_at) FROM runs WHERE state = 'finished'),"
            " (SELECT count(*) FROM ledger WHERE outcome = 'accepted')"
        ).fetchone()
    figures |= {"seconds": (from_ms(last) - from_ms(first)).total_seconds(), "accepted": accepted}
    print(json.dumps(figures))


def emit_first(store: Store, folder: Path) -> None:
    """An event from before: with it the rule's version is stored, and an answer proves the app's environment."""
    body = json.loads(_event(0)) | {"id": "the first"}
    first = Event(id=body["id"], source=body["source"], type=body["type"], time=WallClock().now(), data=body["data"])
    ingest(store, load_workspace(folder), store.namespace(), [first], WallClock().now())


def bare_inserts(folder: Path, events: int) -> float:
    """Events per second of a loop that only inserts an event and a ledger row."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, id TEXT, data TEXT)")
    connection.execute("CREATE TABLE ledger (run INTEGER, device INTEGER, outcome TEXT, PRIMARY KEY (run, device))")
    start = time.perf_counter()
    for first in range(0, events, BATCH):
        connection.execute("BEGIN IMMEDIATE")
        for number in range(first, first + BATCH):
            connection.execute("INSERT INTO events VALUES (?, ?, ?)", (number, str(number), _event(number)))
            connection.execute("INSERT INTO ledger VALUES (?, ?, ?)", (number, number, "accepted"))
        connection.execute("COMMIT")
    return events / (time.perf_counter() - start)


def post(port: int, secret: str, events: int) -> None:
    """Send all events, one request after the other."""
    for first in range(0, events, BATCH):
        body = "\n".join(_event(number) for number in range(first, min(first + BATCH, events))).encode()
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/x-ndjson"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/events", body, headers)
        with urllib.request.urlopen(request) as answer:
            taken = json.load(answer)
        if taken["accepted"] != min(BATCH, events - first):
            sys.exit(f"not all were accepted: {taken}")


def _event(number: int) -> str:
    data = {"user_id": f"user-{number}", "number": number}
    return json.dumps({"id": f"order-{number}", "source": "/bench", "type": "com.example.order", "data": data})


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        return run_daemon(options.child, options.events)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), _free_port()
        with Sink.started(folder) as sink:
            make_workspace(folder, sink)
            with (folder / "clarion.yaml").open("a") as settings:
                settings.write(f"api: {{listen: 127.0.0.1:{port}}}\n")
            store = fresh_store(folder)
            fill(store, options.events)
            emit_first(store, folder)
            secret = create_key(store, "bench", read_scopes(["events:write"]), WallClock().now()).secret
            store.close()
            command = [sys.executable, __file__, "--events", str(options.events), "--child", name]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                child.stdout.readline()
                post(port, secret, options.events)
                found = json.loads(child.stdout.readline())
        bare = bare_inserts(folder, options.events)
    rate, writes = options.events / found["seconds"], found["writes"] / options.events
    print(f"events/s end to end     {rate:10,.0f}")
    print(f"CPU µs per event        {found['cpu'] / options.events * 1e6:10.0f}")
    print(f"row writes per event    {writes:10.3f}")
    print(f"bare inserts, events/s  {bare:10,.0f}   ({bare / rate:.1f} times as many)")
    if found["accepted"] != options.events + 1:
        sys.exit(f"{found['accepted']} of {options.events + 1} are accepted on the ledger")
    too_many = found["writes"] > ALLOWED_WRITES * options.events
    if rate < REQUIRED_RATE or too_many:
        sys.exit(f"required: {REQUIRED_RATE} events/s and at most {ALLOWED_WRITES} row writes an event")
    return None


if __name__ == "__main__":
    main()
