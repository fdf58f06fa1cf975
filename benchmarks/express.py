"""Clarion's express path beside h2load, node-apn, aioapns (asyncio and uvloop) and stock h2, over one TLS link each.

    python benchmarks/express.py [--sink nghttpd|own] [--requests 200000] [--rounds 3]
    python benchmarks/express.py --memory            memory over 5 million requests, and nothing else

Everybody sends the same 250-byte payload to a thousand devices in turn, from a process of its own to one sink in
another process on this machine; every answer is looked at, and all have to be 200. Requests are made while the clock
runs. The sink is nghttpd where that is installed, else Clarion's own; h2load shows in the same run how fast it can be.
The rounds interleave the senders, and the median over the rounds counts: for a ratio, of the ratios. Then latency, at
an even tenth of h2load's rate.

No time is asserted, but ratios are, and that memory does not grow: exits 1 if one is missed. A peer that is missing
on this machine is a line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from express_peers import H2load, Measured, Missing, NodeApn
from express_senders import PEER_STREAMS
from express_sinks import Serving, nghttpd, nghttpd_is_here, own_sink
from express_work import PAYLOAD_BYTES, STREAMS

OURS, INTERLEAVED, H2LOAD, NODE_APN, UVLOOP = "clarion", "clarion-40", "h2load", "node-apn", "aioapns-uvloop"
REQUIRED = ((OURS, UVLOOP, 12.0), (OURS, NODE_APN, 4.0), (OURS, H2LOAD, 0.6), (INTERLEAVED, OURS, 0.8))
"""(who, whose rate, at least how many times)."""
REQUIRED_LATENCY = 3.0
"""p99, at most how many times h2load's."""
WANTED_CPU = 20.0
MEMORY_REQUESTS, MEMORY_GROWTH = 5_000_000, 0.02
LIBRARIES = ("trio", "h2", "hpack", "aioapns", "uvloop", "cryptography")

Measure = Callable[[int], Measured]


