"""A week of virtual time: rules of all kinds, devices in many zones, events, and a daemon that is down at times.

    python benchmarks/week.py [--seed 7] [--rules 200 --devices 10000 --events 100000]

Lives through the week that the seed makes (tests/support/weeks.py), on one SQLite file and a virtual clock, and prints
what became of it, how long it took, and a hash over every row of the database: the same seed has the same hash, on
every machine and in every process.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.week_living import Provider, digest, dump, live, settle_in
from support.weeks import FULL, Size, make_week


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rules", type=int, default=FULL.rules)
    parser.add_argument("--devices", type=int, default=FULL.devices)
    parser.add_argument("--events", type=int, default=FULL.events)
    options = parser.parse_args()
    size = Size(options.rules, options.devices, options.events)
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        week = make_week(options.seed, size)
        workspace, store = settle_in(week, Path(name))
        provider = Provider()
        start, cpu = time.perf_counter(), time.process_time()
        live(week, workspace, store, provider)
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        tables = dump(store)
        store.close()
    print(f"rules, devices, events  {size.rules:10,} {size.devices:10,} {len(tables['events']):10,}")
    print(f"made in                 {start - began:10.1f} s")
    print(f"lived through in        {took:10.1f} s   ({cpu:.1f} s of CPU)")
    print(f"events/s                {size.events / took:10,.0f}")
    print(f"runs                    {len(tables['runs']):10,}")
    print(f"outcomes                {len(tables['ledger']):10,}   ({sum(provider.taken.values()):,} accepted)")
    print(f"outcomes/s              {len(tables['ledger']) / took:10,.0f}")
    print(f"hash                    {digest(tables)}")


if __name__ == "__main__":
    main()
