"""Provider tokens: is the JWT in `authorization` one that Apple would take?

Source: Apple, "Establishing a token-based connection to APNs". A token is a JWT of algorithm ES256 with `kid` in its
header and `iss` (the team) and `iat` (seconds) in its claims; it is good for one hour and must not change more often
than every 20 minutes on a connection. The first good token binds its team and its key's scope to the connection.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from scheduler.domain.errors import OperatorError
from scheduler.simulator.devices import Environment
from scheduler.simulator.reasons import Reason

TOKEN_LIFE = 3600
"""Seconds around `iat` in which a token is good."""
UPDATE_INTERVAL = 20 * 60
"""Seconds that must lie between two different tokens on one connection."""

_SEGMENT = re.compile(rb"[A-Za-z0-9_-]+={0,2}")
_REMEMBERED_TOKENS = 256


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key that a team may sign with.

    Since 2025 a key can be for one environment, and for certain topics (bundle ids) instead of the whole team.
    """

    team: str
    public_key: ec.EllipticCurvePublicKey
    environment: Environment | None = None
    topics: frozenset[str] | None = None

    def related(self, other: TokenKey) -> bool:
        """Whether both may be used on one connection: keys of the same scope and environment."""
        return (self.environment, self.topics) == (other.environment, other.topics)


@dataclass(frozen=True, slots=True)
class ProviderToken:
    """What a token says, once its form and signature are found good."""

    key_id: str
    team: str
    issued_at: int


class _Header(msgspec.Struct, gc=False):
    alg: Literal["ES256"]
    kid: str


class _Claims(msgspec.Struct, gc=False):
    iss: str
    iat: int


def load_key(path: Path, team: str) -> TokenKey:
    """A key from PEM: Apple's .p8, or the public half of it. OperatorError if it is not a P-256 key."""
    try:
        pem = path.read_bytes()
        private = b"PRIVATE KEY" in pem
        key = load_pem_private_key(pem, password=None).public_key() if private else load_pem_public_key(pem)
    except (OSError, ValueError, TypeError) as error:
        raise OperatorError(
            f"not a readable key: {error}", where=str(path), hint="give the .p8 file from Apple"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise OperatorError(
            "not a P-256 key", where=str(path), hint="provider tokens are signed with ES256, which needs one"
        )
    return TokenKey(team, key)


class TokenReader:
    """Reads tokens and remembers those it has read, for all connections: a signature costs more than a request.

    With no `keys`, signatures are not looked at and any key id and team will do.
    """

    def __init__(self, keys: Mapping[str, TokenKey]) -> None:
        self._keys = keys
        self._read: dict[bytes, ProviderToken | None] = {}

    def read(self, jwt: bytes) -> ProviderToken | None:
        """The token, or None if its form, algorithm, key id, team or signature is wrong. Its age is not judged."""
        if jwt not in self._read:
            if len(self._read) >= _REMEMBERED_TOKENS:
                self._read.clear()
            self._read[jwt] = self._parse(jwt)
        return self._read[jwt]

    def key(self, key_id: str) -> TokenKey | None:
        """The key with this id, if it is known."""
        return self._keys.get(key_id)

    def _parse(self, jwt: bytes) -> ProviderToken | None:
        segments = jwt.split(b".")
        if len(segments) != 3 or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            return None
        try:
            header, claims, signature = (_decode(segment) for segment in segments)
            kid = msgspec.json.decode(header, type=_Header).kid
            stated = msgspec.json.decode(claims, type=_Claims)
        except ValueError:
            return None
        if not kid or not stated.iss:
            return None
        if self._keys:
            key = self._keys.get(kid)
            if key is None or key.team != stated.iss or not _signed(jwt, signature, key.public_key):
                return None
        return ProviderToken(kid, stated.iss, stated.iat)


class ConnectionTokens:
    """What one connection has shown of provider tokens so far. With `environment`, keys of the other are refused."""

    default_topic: bytes | None = None

    def __init__(self, reader: TokenReader, environment: Environment | None = None) -> None:
        self._reader = reader
        self._environment = environment
        self._key: TokenKey | None = None
        self._wedged = False
        self._current: bytes | None = None
        self._since = 0.0
        self.team: str | None = None

    @property
    def proved(self) -> bool:
        """Whether a request with a valid token has been posted: until then Apple allows one stream."""
        return self._current is not None

    def refuse(self, authorization: bytes | None, now: float) -> Reason | None:
        """The reason to refuse a request with this header at `now` (seconds since 1970), None if it is good.

        Apple's pages do not say what a token from the future gets: InvalidProviderToken here. A connection that has
        seen an expired token answers ExpiredProviderToken for good, as was observed by the authors of Pushy.
        """
        if self._wedged:
            return Reason.EXPIRED_PROVIDER_TOKEN
        if authorization is None or authorization[:7].lower() != b"bearer ":
            return Reason.MISSING_PROVIDER_TOKEN
        jwt = authorization[7:].strip()
        if not jwt:
            return Reason.MISSING_PROVIDER_TOKEN
        token = self._reader.read(jwt)
        if token is None or token.issued_at > now + TOKEN_LIFE:
            return Reason.INVALID_PROVIDER_TOKEN
        if token.issued_at < now - TOKEN_LIFE:
            self._wedged = True
            return Reason.EXPIRED_PROVIDER_TOKEN
        if self.team is not None and token.team != self.team:
            return Reason.INVALID_PROVIDER_TOKEN
        key = self._reader.key(token.key_id)
        if key is not None and key.environment and self._environment and key.environment is not self._environment:
            return Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN
        if key is not None and self._key is not None and not key.related(self._key):
            return Reason.UNRELATED_KEY_ID_IN_TOKEN
        if jwt != self._current:
            if self._current is not None and now < self._since + UPDATE_INTERVAL:
                return Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES
            self._current, self._since, self.team, self._key = jwt, now, token.team, key
        return None

    def allows(self, topic: bytes, suffix: bytes) -> bool:
        """Whether the key that was used last is for this topic, of which `suffix` is the push type's part."""
        topics = self._key.topics if self._key else None
        return topics is None or topic.removesuffix(suffix).decode("latin-1") in topics


def _decode(segment: bytes) -> bytes:
    return base64.urlsafe_b64decode(segment.rstrip(b"=") + b"=" * (-len(segment.rstrip(b"=")) % 4))


def _signed(jwt: bytes, signature: bytes, key: ec.EllipticCurvePublicKey) -> bool:
    """Accepts raw r‖s (RFC 7518 §3.4) and DER: the sample token on Apple's page is signed in DER."""
    message = jwt.rpartition(b".")[0]
    candidates = [signature]
    if len(signature) == 64:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        candidates.insert(0, utils.encode_dss_signature(r, s))
    for der in candidates:
        try:
            key.verify(der, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            continue
        return True
    return False
