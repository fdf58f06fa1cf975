"""`clarion simulator`: an APNs look-alike to try campaigns against."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cyclopts import Parameter
from cyclopts.validators import Number

from scheduler.cli.output import HowMany, remark
from scheduler.cli.session import InSession, Session
from scheduler.cli.tables import print_table
from scheduler.domain.errors import OperatorError
from scheduler.simulator.chaos import chaos_script
from scheduler.simulator.checks import TOPIC_SUFFIXES
from scheduler.simulator.client_certificates import issue_push_certificate
from scheduler.simulator.client_watch import ClientWatch
from scheduler.simulator.devices import Environment
from scheduler.simulator.fault_script import load_script, script_text
from scheduler.simulator.faults import NO_FAULTS, Script
from scheduler.simulator.listening import Listen
from scheduler.simulator.provider_tokens import TokenKey, load_key
from scheduler.simulator.records import Statistics
from scheduler.simulator.server import SimulatorConfig, serve
from scheduler.simulator.sink import serve_sink
from scheduler.simulator.verdict import write_verdict

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
    certificate: str | None = None,
    client_ca: Path | None = None,
    in_a_row: HowMany | None = None,
    throttle: bool = False,
    idle_timeout: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    lint: bool = False,
    script: Path | None = None,
    chaos: int | None = None,
    verdict: Path | None = None,
    strict: bool = False,
    ca_file: Path | None = None,
    sink: bool = False,
    session: InSession,
) -> int:
    """An APNs simulator on this machine: TLS, HTTP/2, Apple's checks and reasons. Ctrl-C ends it with a summary and a
    verdict on the client.

    It makes its own authority, and a signing key AuthKey_ABC123DEFG.p8 (team DEF123GHIJ) beside it.

    Example: clarion simulator --devices tokens.ndjson --log requests.ndjson --script faults.yaml

    Parameters
    ----------
    port
        Where to listen; 0 is any free port.
    host
        The address to listen on.
    devices
        NDJSON with token, topic, state, timestamp, environment. Without it every token is valid.
    log
        One line of NDJSON a request goes here.
    log_payloads
        Log the payloads too.
    key
        KEYID:TEAMID:FILE or KEYID:TEAMID:FILE:SCOPE, a key whose signatures are checked. May be given several times.
    environment
        Tokens, keys and certificates of the other environment are bad.
    certificate
        Make a client certificate for this bundle id, beside the authority.
    client_ca
        PEM: who else may have signed a client's certificate.
    in_a_row
        More requests than this one after the other to one device are too many.
    throttle
        A refused request takes the stream limit down to 1 until one is accepted.
    idle_timeout
        Seconds after which an idle connection is sent away.
    lint
        Report defects of payloads, which Apple accepts.
    script
        A YAML script of what goes wrong, and when.
    chaos
        A number: make up a script from it, print it to stderr, and run it.
    verdict
        Write the verdict here too, as JSON.
    strict
        Exit with 1 if the client broke a rule.
    ca_file
        The certificate that clients must trust is written here; default .clarion/simulator/ca.pem in the workspace.
    sink
        Only count, as fast as possible; accept everything.
    """
    if sink:
        _refuse_with_sink({
            "--devices": devices, "--log": log, "--log-payloads": log_payloads, "--key": key,
            "--environment": environment, "--in-a-row": in_a_row, "--throttle": throttle,
            "--idle-timeout": idle_timeout, "--lint": lint, "--script": script, "--chaos": chaos,
            "--verdict": verdict, "--strict": strict,
        })  # fmt: skip
    ca_file = ca_file or _folder(session) / "ca.pem"
    keys = {KEY_ID: load_key(make_signing_key(ca_file.parent), TEAM_ID)}
    keys.update(_key(text) for text in key or ())
    if certificate is not None:
        remark(f"client certificate: {make_push_certificate(ca_file, certificate)}")
    listen = Listen(ca_file=ca_file, host=host, port=port, client_ca_file=client_ca)
    statistics, watch = Statistics(), ClientWatch()
    if sink:
        server = partial(serve_sink, listen, clock=session.clock, statistics=statistics)
    else:
        config = SimulatorConfig(
            listen,
            devices_file=devices,
            log_file=log,
            log_payloads=log_payloads,
            keys=keys,
            environment=environment,
            in_a_row=in_a_row,
            throttle=throttle,
            idle_timeout=idle_timeout,
            lint=lint,
            faults=_script(script, chaos),
        )
        server = partial(serve, config, clock=session.clock, statistics=statistics, watch=watch)

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
    if sink:
        return 0
    found = watch.verdict()
    print(found)
    if verdict is not None:
        write_verdict(found, verdict)
    return 1 if strict and not found.obedient else 0


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


def make_push_certificate(ca_file: Path, bundle_id: str) -> Path:
    """A client certificate with its key, for the bundle id and the topics of all push types but `location`, which Apple
    gives to provider tokens alone. Made anew each time."""
    suffixes = {suffix for push_type, suffix in TOPIC_SUFFIXES.items() if push_type != b"location" and suffix}
    topics = sorted(f"{bundle_id}{suffix.decode()}" for suffix in suffixes)
    pem, path = issue_push_certificate(ca_file, bundle_id, topics=topics), ca_file.parent / f"{bundle_id}.pem"
    try:
        path.touch(mode=0o600)
        path.write_bytes(pem)
    except OSError as problem:
        raise OperatorError(f"the certificate cannot be kept: {problem.strerror}", where=str(path),
                            hint="give a path that can be written: --ca-file FILE") from problem  # fmt: skip
    return path


def _refuse_with_sink(options: Mapping[str, object]) -> None:
    """Nothing is silently ignored. `options` need requests that are read; None and False are not given."""
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        raise OperatorError("--sink reads no request: nothing can be logged, checked, judged or made to fail",
                            hint=f"leave out --sink, or {', '.join(given)}")  # fmt: skip


def _script(file: Path | None, chaos: int | None) -> Script:
    if file is not None and chaos is not None:
        raise OperatorError("--script and --chaos are two scripts", hint="give one of them")
    if file is not None:
        return load_script(file)
    if chaos is None:
        return NO_FAULTS
    script = chaos_script(chaos)
    remark(f"# --chaos {chaos} is this script:\n{script_text(script)}")
    return script


def _folder(session: Session) -> Path:
    try:
        return session.root / FOLDER
    except OperatorError:
        return Path.cwd() / FOLDER


def _key(text: str) -> tuple[str, TokenKey]:
    key_id, _, rest = text.partition(":")
    team, _, rest = rest.partition(":")
    file, _, scope = rest.partition(":")
    if not (key_id and team and file):
        raise OperatorError(f"--key {text!r} is not KEYID:TEAMID:FILE", hint="--key ABC123DEFG:DEF123GHIJ:AuthKey.p8")
    words = [word for word in scope.split(",") if word]
    environments = [Environment(word) for word in words if word in list(Environment)]
    topics = frozenset(word for word in words if word not in list(Environment))
    if len(set(environments)) > 1:
        raise OperatorError(f"--key {text!r} names both environments", hint="name one of them, or none")
    for word in (word for word in words if word in topics and "." not in word):
        hint = "an environment is sandbox or production, a topic is made like com.example.shop"
        raise OperatorError(f"--key {text!r}: {word!r} is neither an environment nor a topic", hint=hint)
    key = load_key(Path(file), team)
    return key_id, replace(key, environment=environments[0] if environments else None, topics=topics or None)
