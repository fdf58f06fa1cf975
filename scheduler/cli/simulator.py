"""`clarion simulator`: an APNs look-alike to try campaigns against."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cyclopts import Parameter
from cyclopts.validators import Number

from scheduler.cli.output import remark
from scheduler.cli.session import InSession, Session
from scheduler.cli.tables import print_table
from scheduler.domain.errors import OperatorError
from scheduler.simulator.devices import Environment
from scheduler.simulator.listening import Listen
from scheduler.simulator.provider_tokens import TokenKey, load_key
from scheduler.simulator.records import Statistics
from scheduler.simulator.server import SimulatorConfig, serve
from scheduler.simulator.sink import serve_sink

KEY_ID = "ABC123DEFG"
TEAM_ID = "DEF123GHIJ"
FOLDER = Path(".clarion/simulator")


def simulator(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 2197,
    host: str = "127.0.0.1",
    devices: Path | None = None,
    log: Path | None = None,
    log_payloads: bool = False,
    key: list[str] | None = None,
    environment: Environment | None = None,
    ca_file: Path | None = None,
    sink: bool = False,
    session: InSession,
) -> int:
    """An APNs simulator on this machine: TLS, HTTP/2, Apple's checks and reasons. Ctrl-C ends it with a summary.

    It makes its own authority, and a signing key AuthKey_ABC123DEFG.p8 (team DEF123GHIJ) beside it.

    Example: clarion simulator --devices tokens.ndjson --log requests.ndjson

    Parameters
    ----------
    port
        Where to listen; 0 is any free port.
    host
        The address to listen on.
    devices
        NDJSON with token, topic, state (valid, unregistered), timestamp. Without it every token is valid.
    log
        One line of NDJSON a request goes here.
    log_payloads
        Log the payloads too.
    key
        KEYID:TEAMID:FILE, a key whose signatures are checked. May be given several times.
    environment
        Tokens of the other environment are bad.
    ca_file
        The certificate that clients must trust is written here; default .clarion/simulator/ca.pem in the workspace.
    sink
        Only count, as fast as possible; accept everything.
    """
    ca_file = ca_file or _folder(session) / "ca.pem"
    keys = {KEY_ID: load_key(make_signing_key(ca_file.parent), TEAM_ID)}
    keys.update(_key(text) for text in key or ())
    listen = Listen(ca_file=ca_file, host=host, port=port)
    statistics = Statistics()
    if sink:
        server = partial(serve_sink, listen, clock=session.clock, statistics=statistics)
    else:
        config = SimulatorConfig(
            listen, devices_file=devices, log_file=log, log_payloads=log_payloads, keys=keys, environment=environment
        )
        server = partial(serve, config, clock=session.clock, statistics=statistics)

    async def until_signal() -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                bound = await nursery.start(server)
                remark(f"simulator: https://{host}:{bound}, trusted by {ca_file}; Ctrl-C ends it")
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    break

    trio.run(until_signal)
    print_table(
        ("answer", "requests"),
        [("accepted", statistics.accepted), *statistics.reasons.most_common(), ("all", statistics.requests)],
        right=("requests",),
    )
    return 0


def make_signing_key(folder: Path) -> Path:
    """The simulator's own signing key (ES256, PKCS #8), made if it is missing; readable by its owner alone."""
    path = folder / f"AuthKey_{KEY_ID}.p8"
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            path.touch(mode=0o600)
            path.write_bytes(pem)
    except OSError as problem:
        raise OperatorError(f"the simulator's signing key cannot be kept: {problem.strerror}", where=str(path),
                            hint="give a path that can be written: --ca-file FILE") from problem  # fmt: skip
    return path


def _folder(session: Session) -> Path:
    try:
        return session.root / FOLDER
    except OperatorError:
        return Path.cwd() / FOLDER


def _key(text: str) -> tuple[str, TokenKey]:
    key_id, _, rest = text.partition(":")
    team, _, file = rest.partition(":")
    if not (key_id and team and file):
        raise OperatorError(f"--key {text!r} is not KEYID:TEAMID:FILE", hint="--key ABC123DEFG:DEF123GHIJ:AuthKey.p8")
    return key_id, load_key(Path(file), team)
