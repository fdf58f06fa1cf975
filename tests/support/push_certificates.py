"""Client certificates as Apple makes them, as far as that is known."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOPICS = x509.ObjectIdentifier("1.2.840.113635.100.6.3.6")


def der(tag: int, content: bytes) -> bytes:
    """A value of ASN.1 (X.690 §8.1)."""
    length = len(content)
    size = bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")
    return bytes([tag]) + size + content


def topic_list(topics: dict[str, str]) -> bytes:
    """Topics, each followed by the list of its purposes."""
    pairs = (der(0x0C, topic.encode()) + der(0x30, der(0x0C, purpose.encode())) for topic, purpose in topics.items())
    return der(0x30, b"".join(pairs))


def pem_of(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def push_certificate(
    key: ec.EllipticCurvePrivateKey,
    *,
    start: datetime,
    days: int = 365,
    uid: str | None = "com.example.shop",
    extension: bytes | None = None,
    extension_id: x509.ObjectIdentifier = TOPICS,
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None,
) -> bytes:
    """A certificate in PEM. `extension` is the value of the list of topics, or of another extension."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "Apple Push Services: com.example.shop")]
    if uid is not None:
        names.append(x509.NameAttribute(NameOID.USER_ID, uid))
    subject = x509.Name(names)
    issuer_name, issuer_key = issuer or (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )
    if extension is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(extension_id, extension), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
