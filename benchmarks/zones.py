"""What a slot at each device's own time costs to read: every page of every group of zones, beside one scan of all.

    python benchmarks/zones.py [--devices 100000] [--index SQL]

Three devices of five say their zone, three of ten leave it to their user, one of ten has none; most live in few zones,
a few in each of the others. Prints seconds, CPU seconds and the slowest page. Asserts no time; exits 1 if a device is
read by no group, or by two.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from bench_workspace import fill, fresh_store
from sqlalchemy import text

from scheduler.planning.device_slots import zone_groups, zone_names
from scheduler.planning.slots import Timetable
from scheduler.rules.cron import parse_cron
from scheduler.runs.ranges import ranges
from scheduler.runs.windows import MAX_WINDOW
from scheduler.store.audience import Audience, page
from scheduler.store.database import Store

CROWDED = ("Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Kolkata", "Asia/Tokyo")
WALL = datetime.fromisoformat("2026-11-30T09:00")


def spread(store: Store) -> None:
    """Give the devices zones, and the users of those that have none."""
    chance, names = random.Random(2026), sorted(zone_names())
    with store.write() as tx:
        tx.execute(text("CREATE TEMPORARY TABLE places (number INTEGER PRIMARY KEY, name TEXT)"))
        places = [{"n": n, "name": chance.choice(CROWDED if n % 20 else names)} for n in range(1000)]
        tx.execute(text("INSERT INTO places VALUES (:n, :name)"), places)
        place = "(SELECT name FROM places WHERE number = {} % 1000)"
        tx.execute(text(f"UPDATE devices SET time_zone = {place.format('id * 7919')} WHERE id % 10 < 6"))
        tx.execute(
            text(
                f"UPDATE users SET time_zone = {place.format('unicode(substr(id, -1)) * 7919 + length(id) * 31')}"
                " WHERE id IN (SELECT user FROM devices WHERE id % 10 BETWEEN 6 AND 8)"
            )
        )


def read(store: Store, devices: int, zones: tuple[str, ...] | None) -> tuple[int, float]:
    """Read all pages of a group, shard by shard: how many devices, and the seconds of the slowest page."""
    audience = Audience(app="bench", environment="sandbox")
    count, slowest = 0, 0.0
    for after, last in ranges(devices):
        while after < last:
            began = time.perf_counter()
            with store.read() as tx:
                found = page(tx, audience, after=after, last=last, limit=MAX_WINDOW, zones=zones)
            slowest = max(slowest, time.perf_counter() - began)
            count, after = count + len(found.recipients), found.end
    return count, slowest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--index", help="SQL of an index to try")
    options = parser.parse_args()
    groups = zone_groups(Timetable(parse_cron("0 9 * * mon")), "Europe/Berlin", WALL)
    with tempfile.TemporaryDirectory() as name:
        store = fresh_store(Path(name))
        fill(store, options.devices)
        spread(store)
        if options.index:
            with store.write() as tx:
                tx.execute(text(options.index))
        print(f"{options.devices:,} devices, {len(groups)} groups of zones")
        print(f"{'':18}{'devices':>12}{'seconds':>10}{'CPU s':>10}{'slowest page, ms':>20}")
        everybody = timed("one scan of all", store, options.devices, [None])
        by_zone = timed("group by group", store, options.devices, [group.zones for group in groups])
        small = min(groups, key=lambda group: len(group.zones))
        timed("the smallest group", store, options.devices, [small.zones])
        store.close()
    if everybody != by_zone:
        sys.exit(f"{everybody} devices, and {by_zone} by their zones")


def timed(what: str, store: Store, devices: int, groups: list[tuple[str, ...] | None]) -> int:
    began, cpu, count, slowest = time.perf_counter(), time.process_time(), 0, 0.0
    for zones in groups:
        found, longest = read(store, devices, zones)
        count, slowest = count + found, max(slowest, longest)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    print(f"{what:18}{count:>12,}{seconds:>10.2f}{used:>10.2f}{slowest * 1000:>20.1f}")
    return count


if __name__ == "__main__":
    main()
