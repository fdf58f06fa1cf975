"""The pools of links that apps need: one for each environment, endpoint and key or certificate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from scheduler.apns.client_certificate import read_client_certificate
from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.domain.clock import Clock
from scheduler.domain.errors import OperatorError
from scheduler.transport.pool import OnResults, Pool
from scheduler.transport.tls import CertificateFiles, Endpoint
from scheduler.workspace.settings import App, CertificateAuth, Environment, KeyAuth

_Identity: TypeAlias = tuple[Environment, Endpoint, KeyAuth | CertificateAuth]

log = logging.getLogger("clarion.engine")


def pools_of(
    apps: Mapping[str, App], clock: Clock, jitter: Callable[[], float], on_results: OnResults
) -> dict[str, Pool]:
    """By app. All links of a key share its provider token, whatever they lead to. OperatorError names a key or
    certificate that cannot be used."""
    tokens: dict[KeyAuth, ProviderTokenSource] = {}
    links: dict[_Identity, int] = {}
    for app in apps.values():
        links[_identity(app)] = max(app.links, links.get(_identity(app), 0))
    shared: dict[_Identity, Pool] = {}
    pools: dict[str, Pool] = {}
    for name, app in apps.items():
        identity = _identity(app)
        if identity not in shared:
            source, certificate = None, None
            match app.auth:
                case KeyAuth() as auth:
                    source = tokens.get(auth) or tokens.setdefault(auth, _token_source(auth, clock))
                case CertificateAuth() as auth:
                    certificate = _certificate(auth, clock)
            shared[identity] = Pool(
                identity[1],
                source,
                certificate,
                links=links[identity],
                clock=clock,
                jitter=jitter,
                on_results=on_results,
                name=name,
            )
        pools[name] = shared[identity]
    return pools


def _identity(app: App) -> _Identity:
    return app.environment, Endpoint(app.host, app.port, app.ca_file), app.auth


def _token_source(auth: KeyAuth, clock: Clock) -> ProviderTokenSource:
    pem = _content(auth.key_file, "the signing key", "auth.key_file in clarion.yaml names the .p8 file; "
                   "'clarion simulator' makes one for itself")  # fmt: skip
    return ProviderTokenSource(pem, team_id=auth.team_id, key_id=auth.key_id, clock=clock, where=str(auth.key_file))


def _certificate(auth: CertificateAuth, clock: Clock) -> CertificateFiles:
    certificate = read_client_certificate(
        _content(auth.certificate_file, "the certificate", "auth.certificate_file in clarion.yaml names a PEM file"),
        _content(auth.key_file, "the certificate's key", "auth.key_file in clarion.yaml names its PEM file"),
        where=str(auth.certificate_file),
        key_where=str(auth.key_file),
        now=clock.now(),
    )
    expiry = certificate.expiry_warning(clock.now())
    if expiry is not None:
        log.warning("certificate.expires file=%s %s", auth.certificate_file, expiry)
    return CertificateFiles(auth.certificate_file, auth.key_file)


def _content(path: Path, what: str, hint: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise OperatorError(f"{what} cannot be read: {problem.strerror}", where=str(path), hint=hint) from problem
