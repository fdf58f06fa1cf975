"""A client certificate in place of a provider token: for which topics it is good, and until when.

Apple, "Sending notification requests to APNs": a certificate supports the push types whose topics are in its
extensions 1.2.840.113635.100.6.3.6 and 1.2.840.113635.100.6.3.4; the base topic is also the UID of its subject.
Apple does not publish how these extensions are made. In certificates that are known it is a list of topics, each
followed by a list of purposes (`app`, `voip`), so every string in it that has a dot is taken for a topic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from scheduler.domain.errors import OperatorError

WARN_AHEAD: Final = timedelta(days=30)
"""So long before its end a certificate is complained about: to order another takes days, not minutes."""
_TOPIC_EXTENSIONS: Final = (
    x509.ObjectIdentifier("1.2.840.113635.100.6.3.6"),
    x509.ObjectIdentifier("1.2.840.113635.100.6.3.4"),
)
_TOPIC: Final = re.compile(rb"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_STRINGS: Final = frozenset({0x0C, 0x13, 0x16})  # UTF8String, PrintableString, IA5String (X.690 §8.1.2)
_CONSTRUCTED: Final = 0x20
_MAX_DEPTH: Final = 8
_HINT: Final = "export the push certificate with its key as PEM: openssl pkcs12 -in push.p12 -nodes -out push.pem"


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a certificate says of itself."""

    name: str
    """The common name of its subject, for people."""
    topics: frozenset[str]
    """The values of `apns-topic` that it is good for; empty if it names none."""
    not_after: datetime

    def expiry_warning(self, now: datetime) -> str | None:
        """What to say from 30 days before its end on."""
        left = self.not_after - now
        if left > WARN_AHEAD:
            return None
        until = f"{self.not_after:%Y-%m-%d %H:%M} UTC"
        if left <= timedelta(0):
            return f"the certificate '{self.name}' expired on {until}"
        return f"the certificate '{self.name}' expires on {until}, in {left.days} days"


def read_client_certificate(
    pem: bytes, key_pem: bytes, *, where: str, key_where: str, now: datetime
) -> ClientCertificate:
    """The first certificate of a PEM file, and the private key that belongs to it (perhaps in the same file).

    `where` and `key_where` name the files in errors. OperatorError if it is none, has expired, or the key is another's.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise OperatorError("there is no certificate in PEM", where=where, hint=_HINT) from error
    try:
        key = load_pem_private_key(_key_part(key_pem), password=None)
    except TypeError as error:
        raise OperatorError("the private key is protected by a password", where=key_where, hint=_HINT) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise OperatorError("there is no private key in PEM", where=key_where, hint=_HINT) from error
    spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        text = f"the private key does not belong to the certificate in {where}"
        raise OperatorError(text, where=key_where, hint=_HINT)
    try:
        topics = _topics(certificate)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise OperatorError("the extensions of the certificate cannot be read", where=where, hint=_HINT) from error
    found = ClientCertificate(_name(certificate), topics, certificate.not_valid_after_utc)
    if found.not_after <= now:
        hint = "make another one at developer.apple.com, or change to a key (.p8): it does not expire"
        raise OperatorError(str(found.expiry_warning(now)), where=where, hint=hint)
    if certificate.not_valid_before_utc > now:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        text = f"the certificate '{found.name}' is not valid before {begins}"
        raise OperatorError(text, where=where, hint="is the clock of this machine right?")
    return found


def _key_part(pem: bytes) -> bytes:
    """A PEM file from its private key on: what stands before it may be the certificate."""
    start = re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----", pem)
    return pem[start.start() :] if start else pem


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _topics(certificate: x509.Certificate) -> frozenset[str]:
    uids = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
    topics = {str(uid.value) for uid in uids}
    for extension in certificate.extensions:
        if extension.oid in _TOPIC_EXTENSIONS and isinstance(extension.value, x509.UnrecognizedExtension):
            strings = _strings(extension.value.value, _MAX_DEPTH)
            topics.update(text.decode("ascii") for text in strings if _TOPIC.fullmatch(text))
    return frozenset(topics)


def _strings(der: bytes, depth: int) -> Iterator[bytes]:
    """All strings in a value of ASN.1 in its distinguished encoding (X.690 §10), in order. What is cut off ends it."""
    place = 0
    while place + 2 <= len(der):
        tag, length, place = der[place], der[place + 1], place + 2
        if length & 0x80:
            octets = length & 0x7F
            length, place = int.from_bytes(der[place : place + octets], "big"), place + octets
        content, place = der[place : place + length], place + length
        if tag & _CONSTRUCTED and depth:
            yield from _strings(content, depth - 1)
        elif tag in _STRINGS:
            yield content
