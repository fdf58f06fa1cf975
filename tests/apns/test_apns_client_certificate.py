"""Client certificates: which topics, how long, and what is wrong with the file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st
from support.push_certificates import pem_of, push_certificate, topic_list

from scheduler.apns.client_certificate import ClientCertificate, read_client_certificate
from scheduler.domain.errors import OperatorError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
HINT = "export the push certificate with its key as PEM: openssl pkcs12 -in push.p12 -nodes -out push.pem"


def read(pem: bytes, key: bytes | None = None) -> ClientCertificate:
    key_pem = pem_of(KEY) if key is None else key
    return read_client_certificate(pem, key_pem, where="push.pem", key_where="push.key", now=NOW)


def test_topics_are_the_uid_and_what_the_extension_lists_without_its_purposes() -> None:
    listed = topic_list({"com.example.shop": "app", "com.example.shop.voip": "voip"})
    found = read(push_certificate(KEY, start=NOW, extension=listed))
    assert found.name == "Apple Push Services: com.example.shop"
    assert found.topics == {"com.example.shop", "com.example.shop.voip"}
    assert found.not_after == NOW + timedelta(days=365)


def test_uid_alone_is_the_topic_of_a_certificate_without_a_list() -> None:
    assert read(push_certificate(KEY, start=NOW)).topics == {"com.example.shop"}
    assert read(push_certificate(KEY, start=NOW, uid=None)).topics == frozenset()


def test_certificate_and_key_may_be_in_one_file_in_either_order() -> None:
    pem = push_certificate(KEY, start=NOW)
    for both in (pem + pem_of(KEY), pem_of(KEY) + pem):
        assert read(both, both).topics == {"com.example.shop"}


@given(st.binary(max_size=200))
def test_whatever_the_extension_holds_is_read_without_failing(value: bytes) -> None:
    assert "com.example.shop" in read(push_certificate(KEY, start=NOW, extension=value)).topics


@pytest.mark.parametrize(
    ("pem", "key", "text"),
    [
        (b"", None, f"push.pem: there is no certificate in PEM\n  hint: {HINT}"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None,
         f"push.pem: there is no certificate in PEM\n  hint: {HINT}"),
        (push_certificate(KEY, start=NOW, extension=b"?", extension_id=ExtensionOID.SUBJECT_ALTERNATIVE_NAME), None,
         f"push.pem: the extensions of the certificate cannot be read\n  hint: {HINT}"),
        (push_certificate(KEY, start=NOW), b"", f"push.key: there is no private key in PEM\n  hint: {HINT}"),
        (push_certificate(KEY, start=NOW), pem_of(KEY, b"secret"),
         f"push.key: the private key is protected by a password\n  hint: {HINT}"),
        (push_certificate(KEY, start=NOW), pem_of(OTHER_KEY),
         f"push.key: the private key does not belong to the certificate in push.pem\n  hint: {HINT}"),
        (push_certificate(KEY, start=NOW - timedelta(days=400)), None,
         "push.pem: the certificate 'Apple Push Services: com.example.shop' expired on 2026-01-25 12:00 UTC\n"
         "  hint: make another one at developer.apple.com, or change to a key (.p8): it does not expire"),
        (push_certificate(KEY, start=NOW + timedelta(days=1)), None,
         "push.pem: the certificate 'Apple Push Services: com.example.shop' is not valid before 2026-03-02 12:00 UTC\n"
         "  hint: is the clock of this machine right?"),
    ],
)  # fmt: skip
def test_file_that_cannot_be_used_is_named_with_the_way_out(pem: bytes, key: bytes | None, text: str) -> None:
    with pytest.raises(OperatorError) as caught:
        read(pem, key)
    assert str(caught.value) == text


def test_expiry_is_warned_of_from_thirty_days_before_it_on() -> None:
    found = read(push_certificate(KEY, start=NOW, days=40))
    assert found.expiry_warning(NOW + timedelta(days=9, hours=23)) is None
    assert found.expiry_warning(NOW + timedelta(days=10)) == (
        "the certificate 'Apple Push Services: com.example.shop' expires on 2026-04-10 12:00 UTC, in 30 days"
    )
