"""Client certificates: what a connection that shows one may push, and certificates of this kind for tests.

Source: Apple, "Sending notification requests to APNs": the topics are in the extensions 1.2.840.113635.100.6.3.6 and
.6.3.4, the base topic is the UID attribute of the subject; `authorization` is ignored. Apple does not publish what is
inside the extensions. Here, as it was seen in certificates: a SEQUENCE in which each topic is a UTF8String.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID, ObjectIdentifier

from scheduler.simulator.certificates import authority
from scheduler.simulator.devices import Environment
from scheduler.simulator.reasons import Reason

_TOPICS = ObjectIdentifier("1.2.840.113635.100.6.3.6")
_VOIP_TOPICS = ObjectIdentifier("1.2.840.113635.100.6.3.4")
_ENVIRONMENTS = {
    Environment.SANDBOX: ObjectIdentifier("1.2.840.113635.100.6.3.1"),
    Environment.PRODUCTION: ObjectIdentifier("1.2.840.113635.100.6.3.2"),
}
"""Marks of the services that a certificate is for; one that has none is for both."""
_SEQUENCE, _UTF8_STRING = 0x30, 0x0C


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The credentials of a connection that has shown a certificate. `environments` empty: any."""

    topics: frozenset[bytes]
    base_topic: bytes | None
    environments: frozenset[Environment]
    environment: Environment | None = None
    """The simulator's own."""

    proved = True

    @property
    def default_topic(self) -> bytes | None:
        """The base topic if there is no other: "mandatory when the certificate has several topics"."""
        return self.base_topic if self.topics <= {self.base_topic} else None

    def refuse(self, authorization: bytes | None, now: float) -> Reason | None:
        """`authorization` is ignored; TLS has judged the validity."""
        if self.base_topic is None and not self.topics:
            return Reason.BAD_CERTIFICATE
        if self.environment and self.environments and self.environment not in self.environments:
            return Reason.BAD_CERTIFICATE_ENVIRONMENT
        return None

    def allows(self, topic: bytes, suffix: bytes) -> bool:
        """Only what the certificate lists; without a list, its base topic."""
        return topic in self.topics or topic == self.base_topic


def read_certificate(der: bytes, environment: Environment | None) -> ClientCertificate:
    """What a client certificate allows at a simulator that plays `environment`."""
    certificate = x509.load_der_x509_certificate(der)
    uids = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
    extensions = {one.oid: one.value for one in certificate.extensions}
    found = [extensions[oid] for oid in (_TOPICS, _VOIP_TOPICS) if oid in extensions]
    return ClientCertificate(
        topics=frozenset(
            topic for one in found if isinstance(one, x509.UnrecognizedExtension) for topic in _topics_in(one.value)
        ),
        base_topic=str(uids[0].value).encode() if uids else None,
        environments=frozenset(env for env, oid in _ENVIRONMENTS.items() if oid in extensions),
        environment=environment,
    )


def issue_push_certificate(
    ca_file: Path,
    bundle_id: str,
    *,
    topics: Iterable[str] = (),
    environments: Iterable[Environment] = tuple(Environment),
    good_from: datetime = datetime(2020, 1, 1, tzinfo=UTC),
    good_until: datetime = datetime(2050, 1, 1, tzinfo=UTC),
) -> bytes:
    """A certificate and its key (PEM, one text) as Apple gives them out, signed by the simulator's authority.

    `topics` beside the bundle id: `com.example.shop.voip`; without any the certificate has no list.
    """
    ca = authority(ca_file)
    ca_certificate = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    ca_key = load_pem_private_key(ca.private_key_pem.bytes(), password=None)
    assert isinstance(ca_key, EllipticCurvePrivateKey | RSAPrivateKey)
    key = generate_private_key(SECP256R1())
    subject = [
        x509.NameAttribute(NameOID.USER_ID, bundle_id),
        x509.NameAttribute(NameOID.COMMON_NAME, f"Apple Push Services: {bundle_id}"),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(ca_certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(good_from)
        .not_valid_after(good_until)
    )
    listed = list(topics)
    if listed:
        builder = builder.add_extension(x509.UnrecognizedExtension(_TOPICS, _list_of([bundle_id, *listed])), False)
    for environment in environments:
        mark = x509.UnrecognizedExtension(_ENVIRONMENTS[environment], b"\x05\x00")
        builder = builder.add_extension(mark, False)
    certificate = builder.sign(ca_key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + private


def _topics_in(der: bytes) -> Iterator[bytes]:
    """The UTF8Strings of the outermost SEQUENCE; what is in SEQUENCEs between them says what each is used for."""
    for tag, content in _elements(der):
        if tag == _SEQUENCE:
            yield from (text for inner, text in _elements(content) if inner == _UTF8_STRING)
        elif tag == _UTF8_STRING:
            yield content


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of the elements that stand one behind the other (X.690 §8.1). Stops where it is no DER."""
    position = 0
    while position + 2 <= len(der):
        tag, length = der[position], der[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[position : position + size], "big")
            position += size
        yield tag, der[position : position + length]
        position += length


def _list_of(topics: Iterable[str]) -> bytes:
    """Each topic, and behind it a SEQUENCE with what it is used for."""
    used = _element(_SEQUENCE, _element(_UTF8_STRING, b"app"))
    return _element(_SEQUENCE, b"".join(_element(_UTF8_STRING, topic.encode()) + used for topic in topics))


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content
