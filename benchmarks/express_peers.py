"""Peers of `express.py` that are no Python: h2load of nghttp2, and node-apn. Where one is missing, it says why."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from express_sinks import Serving, version
from express_work import DEVICES, KEY_ID, PAYLOAD, PRIVATE_KEY_PEM, STREAMS, TEAM, TOPIC, apns_id, device_token

NODE_APN = "8.1.0"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clarion-benchmarks"


class Missing(Exception):
    """A peer cannot take part; the text says why."""


@dataclass(frozen=True)
class Measured:
    """One run of a sender."""

    rate: float
    """Requests per second of wall time."""
    cpu: float
    """Microseconds of CPU per request in the sending process."""


class H2load:
    """The load generator of nghttp2, in C: one connection, 1,000 streams, the same headers and payload."""

    def __init__(self, folder: Path, sink: Serving) -> None:
        if shutil.which("h2load") is None:
            raise Missing("h2load (Debian's package nghttp2-client) is not installed")
        self.name = version("h2load")
        self._folder = folder
        (folder / "payload").write_bytes(PAYLOAD)
        addresses = [f"https://localhost:{sink.port}/3/device/{device_token(number)}" for number in range(DEVICES)]
        (folder / "addresses").write_text("\n".join(addresses) + "\n")

    def measure(self, requests: int) -> Measured:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        printed = self._run(requests)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rate = re.search(r"finished in .*?, ([\d.]+) req/s", printed)
        assert rate is not None, printed
        return Measured(float(rate[1]), cpu / requests * 1e6)

    def milliseconds(self, requests: int, rate: float) -> list[float]:
        """How long each request took at an even rate, sorted."""
        log = self._folder / "h2load.log"
        log.unlink(missing_ok=True)
        self._run(requests, f"--rps={rate:.0f}", f"--log-file={log}")
        return sorted(int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines())

    def _run(self, requests: int, *options: str) -> str:
        headers = {
            "apns-topic": TOPIC, "apns-push-type": "alert", "apns-priority": "10", "apns-id": apns_id(1),
            "authorization": "bearer " + "x" * 190,
        }  # fmt: skip
        command = ["h2load", f"-n{requests}", "-c1", "-t1", f"-m{STREAMS}", *options]
        command += [f"-d{self._folder / 'payload'}", f"-i{self._folder / 'addresses'}"]
        command += [f"-H{name}: {value}" for name, value in headers.items()]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f" {requests} succeeded" in printed, printed
        return printed


class NodeApn:
    """@parse/node-apn, installed into a cache outside of the repository."""

    def __init__(self, folder: Path, sink: Serving) -> None:
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise Missing("node or npm is not installed")
        package = _CACHE / "node_modules" / "@parse" / "node-apn"
        if not package.exists():
            _CACHE.mkdir(parents=True, exist_ok=True)
            done = subprocess.run(
                ["npm", "install", "--silent", "--prefix", str(_CACHE), f"@parse/node-apn@{NODE_APN}"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise Missing(f"@parse/node-apn could not be installed: {done.stderr.strip()[-200:]}")
        found = json.loads((package / "package.json").read_text())["version"]
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        self.name = f"node-apn {found} on node {node}"
        self._package = package
        self._sink = sink
        self._key = folder / "key.p8"
        self._key.write_text(PRIVATE_KEY_PEM)

    def measure(self, requests: int) -> Measured:
        script = Path(__file__).with_name("express_node_apn.js")
        task = {
            "package": str(self._package), "key": str(self._key), "keyId": KEY_ID, "teamId": TEAM, "topic": TOPIC,
            "port": self._sink.port, "ca": str(self._sink.ca_file), "requests": requests, "streams": STREAMS,
            "devices": DEVICES, "payload": PAYLOAD.decode(),
        }  # fmt: skip
        done = subprocess.run(["node", str(script), json.dumps(task)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        return Measured(requests / report["seconds"], report["cpu"] / requests * 1e6)
