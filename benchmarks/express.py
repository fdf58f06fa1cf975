"""Clarion's express path beside aioapns (asyncio and uvloop) and stock h2: CPU and rate over one TLS link each.

    python benchmarks/express.py [--requests 300000] [--peer-requests 8000] [--rounds 3]

Everybody sends the same 250-byte payload to different devices, from a process of its own to one counting sink in
another process on this machine. The rounds interleave the senders, and each one's median counts. No time is asserted,
but a ratio is: exits 1 if Clarion's requests per second are under 10 times those of aioapns on asyncio, or if the sink
counted other than what was sent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from express_senders import PAYLOAD_BYTES, PEER_STREAMS, SENDERS, WARM_UP
from sink_process import Sink

OURS, PEER = "clarion", "aioapns"
REQUIRED_RATIO = 10
LIBRARIES = ("h2", "hpack", "aioapns", "uvloop", "trio", "cryptography")


@dataclass(frozen=True)
class Measured:
    """One run of a sender, or the median of several."""

    rate: float
    """Requests per second of wall time."""
    cpu: float
    """Microseconds of CPU per request in the sending process."""


def measure(sender: str, sink: Sink, requests: int) -> Measured:
    """Run one sender to its end."""
    script = Path(__file__).with_name("express_senders.py")
    command = [sys.executable, str(script), sender, "--port", str(sink.port), "--ca", str(sink.ca_file)]
    done = subprocess.run([*command, "--requests", str(requests)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{sender} failed:\n{done.stderr}")
    report = json.loads(done.stdout)
    return Measured(requests / report["seconds"], report["cpu"] / requests * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300_000, help="requests that Clarion sends in a round")
    parser.add_argument("--peer-requests", type=int, default=8_000, help="requests that each peer sends in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    counts = {sender: options.requests if sender == OURS else options.peer_requests for sender in SENDERS}
    rounds: dict[str, list[Measured]] = {sender: [] for sender in SENDERS}
    with tempfile.TemporaryDirectory() as folder, Sink.started(Path(folder)) as sink:
        for _ in range(options.rounds):
            for sender, requests in counts.items():
                rounds[sender].append(measure(sender, sink, requests))
    results = {
        sender: Measured(median(run.rate for run in runs), median(run.cpu for run in runs))
        for sender, runs in rounds.items()
    }
    print_table(results)

    sent = sum(requests + WARM_UP for requests in counts.values()) * options.rounds
    if sink.requests != sent:
        sys.exit(f"\nthe sink counted {sink.requests} requests, but {sent} were sent")
    ratio = results[OURS].rate / results[PEER].rate
    if ratio < REQUIRED_RATIO:
        sys.exit(f"\nonly {ratio:.1f} times aioapns; {REQUIRED_RATIO} are asked for")


def print_table(results: dict[str, Measured]) -> None:
    """Rates, CPU, and both as multiples of the peer's."""
    peer = results[PEER]
    print(f"one TLS link, {PAYLOAD_BYTES}-byte payloads, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"peers keep {PEER_STREAMS} requests open;", ", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    print()
    print(f"{'':16}{'requests/s':>12}{'CPU µs/request':>16}{'× rate':>9}{'× CPU':>9}")
    for sender, result in sorted(results.items(), key=lambda item: -item[1].rate):
        columns = f"{result.rate:12,.0f}{result.cpu:16.1f}{result.rate / peer.rate:9.1f}{peer.cpu / result.cpu:9.1f}"
        print(f"{sender:16}{columns}")


if __name__ == "__main__":
    main()
