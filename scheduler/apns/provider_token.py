"""The provider token: a JWT signed with the team's key (Apple, "Establishing a token-based connection to APNs").

Apple wants a token to be at most an hour old, and refuses a new one more often than every 20 minutes. So one
source serves all links of a key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from scheduler.domain.clock import Clock
from scheduler.domain.errors import OperatorError

REFRESH_AGE: Final = timedelta(minutes=50)
SHORTEST_LIFE: Final = timedelta(minutes=20)
TOKEN_LIFE: Final = timedelta(hours=1)


class ProviderTokenSource:
    """The current provider token of one key. Mutable: it remembers the token and when it was signed."""

    def __init__(
        self, key_pem: bytes, *, team_id: str, key_id: str, clock: Clock, where: str = "the signing key"
    ) -> None:
        """`key_pem` is the content of Apple's .p8 file; `where` names it in errors."""
        self.team_id = team_id
        self.key_id = key_id
        self._clock = clock
        self._key = load_signing_key(key_pem, where)
        for name, value in (("team id", team_id), ("key id", key_id)):
            if not value.isalnum() or not value.isascii():
                raise OperatorError(f"{name} {value!r} is not made of letters and digits", where=where,
                                    hint="both are ten characters, shown at developer.apple.com")  # fmt: skip
        self._sign()

    def current(self) -> str:
        """The token to be used now; a new one once the old one is 50 minutes old."""
        if self.age >= REFRESH_AGE:
            self._sign()
        return self._token

    def expired(self, token: str | None, server_time: datetime | None) -> str | None:
        """APNs called a token expired: the one given, or an unknown one. `server_time` is the answer's `date`.

        The current token is signed anew if it is 20 minutes old. If it is not, no token of ours will ever do:
        the result says how wrong our clock is.
        """
        if token != self._token:
            return None
        if self.age >= SHORTEST_LIFE:
            self._sign()
            return None
        signed = f"a provider token signed {int(self.age.total_seconds())} s ago is more than an hour old for APNs"
        if server_time is None:
            least = int((TOKEN_LIFE - self.age).total_seconds()) // 60
            return f"{signed}, so the clock of this machine is wrong by at least {least} minutes"
        wrong = self.wrong_clock(server_time)
        return f"{signed}, although the clocks agree" if wrong is None else f"{signed}: {wrong}"

    def wrong_clock(self, server_time: datetime) -> str | None:
        """How far the clocks differ, in words; None while that cannot spoil a token."""
        ours = self._clock.now()
        difference = abs(server_time - ours)
        if difference < SHORTEST_LIFE:
            return None
        shown = f"this machine's clock shows {ours:%Y-%m-%d %H:%M:%S} UTC, that of APNs {server_time:%Y-%m-%d %H:%M:%S}"
        return f"{shown}, a difference of {int(difference.total_seconds()) // 60} minutes"

    @property
    def age(self) -> timedelta:
        """By the clock that says more: the calendar may have been set back, the stopwatch sleeps with the machine."""
        stopwatch = timedelta(seconds=self._clock.monotonic() - self._signed_monotonic)
        return max(stopwatch, self._clock.now() - self._signed_at)

    def _sign(self) -> None:
        self._signed_at: datetime = self._clock.now()
        self._signed_monotonic: float = self._clock.monotonic()
        claims = {"iss": self.team_id, "iat": int(self._signed_at.timestamp())}
        self._token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self.key_id})


def load_signing_key(pem: bytes, where: str) -> EllipticCurvePrivateKey:
    """Apple's signing key from the content of its .p8 file (PKCS #8 in PEM). OperatorError says why it is none."""
    hint = "use the .p8 file as it was downloaded from developer.apple.com (Certificates, Identifiers & Profiles, Keys)"
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise OperatorError("the key is protected by a password", where=where, hint=hint) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise OperatorError("not a private key in PEM (PKCS #8)", where=where, hint=hint) from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise OperatorError("not an elliptic-curve key on P-256, which ES256 needs", where=where, hint=hint)
    return key
