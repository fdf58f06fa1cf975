"""Keys and certificates of apps: what their files hold, and whether they are good for what rules send."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scheduler.apns.client_certificate import ClientCertificate, read_client_certificate
from scheduler.apns.provider_token import load_signing_key
from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.diagnostics.source import Span
from scheduler.domain.errors import OperatorError
from scheduler.domain.push_types import PushType
from scheduler.rules.rule import Rule
from scheduler.workspace.settings import App, CertificateAuth, KeyAuth

_APPLE_NAME = re.compile(r"AuthKey_([A-Z0-9]{10})\.p8")


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """How to look into the files that `auth` names. Most commands do not: a marketer has no keys."""

    read: Callable[[Path], bytes | None]
    """The content of a file, None where it is not there."""
    now: datetime


def check_auth(
    apps: Mapping[str, App], files: CredentialFiles | None, certificates: dict[str, ClientCertificate]
) -> Iterator[Diagnostic]:
    """What is wrong with the credentials of apps. What their certificates say is put into `certificates`, by app."""
    for app in apps.values():
        match app.auth:
            case KeyAuth() as auth:
                yield from _check_key(auth, files)
            case CertificateAuth() as auth if files is not None:
                certificate, findings = _read_certificate(auth, files)
                yield from findings
                if certificate is not None:
                    certificates[app.name] = certificate


def check_topic(rule: Rule, app: App, certificate: ClientCertificate | None, rule_span: Span) -> Iterator[Diagnostic]:
    """Whether an app's credentials are good for the push type of a rule (Apple, "Sending notification requests to
    APNs": a certificate is good for the topics that it names, and never for location pushes)."""
    if not isinstance(app.auth, CertificateAuth):
        return
    push_type, node = rule.delivery.push_type, rule.delivery.type_node
    span = rule_span if node is None else node.span
    if push_type is PushType.LOCATION:
        message = f"Apple takes location pushes with a signing key only, and the app '{app.name}' has a certificate"
        yield error("credentials", message, span, "give the app {key_file: …, key_id: …, team_id: …}")
        return
    topic = app.bundle_id + push_type.topic_suffix
    if certificate is not None and certificate.topics and topic not in certificate.topics:
        known = ", ".join(sorted(certificate.topics))
        yield error("credentials", f"the certificate of the app '{app.name}' is not good for the topic '{topic}'",
                    span, f"it is good for {known}")  # fmt: skip


def _check_key(auth: KeyAuth, files: CredentialFiles | None) -> Iterator[Diagnostic]:
    named = _APPLE_NAME.fullmatch(auth.key_file.name)
    if named and named[1] != auth.key_id:
        yield warning("credentials", f"the key file is that of key {named[1]}, and `key_id` says {auth.key_id}",
                      auth.place, "APNs would refuse every token: name the key's own id")  # fmt: skip
    pem = files.read(auth.key_file) if files is not None else None
    if pem is not None:
        try:
            load_signing_key(pem, str(auth.key_file))
        except OperatorError as problem:
            yield _finding(problem, auth.place)


def _read_certificate(
    auth: CertificateAuth, files: CredentialFiles
) -> tuple[ClientCertificate | None, list[Diagnostic]]:
    pem, key_pem = files.read(auth.certificate_file), files.read(auth.key_file)
    if pem is None or key_pem is None:
        return None, []
    try:
        certificate = read_client_certificate(
            pem, key_pem, where=str(auth.certificate_file), key_where=str(auth.key_file), now=files.now
        )
    except OperatorError as problem:
        return None, [_finding(problem, auth.place)]
    expiry = certificate.expiry_warning(files.now)
    if expiry is None:
        return certificate, []
    return certificate, [warning("credentials", expiry, auth.place, "make another one at developer.apple.com")]


def _finding(problem: OperatorError, span: Span) -> Diagnostic:
    return error("credentials", f"{problem.where}: {problem.what}", span, problem.hint)
