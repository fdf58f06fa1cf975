"""Starts servers of other people on a free port of the loopback, and ends them."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
from support.sending import START, RealClock, Sender

from scheduler.transport.tls import Endpoint

_PATIENCE = 10.0


@dataclass(frozen=True)
class Certificate:
    ca_file: Path
    key_file: Path
    chain_file: Path


@dataclass
class PeerServer:
    """A server at work."""

    port: int
    process: subprocess.Popen[str]
    log: Path

    def text(self) -> str:
        """All that it has printed."""
        return self.log.read_text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[PeerServer]:
    """Run it until the end of the block; it listens on `port` once the block begins."""
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, text=True) as process,
    ):
        try:
            _until_it_listens(process, port, log)
            yield PeerServer(port, process, log)
        finally:
            process.kill()


def _until_it_listens(process: subprocess.Popen[str], port: int, log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, f"{process.args!r} ended: {log.read_text()}"
            assert time.monotonic() < end, f"{process.args!r} does not listen: {log.read_text()}"
            time.sleep(0.01)  # another process, which has no way to tell
        else:
            return


@contextmanager
def nghttpd(certificate: Certificate | None, folder: Path, *options: str) -> Iterator[PeerServer]:
    """nghttpd, which sends back what is posted. It has TLS if there is a certificate."""
    port = free_port()
    secrets = ["--no-tls"] if certificate is None else []
    files = [] if certificate is None else [str(certificate.key_file), str(certificate.chain_file)]
    command = ["nghttpd", "--address=127.0.0.1", "--verbose", f"--htdocs={folder}", *secrets, *options, str(port)]
    with running([*command, *files], port, folder / f"nghttpd-{port}.log") as server:
        yield server


@contextmanager
def nghttpx(certificate: Certificate, folder: Path, backend: int, *options: str) -> Iterator[PeerServer]:
    """nghttpx, which forwards to a backend without TLS."""
    port = free_port()
    command = [
        "nghttpx", f"--frontend=127.0.0.1,{port}", f"--backend=127.0.0.1,{backend};;proto=h2", "--workers=1",
        f"--errorlog-file={folder / 'nghttpx.err'}", "--conf=/dev/null", *options,
    ]  # fmt: skip
    with running(
        [*command, str(certificate.key_file), str(certificate.chain_file)], port, folder / "nghttpx.log"
    ) as server:
        yield server


@contextmanager
def node(
    certificate: Certificate,
    folder: Path,
    deeds: Mapping[int, Mapping[str, object]] | None = None,
    settings: Mapping[str, int] | None = None,
) -> Iterator[PeerServer]:
    """Node's http2 module, which does with a device's request what `deeds` says: see node_server.js."""
    port = free_port()
    script = Path(__file__).with_name("node_server.js")
    command = ["node", str(script), str(port), str(certificate.key_file), str(certificate.chain_file)]
    command += [json.dumps(settings or {}), json.dumps({str(device): deed for device, deed in (deeds or {}).items()})]
    with running(command, port, folder / "node.log") as server:
        yield server


@asynccontextmanager
async def sending_to(server: PeerServer, certificate: Certificate, links: int = 1) -> AsyncIterator[Sender]:
    """A pool of links to it."""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            sender = Sender(Endpoint("localhost", server.port, certificate.ca_file), links, RealClock(START))
            await nursery.start(sender.pool.run)
            yield sender
            nursery.cancel_scope.cancel()