def run_sender(sender: str, sink: Serving, requests: int, *more: str) -> dict[str, object]:
    """One of our Python senders, in a process of its own; what it reports."""
    script = str(Path(__file__).with_name("express_senders.py"))
    command = [sys.executable, script, sender, "--port", str(sink.port), "--ca", str(sink.ca_file)]
    done = subprocess.run([*command, "--requests", str(requests), *more], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{sender} failed:\n{done.stderr[-2000:]}")
    report: dict[str, object] = json.loads(done.stdout)
    return report


def measure(sender: str, sink: Serving, requests: int) -> Measured:
    """One run of one of our Python senders."""
    report = run_sender(sender, sink, requests)
    seconds, cpu = float(str(report["seconds"])), float(str(report["cpu"]))
    return Measured(requests / seconds, cpu / requests * 1e6)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sink", choices=("nghttpd", "own"), default="nghttpd" if nghttpd_is_here() else "own")
    parser.add_argument("--requests", type=int, default=200_000, help="that Clarion and h2load send in a round")
    parser.add_argument("--peer-requests", type=int, default=8_000, help="that aioapns and h2 send in a round")
    parser.add_argument("--node-requests", type=int, default=40_000, help="that node-apn sends in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help=f"send {MEMORY_REQUESTS:,} requests and watch the memory")
    options = parser.parse_args()

    started = nghttpd if options.sink == "nghttpd" else own_sink
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as sink:
        if options.memory:
            return watch_memory(sink)
        peers = find_peers(Path(folder), sink)
        print_set_up(sink, peers)
        turns: dict[str, tuple[int, Measure]] = {}
        for sender in (OURS, INTERLEAVED):
            turns[sender] = options.requests, lambda count, sender=sender: measure(sender, sink, count)
        for name, peer in peers.items():
            turns[name] = (options.requests if name == H2LOAD else options.node_requests), peer.measure
        for sender in (UVLOOP, "aioapns", "h2"):
            turns[sender] = options.peer_requests, lambda count, sender=sender: measure(sender, sink, count)
        rounds: list[dict[str, Measured]] = []
        busy: list[float] = []
        for _ in range(options.rounds):
            results = {}
            for name, (requests, turn) in turns.items():
                before = sink.cpu_seconds()
                results[name] = turn(requests)
                if name == H2LOAD:
                    busy.append((sink.cpu_seconds() - before) * results[name].rate / requests)
            rounds.append(results)
        print_table(rounds)
        if busy:
            print(f"\nh2load kept the sink busy for {100 * median(busy):.0f} % of its time")
        misses = [*missed_ratios(rounds)]
        h2load = peers.get(H2LOAD)
        if isinstance(h2load, H2load):
            misses += missed_latency(sink, h2load, median(results[H2LOAD].rate for results in rounds) / 10)
    for miss in misses:
        print(f"MISSED: {miss}")
    return 1 if misses else 0


def find_peers(folder: Path, sink: Serving) -> dict[str, H2load | NodeApn]:
    """The peers that are here; a line for each that is not."""
    peers: dict[str, H2load | NodeApn] = {}
    for name, kind in ((H2LOAD, H2load), (NODE_APN, NodeApn)):
        try:
            peers[name] = kind(folder, sink)
        except Missing as missing:
            print(f"{name} takes no part: {missing}")
    return peers


def print_set_up(sink: Serving, peers: Mapping[str, H2load | NodeApn]) -> None:
    print(f"one TLS link, {STREAMS} streams, {PAYLOAD_BYTES}-byte payloads, {os.cpu_count()} cores, to {sink.name}")
    libraries = [f"{name} {version(name)}" for name in LIBRARIES]
    print(", ".join([f"Python {platform.python_version()}", *libraries, *(peer.name for peer in peers.values())]))
    print(f"aioapns and h2 keep {PEER_STREAMS} requests open: with more they are slower")


def print_table(rounds: Sequence[Mapping[str, Measured]]) -> None:
    """Medians over the rounds."""
    print(f"\n{'':16}{'requests/s':>12}{'CPU µs/request':>16}{'clarion is':>14}")
    rates = {name: median(results[name].rate for results in rounds) for name in rounds[0]}
    for name, rate in sorted(rates.items(), key=lambda item: -item[1]):
        cpu = median(results[name].cpu for results in rounds)
        print(f"{name:16}{rate:12,.0f}{cpu:16.1f}{ratio(rounds, OURS, name):12.2f} ×")
    cpu = median(results[OURS].cpu for results in rounds)
    print(f"\nclarion's CPU per request is {cpu:.1f} µs; at most {WANTED_CPU:.0f} are wanted")


def ratio(rounds: Sequence[Mapping[str, Measured]], who: str, whose: str) -> float:
    return median(results[who].rate / results[whose].rate for results in rounds)


def missed_ratios(rounds: Sequence[Mapping[str, Measured]]) -> list[str]:
    misses = []
    for who, whose, least in REQUIRED:
        if whose in rounds[0] and (found := ratio(rounds, who, whose)) < least:
            misses.append(f"{who} is {found:.2f} times {whose}; {least} are required")
    return misses


def missed_latency(sink: Serving, h2load: H2load, rate: float) -> list[str]:
    """Ours and h2load's at the same offered rate, three seconds three times each; the medians count."""
    requests = max(1000, round(rate * 3))
    print(f"\nat {rate:,.0f} requests/s{'p50 ms':>16}{'p99 ms':>10}")
    p99: dict[str, list[float]] = {OURS: [], H2LOAD: []}
    for _ in range(3):
        report = run_sender(OURS, sink, requests, "--rate", str(rate))
        ours = report["milliseconds"]
        assert isinstance(ours, list)
        for name, milliseconds in ((OURS, ours), (H2LOAD, h2load.milliseconds(requests, rate))):
            p99[name].append(milliseconds[len(milliseconds) * 99 // 100])
            print(f"{name:24}{milliseconds[len(milliseconds) // 2]:12.2f}{p99[name][-1]:10.2f}")
    found = median(p99[OURS]) / median(p99[H2LOAD])
    print(f"clarion's p99 is {found:.2f} times h2load's (medians)")
    return [f"p99 is {found:.2f} times h2load's; {REQUIRED_LATENCY} at most"] if found > REQUIRED_LATENCY else []


def watch_memory(sink: Serving) -> int:
    """Resident memory at the end and when it was warm: the allocator takes a million requests to settle."""
    report = run_sender("clarion-memory", sink, MEMORY_REQUESTS)
    resident = report["resident"]
    assert isinstance(resident, list)
    print("resident MB after each half million:", *(f"{size / 1e6:.1f}" for size in resident))
    growth = median(resident[-3:]) / median(resident[2:5]) - 1
    print(f"{MEMORY_REQUESTS:,} requests: {100 * growth:+.1f} % from 1.5 to 2.5 million on to the last million")
    if growth > MEMORY_GROWTH:
        print(f"MISSED: memory may grow by {100 * MEMORY_GROWTH:.0f} %")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
