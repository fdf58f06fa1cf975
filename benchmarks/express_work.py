"""What every sender of `express.py` has to do: the same requests to the same devices, and a report of their cost."""

from __future__ import annotations

import gc
import json
import resource
import ssl
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

TOPIC, KEY_ID, TEAM = "com.example.shop", "KEY1234567", "TEAM123456"
PAYLOAD_BYTES = 250
DEVICES = 1_000
"""Device tokens; requests go to them in turn."""
STREAMS = 1_000
WARM_UP = 500

PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
PRIVATE_KEY_PEM = PRIVATE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass(frozen=True)
class Target:
    """Where to send, and how many."""

    port: int
    ca_file: str
    requests: int

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.set_alpn_protocols(["h2"])
        return context


class Stopwatch:
    """Wall time and CPU time of this process from `start` on. What was made before is kept out of the collector."""

    def start(self) -> None:
        gc.collect()
        gc.freeze()
        self._seconds, self._cpu = time.perf_counter(), cpu_seconds()

    def report(self, requests: int, **more: object) -> None:
        seconds, cpu = time.perf_counter() - self._seconds, cpu_seconds() - self._cpu
        print(json.dumps({"requests": requests, "seconds": seconds, "cpu": cpu, **more}))


def cpu_seconds() -> float:
    """CPU time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _message(body: str) -> dict[str, object]:
    return {"aps": {"alert": {"title": "The sale is on", "body": body}, "sound": "default"}}


MESSAGE = _message("x" * (PAYLOAD_BYTES - len(json.dumps(_message("")))))
PAYLOAD = json.dumps(MESSAGE).encode()


def device_token(number: int) -> str:
    return f"{number % DEVICES:064x}"


def apns_id(number: int) -> str:
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
