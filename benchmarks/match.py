"""Matching: what an event costs where many rules listen to other events.

    python benchmarks/match.py [--rules 10 100 1000 10000] [--events 100000]

Events of a thousand types are taken in as the daemon does it, 500 in a transaction, on a database for each number of
rules; one event in a thousand is of a type that a rule listens to, and starts its run. Every tenth rule listens to a
prefix (`com.example.kind-7.*`). The databases take turns batch by batch, with a bare loop beside them that inserts the
same events into SQLite at synchronous=FULL. Prints CPU and wall time per event. Exits 1 if the CPU per event is not
flat within 20 % over the numbers of rules, or if the events or runs are not those that were told.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bench_workspace import fresh_store, load_workspace, make_workspace
from sink_process import Sink, WallClock
from sqlalchemy import text

from scheduler.domain.events import Event
from scheduler.runs.ingest import ingest
from scheduler.store.database import Store
from scheduler.workspace.campaign import Campaign
from scheduler.workspace.loading import Workspace, workspace_of

BATCH = 500
MATCHES = 1_000
"""One event in so many matches."""
PREFIXES = 10
"""One rule in so many listens to a prefix."""
FLAT = 0.2
MATCHING = "com.example.sale"

TakeIn = Callable[[Sequence[Event], datetime], None]


@dataclass
class Candidate:
    """Somebody who takes events in, and what that took."""

    what: str
    take_in: TakeIn
    cpu: float = 0.0
    seconds: float = 0.0

    def run(self, events: Sequence[Event], now: datetime) -> None:
        """One batch."""
        cpu, start = time.process_time(), time.perf_counter()
        self.take_in(events, now)
        self.cpu += time.process_time() - cpu
        self.seconds += time.perf_counter() - start


def with_rules(workspace: Workspace, count: int) -> Workspace:
    """The benchmarks' workspace with one rule that listens to what comes, and others that listen to something else."""
    sale = workspace.campaigns["sale"]
    campaigns = {"sale": sale}
    for number in range(1, count):
        event = f"com.example.kind-{number}.*" if number % PREFIXES == 0 else f"com.example.kind-{number}"
        campaigns[f"other-{number}"] = _other(sale, f"other-{number}", event)
    return workspace_of(workspace.settings, workspace.schema, campaigns, workspace.sources)


def _other(campaign: Campaign, name: str, event: str) -> Campaign:
    return replace(campaign, name=name, event=event)


def batches(count: int, now: datetime) -> list[list[Event]]:
    """Events that came just now. What does not match is of a type that no rule's prefix begins, and nearly does."""
    return [
        [
            Event(
                id=str(number),
                source="/bench",
                type=MATCHING if number % MATCHES == 0 else f"com.example.kinds-{number % 1_000}.seen",
                subject=f"product-{number % 5_000}",
                time=now,
                data={"name": f"Event {number}", "number": number},
            )
            for number in range(first, min(first + BATCH, count))
        ]
        for first in range(0, count, BATCH)
    ]


def taken_in_by(folder: Path, workspace: Workspace, store: Store) -> TakeIn:
    """As the daemon does it, without a device to send to."""
    namespace = store.namespace()

    def take_in(events: Sequence[Event], now: datetime) -> None:
        ingest(store, workspace, namespace, events, now)

    return take_in


def bare_insert(path: Path) -> TakeIn:
    """A loop that does nothing but insert the same events."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE events (seq INTEGER PRIMARY KEY, source TEXT, id TEXT, type TEXT, subject TEXT, time INTEGER,"
        " data TEXT, UNIQUE (source, id))"
    )

    def take_in(events: Sequence[Event], now: datetime) -> None:
        at = int(now.timestamp() * 1000)
        connection.execute("BEGIN IMMEDIATE")
        rows = [(one.source, one.id, one.type, one.subject, at, json.dumps(one.data)) for one in events]
        connection.executemany(
            "INSERT INTO events (source, id, type, subject, time, data) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        connection.execute("COMMIT")

    return take_in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, nargs="+", default=[10, 100, 1_000, 10_000])
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    now = WallClock().now()
    failures = []
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        make_workspace(top, Sink(port=1, ca_file=top / "ca.pem", process=0))
        (top / "ca.pem").touch()
        workspace = load_workspace(top)
        stores: list[Store] = []
        candidates = []
        for count in options.rules:
            folder = top / str(count)
            folder.mkdir()
            stores.append(fresh_store(folder))
            take_in = taken_in_by(folder, with_rules(workspace, count), stores[-1])
            candidates.append(Candidate(f"{count:,} rules", take_in))
        bare = Candidate("bare SQLite inserts", bare_insert(top / "bare.db"))
        for batch in batches(options.events, now):
            for candidate in (*candidates, bare):
                candidate.run(batch, now)
        for count, store in zip(options.rules, stores, strict=True):
            found = _counts(store)
            expected = (options.events, -(-options.events // MATCHES))
            if found != expected:
                failures.append(f"{count} rules: {found} events and runs are stored instead of {expected}")
            store.close()
    print(f"{'':24}{'CPU µs an event':>18}{'wall µs':>10}{'to the first':>15}")
    for candidate in (*candidates, bare):
        cpu, wall = candidate.cpu / options.events * 1e6, candidate.seconds / options.events * 1e6
        print(f"{candidate.what:24}{cpu:18.1f}{wall:10.1f}{candidate.cpu / candidates[0].cpu:15.2f}")
    least, most = (pick(candidate.cpu for candidate in candidates) for pick in (min, max))
    if most > least * (1 + FLAT):
        failures.append(f"CPU per event is not flat: the most is {most / least:.2f} times the least")
    if failures:
        sys.exit("\n".join(failures))


def _counts(store: Store) -> tuple[int, int]:
    with store.read() as tx:
        events, runs = (
            int(tx.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()) for table in ("events", "runs")
        )
    return events, runs


if __name__ == "__main__":
    main()
