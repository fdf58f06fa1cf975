"""Keys and certificates of apps: what `check` and `run` find in their files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from support.push_certificates import pem_of, push_certificate, topic_list

from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.workspace.checking import check
from scheduler.workspace.checks.credentials import CredentialFiles

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
BY_KEY = "{key_file: AuthKey_ABC123DEFG.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}"
BY_CERTIFICATE = "{certificate_file: push.pem, key_file: push.key}"


def said(auth: str, files: Mapping[str, bytes], delivery: str = "") -> str:
    """What `check` prints with these files of keys and certificates."""
    texts = {
        "clarion.yaml": "apps:\n  shop:\n    bundle_id: com.example.shop\n    environment: sandbox\n"
        f"    auth: {auth}\n",
        "rules/sale.yaml": "category: marketing\ntrigger: {event: com.example.sale}\naudience: {everyone: true}\n"
        f"message: {{template: sale}}\n{delivery}",
        "templates/sale.yaml": "aps: {alert: Sale}\n",
    }
    opened = CredentialFiles(lambda path: files.get(path.name), NOW)
    sources = {path: Source(path, text) for path, text in texts.items()}
    return as_text(check(sources, Path("/w"), {}, credentials=opened))


def certificate(days: int = 365, **topics: str) -> dict[str, bytes]:
    extension = topic_list({name.replace("_", "."): purpose for name, purpose in topics.items()}) if topics else None
    return {"push.pem": push_certificate(KEY, start=NOW, days=days, extension=extension), "push.key": pem_of(KEY)}


def test_files_that_are_not_here_are_no_finding() -> None:
    assert said(BY_KEY, {}) == ""
    assert said(BY_CERTIFICATE, {}) == ""


def test_good_files_are_no_finding() -> None:
    assert said(BY_KEY, {"AuthKey_ABC123DEFG.p8": pem_of(KEY)}) == ""
    assert said(BY_CERTIFICATE, certificate()) == ""


def test_key_file_that_is_none_is_an_error_where_clarion_yaml_names_it() -> None:
    assert said(BY_KEY, {"AuthKey_ABC123DEFG.p8": b"none"}) == (
        "clarion.yaml:5:11: error[credentials] /w/AuthKey_ABC123DEFG.p8: not a private key in PEM (PKCS #8)\n"
        f"        auth: {BY_KEY}\n              {'^' * len(BY_KEY)}\n"
        "  hint: use the .p8 file as it was downloaded from developer.apple.com (Certificates, Identifiers & Profiles, "
        "Keys)"
    )


def test_certificate_that_has_expired_is_an_error() -> None:
    old = {"push.pem": push_certificate(KEY, start=NOW.replace(year=2025), days=300), "push.key": pem_of(KEY)}
    assert said(BY_CERTIFICATE, old).startswith(
        "clarion.yaml:5:11: error[credentials] /w/push.pem: the certificate 'Apple Push Services: com.example.shop' "
        "expired on 2025-12-26 12:00 UTC\n"
    )


def test_certificate_that_ends_within_thirty_days_is_a_warning() -> None:
    assert said(BY_CERTIFICATE, certificate(days=20)).startswith(
        "clarion.yaml:5:11: warning[credentials] the certificate 'Apple Push Services: com.example.shop' "
        "expires on 2026-03-21 12:00 UTC, in 20 days\n"
    )


def test_rule_whose_topic_the_certificate_does_not_name_is_an_error_at_its_type() -> None:
    voip = "delivery: {type: voip}\n"
    assert said(BY_CERTIFICATE, certificate(), voip) == (
        "rules/sale.yaml:5:18: error[credentials] the certificate of the app 'shop' is not good for the topic "
        "'com.example.shop.voip'\n    delivery: {type: voip}\n                     ^^^^\n"
        "  hint: it is good for com.example.shop"
    )
    assert said(BY_CERTIFICATE, certificate(com_example_shop_voip="voip"), voip) == ""
